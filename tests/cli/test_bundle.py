"""`twintrack bundle` with real (tiny) networks: made, shown, checked, and used."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("nnunetv2")

from twintrack.cli import options
from twintrack.compute.executors import Serial
from twintrack.images import Volume, write_volume

from ..segmentation import tiny_nnunet  # noqa: TID252  (the maker of networks)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return [tiny_nnunet.write_result_folder(folder / f"m{seed}", seed=seed) for seed in range(3)]


def creation(trained, out, *more):
    members = ("--members", *trained[1:], "--foreground", "tumour")
    return ("bundle", "create", "--coarse", trained[0], "--coarse-labels", "pancreas", *members, "--out", out, *more)


@pytest.fixture
def bundle(run, trained, files):
    out = files.root / "bundle"
    done = run(*creation(trained, out, "--calibration", files.calibration, "--intended-use", "tests only"))
    assert done.code == 0, done.err
    assert f"twintrack bundle verify {out}" in done.out
    return out


def test_what_was_made_is_shown(run, bundle):
    shown = run("bundle", "inspect", bundle)
    assert shown.code == 0
    for text in ("finds pancreas", "nnunet, member_2", "as stored", "calibration.json", "tests only"):
        assert text in shown.out
    content = json.loads(run("bundle", "inspect", bundle, "--json").out)
    assert content["coarse"]["labels"] == ["pancreas"]
    assert len(content["sha256"]) == 3 * 3 + 1


def test_a_sound_bundle_passes(run, bundle):
    done = run("bundle", "verify", bundle)
    assert (done.code, done.err) == (0, "")
    assert "every network in it can be loaded" in done.out
    assert json.loads(run("bundle", "verify", bundle, "--json").out)["problems"] == []


def test_problems_are_listed_and_end_with_1(run, bundle):
    (bundle / "member_1/fold_0/checkpoint_final.pth").write_bytes(b"not a checkpoint")
    (bundle / "calibration.json").write_text("{}")
    done = run("bundle", "verify", bundle)
    assert done.code == 1
    assert done.err.count("problem:") == 4
    assert "member member_1: " in done.err
    content = json.loads(run("bundle", "verify", bundle, "--json").out)
    assert len(content["problems"]) == 4


def test_a_calibration_of_another_structure_is_a_problem(run, bundle, trained, files):
    out = files.root / "other"
    members = ("--members", trained[1], "--foreground", "pancreas", "--calibration", files.calibration)
    assert run("bundle", "create", *members, "--out", out).code == 0
    done = run("bundle", "verify", out)
    assert done.code == 1
    assert "is a calibration of tumour, but the members predict pancreas" in done.err


def test_what_cannot_be_made_or_shown_is_said(run, trained, files):
    out = files.root / "b"
    before = files.tree()
    for more, message in (
        (("--folds", "one"), "--folds takes numbers"),
        (("--orientation", "up"), "no axis code"),
        (("--calibration", files.root / "none.json"), "none.json"),
        (("--checkpoint", "checkpoint_best.pth"), "checkpoint_best.pth"),
        (("--names", "a"), "2 members are given, but 1 names"),
    ):
        done = run(*creation(trained, out, *more))
        assert done.code == 1
        assert message in done.err
    assert "holds no bundle.json" in run("bundle", "inspect", files.root).err
    assert "holds no bundle.json" in run("bundle", "verify", files.root).err
    assert files.tree() == before


def test_settings_end_in_the_bundle(run, trained, files):
    out = files.root / "b"
    given = ("--folds", "0", "--orientation", "RAS", "--margin", "12", "--no-mirroring", "--names", "p,q", "--strip")
    assert run(*creation(trained, out, *given, "--structure", "a lesion", "--name", "n")).code == 0
    content = json.loads((out / "bundle.json").read_text(encoding="utf-8"))
    assert content["members"][1]["name"] == "q"
    assert content["members"][0]["folds"] == [0]
    assert (content["orientation"], content["mirroring"], content["roi"]["margin"]) == ("RAS", False, 12)
    assert (content["name"], content["structure"]) == ("n", "a lesion")
    assert run(*creation(trained, files.root / "c", "--orientation", "stored")).code == 0
    assert json.loads((files.root / "c" / "bundle.json").read_text(encoding="utf-8"))["orientation"] is None


def test_networks_run_from_the_command_line_and_their_output_stays_out_of_ours(process, bundle, files):
    ct = Volume.from_array(tiny_nnunet.make_ct((16, 24, 24)) - 300, spacing=(2, 1.5, 1.5))
    write_volume(files.root / "ct.nii.gz", ct)
    before = files.tree()
    given = ("segment", files.root / "ct.nii.gz", "--models", bundle, "--out", files.root / "out")
    done = process(*given, "--device", "cpu", "--threads", "1", "--margin", "4", "--json")
    assert done.code == 0, done.err
    (record,) = json.loads(done.out)["cases"]
    assert record["members"] == ["member_1", "member_2"]
    assert record["roi"]["source"] in {"coarse", "whole"}
    assert len(files.new_since(before)) == 4
    for line in done.err.splitlines():
        assert line.startswith(("Segmenting: case ct (1 of 1): ", "warning: ")), line


def test_damaged_weights_are_refused_before_anything_is_written(process, bundle, files):
    shutil.copytree(bundle, files.root / "damaged")
    path = files.root / "damaged/member_2/fold_0/checkpoint_final.pth"
    path.write_bytes(path.read_bytes()[:-100])
    write_volume(files.root / "ct.nii.gz", Volume.from_array(tiny_nnunet.make_ct((8, 12, 12)), spacing=(2, 2, 2)))
    before = files.tree()
    done = process("segment", files.root / "ct.nii.gz", "--models", files.root / "damaged", "--out", files.root / "out")
    assert done.code == 1
    assert "member_2/fold_0/checkpoint_final.pth: the file was changed or damaged" in done.err
    assert files.new_since(before) == set()


def test_the_recall_of_the_region_is_reported(run, bundle, files, monkeypatch):
    for number, name in enumerate(("k1", "k2")):
        array = tiny_nnunet.make_ct((16, 24, 24), seed=number) - 300
        (files.root / "labelled" / name).mkdir(parents=True)
        write_volume(files.root / "labelled" / name / "image.nii.gz", Volume.from_array(array, spacing=(2, 1.5, 1.5)))
        for rater in (1, 2):
            mask = np.zeros(array.shape, np.uint8)
            mask[6:9, 8 : 12 + rater, 8:12] = 5
            write_volume(
                files.root / "labelled" / name / f"annotation_{rater}.nii.gz",
                Volume.from_array(mask, spacing=(2, 1.5, 1.5)),
            )
    given = ("validate-roi", "--models", bundle, "--raters", files.root / "labelled", "--rater-labels", "5")
    given = (*given, "--device", "cpu", "--threads", "1", "--margins", "0,5,100")
    before = files.tree()
    done = run(*given, "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert [one["margin"] for one in content["margins"]] == [0, 5, 100]
    assert len(content["cases"]) == 6
    recalls = [one["mean"] for one in content["margins"]]
    assert recalls == sorted(recalls)
    assert content["margins"][2]["minimum"] == 1
    monkeypatch.setattr(options, "Processes", lambda n: Serial())
    assert run(*given, "--json", "--workers", 2).out == done.out
    shown = run(*given, "--images", files.root / "labelled")
    assert shown.code == 0
    assert "Recall of the raters' union inside the ROI" in shown.out
    assert files.tree() == before
    assert "--margins takes numbers" in run(*given[:-1], "wide").err
    missing = run(*given, "--images", files.root / "labelled" / "k1")
    assert missing.code == 1
    assert "case k2: there is no CT of it among the images" in missing.err
