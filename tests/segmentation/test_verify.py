"""Everything that is wrong with a bundle is found, with real (tiny) networks."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")

from twintrack.errors import MissingExtraError  # noqa: E402
from twintrack.images import Volume  # noqa: E402
from twintrack.segmentation.bundle_files import load_bundle, write_bundle  # noqa: E402
from twintrack.segmentation.create import create_bundle  # noqa: E402
from twintrack.segmentation.segmenter import Segmenter  # noqa: E402
from twintrack.segmentation.verify import verify_bundle  # noqa: E402

from . import tiny_nnunet  # noqa: E402


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return [tiny_nnunet.write_result_folder(folder / f"m{seed}", seed=seed) for seed in range(3)]


@pytest.fixture
def bundle(trained, tmp_path):
    create_bundle(
        tmp_path / "b", members=trained[1:], foreground=["tumour"], coarse=trained[0], coarse_labels=["pancreas"]
    )
    return tmp_path / "b"


def rehash(folder, **changes):
    """Let the hashes agree again after a change, as if the bundle had been made so."""
    old = load_bundle(folder, verify=False).bundle
    (folder / "bundle.json").unlink()
    write_bundle(folder, old.model_copy(update=changes))


def test_a_sound_bundle_has_no_problems(bundle):
    assert verify_bundle(bundle) == []


def test_a_checkpoint_stripped_at_creation_loads_and_predicts_alike(trained, bundle, tmp_path):
    create_bundle(tmp_path / "small", members=trained[1:], foreground=["tumour"], strip=True)
    assert verify_bundle(tmp_path / "small") == []
    large, small = bundle / "member_1/fold_0", tmp_path / "small/member_1/fold_0"
    sizes = [(folder / "checkpoint_final.pth").stat().st_size for folder in (small, large)]
    assert sizes[0] < sizes[1]
    ct = Volume.from_array(tiny_nnunet.make_ct((12, 20, 20)) - 300, spacing=(2, 1.5, 1.5))
    plain = create_bundle(tmp_path / "plain", members=trained[1:], foreground=["tumour"])
    assert plain.coarse is None
    found = [
        Segmenter(load_bundle(tmp_path / name), device="cpu", threads=1).segment(ct, case_id="c").members[0]
        for name in ("plain", "small")
    ]
    assert found[0] == pytest.approx(found[1], abs=0.01)
    assert found[0].std() > 0.01


def test_damaged_weights_are_found_by_hash_and_by_loading(bundle):
    path = bundle / "member_2/fold_0/checkpoint_final.pth"
    path.write_bytes(path.read_bytes()[:2000])
    problems = verify_bundle(bundle)
    assert len(problems) == 2
    assert problems[0].startswith("member_2/fold_0/checkpoint_final.pth: the file was changed or damaged")
    assert problems[1].startswith("member member_2: ")
    assert "checkpoint_final.pth" in problems[1]


def test_a_missing_checkpoint_is_found(bundle):
    (bundle / "coarse/fold_0/checkpoint_final.pth").unlink()
    problems = verify_bundle(bundle)
    assert any(problem.startswith("coarse network: ") and "no fold_*" in problem for problem in problems)
    assert any("the file is missing" in problem for problem in problems)


def test_weights_of_other_plans_are_found(bundle):
    plans = json.loads((bundle / "member_1/plans.json").read_text(encoding="utf-8"))
    configuration = next(iter(plans["configurations"].values()))
    configuration["architecture"]["arch_kwargs"]["features_per_stage"] = [6, 12]
    (bundle / "member_1/plans.json").write_text(json.dumps(plans))
    rehash(bundle)
    (problem,) = verify_bundle(bundle)
    assert problem.startswith("member member_1: ")


def test_labels_that_a_network_does_not_know_are_found(bundle):
    old = load_bundle(bundle).bundle
    rehash(bundle, foreground=("lesion",), coarse=old.coarse.model_copy(update={"labels": ("liver",)}))
    problems = verify_bundle(bundle)
    assert len(problems) == 3
    assert "no foreground label 'liver'" in problems[0]
    assert "no foreground label 'lesion'" in problems[1]


def test_a_checkpoint_that_could_run_code_is_found_and_loads_on_trust(trained, tmp_path):
    path = trained[0] / "fold_0/checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    import fractions

    unsafe = tmp_path / "unsafe"
    (unsafe / "fold_0").mkdir(parents=True)
    for name in ("plans.json", "dataset.json"):
        (unsafe / name).write_bytes((trained[0] / name).read_bytes())
    torch.save({**content, "object": fractions.Fraction(1, 2)}, unsafe / "fold_0/checkpoint_final.pth")
    create_bundle(tmp_path / "b", members=[unsafe], foreground=["tumour"])
    (problem,) = verify_bundle(tmp_path / "b")
    assert "--trust-checkpoint" in problem
    with pytest.warns(match="trust|code"):
        assert verify_bundle(tmp_path / "b", trust_checkpoint=True) == []


def test_what_is_no_bundle_is_one_problem(tmp_path):
    (problem,) = verify_bundle(tmp_path)
    assert "holds no bundle.json" in problem


def test_without_the_extra_nothing_can_be_said(bundle, monkeypatch):
    monkeypatch.setattr("twintrack.segmentation.extra.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        verify_bundle(bundle)


def test_coarse_and_members_run_together(bundle):
    ct = Volume.from_array(tiny_nnunet.make_ct((16, 24, 24)) - 300, spacing=(2, 1.5, 1.5))
    stages = []
    segmenter = Segmenter(load_bundle(bundle), device="cpu", threads=1, margin=1.0)
    first = segmenter.segment(ct, case_id="c", on_stage=stages.append)
    assert stages == ["coarse network", "loading the members", "member member_1", "member member_2"]
    assert first.roi_source in {"coarse", "whole"}
    again = segmenter.segment(ct, case_id="c")
    for one, two in zip(first.members, again.members, strict=True):
        assert (one == two).all()
    assert segmenter.networks.members is segmenter.networks.members
