"""A bundle says what it holds, and notices when that is no longer so."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from twintrack.errors import ModelError
from twintrack.segmentation.bundle import Bundle, CoarseEntry, MemberEntry, RoiSettings
from twintrack.segmentation.bundle_files import load_bundle, write_bundle


def bundle(**given):
    fields = {"name": "b", "structure": "tumour", "foreground": ("tumour",), "members": ({"name": "a", "path": "a"},)}
    return Bundle.model_validate({**fields, **given})


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "a" / "fold_0").mkdir(parents=True)
    (folder / "a" / "plans.json").write_text("{}")
    (folder / "a" / "fold_0" / "checkpoint_final.pth").write_bytes(b"weights")
    (folder / ".DS_Store").write_bytes(b"clutter")
    write_bundle(folder, bundle())
    return folder


def test_what_is_written_is_what_is_read(folder):
    loaded = load_bundle(folder)
    assert loaded.bundle == bundle(sha256=loaded.bundle.sha256)
    assert set(loaded.bundle.sha256) == {"a/plans.json", "a/fold_0/checkpoint_final.pth"}
    assert loaded.path_of(loaded.bundle.members[0]) == folder / "a"
    assert loaded.coarse_path is None
    assert loaded.calibration_path is None
    assert load_bundle(folder).sha256 == loaded.sha256


def test_the_defaults_are_those_that_are_documented(folder):
    content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    assert content["roi"] == {"margin": 30.0, "smallest": 1000.0, "keep": 0.1}
    assert content["orientation"] is None


def test_a_file_that_was_changed_lost_or_added_is_noticed(folder):
    before = load_bundle(folder).sha256
    (folder / "a" / "plans.json").write_text("{ }")
    (folder / "a" / "fold_0" / "checkpoint_final.pth").rename(folder / "a" / "fold_0" / "checkpoint_best.pth")
    with pytest.raises(ModelError) as error:
        load_bundle(folder)
    assert "a/plans.json: the file was changed or damaged" in str(error.value)
    assert "a/fold_0/checkpoint_final.pth: the file is missing" in str(error.value)
    assert "a/fold_0/checkpoint_best.pth: is not part of the bundle" in str(error.value)
    assert load_bundle(folder, verify=False).sha256 == before


def test_many_problems_are_counted(folder):
    for number in range(9):
        (folder / f"{number}.txt").write_text("")
    with pytest.raises(ModelError, match="and 4 more"):
        load_bundle(folder)


def test_line_ends_of_a_checkout_do_not_change_the_fingerprint(folder):
    path = folder / "bundle.json"
    before = load_bundle(folder).sha256
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_bundle(folder).sha256 == before


def test_a_link_that_leads_out_of_the_bundle_is_refused(folder, tmp_path):
    (tmp_path / "plans.json").write_text("{}")
    (folder / "a" / "plans.json").unlink()
    (folder / "a" / "plans.json").symlink_to(tmp_path / "plans.json")
    with pytest.raises(ModelError, match=r"a/plans\.json: is a link that leads out"):
        load_bundle(folder)


def test_what_the_description_names_must_be_there(folder):
    with pytest.raises(ModelError, match="calibration.json: bundle.json names it"):
        write_bundle(folder, bundle(calibration="calibration.json"))
    with pytest.raises(ModelError, match="coarse: bundle.json names it"):
        write_bundle(folder, bundle(coarse={"model": "coarse", "labels": ["pancreas"]}))
    with pytest.raises(ModelError, match="b: bundle.json names it"):
        write_bundle(folder, bundle(members=[{"name": "b", "path": "b"}]))


@pytest.mark.parametrize("path", ["../a", "/a", "a/../../b", "C:\\a", "a\\b", "C:/a", ""])
def test_paths_that_lead_out_of_the_bundle_are_refused(path):
    with pytest.raises(ValidationError):
        MemberEntry(name="a", path=path)
    with pytest.raises(ValidationError):
        CoarseEntry(model=path, labels=("pancreas",))
    with pytest.raises(ValidationError):
        bundle(calibration=path)
    with pytest.raises(ValidationError):
        MemberEntry(name="a", path="a", checkpoint=path)
    if path:
        MemberEntry(name="a", path=path, kind="precomputed")


@pytest.mark.parametrize(
    "given",
    [
        {"members": []},
        {"members": [{"name": "a", "path": "a"}, {"name": "A", "path": "b"}]},
        {"members": [{"name": "../a", "path": "a"}]},
        {"foreground": ()},
        {"orientation": "LPX"},
        {"orientation": "LRS"},
        {"orientation": "lps"},
        {"step": 0},
        {"roi": {"margin": -1}},
        {"roi": {"margin": float("nan")}},
        {"coarse": {"model": "c", "labels": []}},
        {"schema_version": 2},
        {"invented": 1},
    ],
)
def test_descriptions_that_make_no_sense_are_refused(given):
    with pytest.raises(ValidationError):
        bundle(**given)


def test_precomputed_members_alone_need_no_foreground():
    entry = {"name": "a", "path": "/maps", "kind": "precomputed"}
    assert bundle(members=[entry], foreground=()).foreground == ()


def test_what_is_wrong_in_the_file_is_said_in_words(folder):
    path = folder / "bundle.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "orientation": "XYZ", "step": 7}))
    with pytest.raises(ModelError) as error:
        load_bundle(folder)
    assert "orientation: 'XYZ' is no axis code" in str(error.value)
    assert "step: " in str(error.value)
    assert "pydantic" not in str(error.value)
    path.write_text("{")
    with pytest.raises(ModelError, match="bundle.json: bundle: Invalid JSON"):
        load_bundle(folder)


def test_what_is_no_bundle_is_said(tmp_path, result_folder):
    with pytest.raises(ModelError, match="there is no such folder"):
        load_bundle(tmp_path / "none")
    with pytest.raises(ModelError, match="holds no bundle.json"):
        load_bundle(tmp_path)
    with pytest.raises(ModelError, match="nnU-Net result folder: make a bundle of it"):
        load_bundle(result_folder("a"))
    (tmp_path / "bundle.json").mkdir()
    with pytest.raises(ModelError, match="holds no bundle.json"):
        load_bundle(tmp_path)


def test_settings_do_not_change_once_made():
    with pytest.raises(ValidationError):
        RoiSettings().margin = 3
