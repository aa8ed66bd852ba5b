"""`twintrack fit --masks` and `twintrack masks`: from members to masks on disk, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.calibration import load_calibration

CASES = ("c1", "c2", "c3", "c4", "c5")


def read(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.fixture
def fitted(run, files):
    """A calibration that knows how masks vary."""
    out = files.root / "with_masks.json"
    done = run("fit", *files.drawn, *files.predicted, "--masks", "--out", out)
    assert done.code == 0, done.err
    field = load_calibration(out).rater_field
    assert f"rater field: ρ = {field.correlation:g}, ℓ = {field.length_mm:g} mm\n" in done.out
    assert "Fitting the field: 5 of 5 cases" in done.err
    return out


def test_masks_from_members(process, run, files, fitted):
    before = files.tree()
    out = files.root / "masks"
    done = process("masks", fitted, *files.predicted, "--number", 3, "--seed", 5, "--out", out)
    assert done.code == 0, done.err
    assert done.out == f"wrote 3 masks of each of 5 cases into {out}\n"
    assert "Drawing: 5 of 5 cases" in done.err
    names = ("mask_01.nii.gz", "mask_02.nii.gz", "mask_03.nii.gz", "masks.json")
    wanted = {f"masks/{case}/{name}" for case in CASES for name in names}
    assert files.new_since(before) == wanted | {"masks/flags.json"}
    assert json.loads((out / "flags.json").read_text(encoding="utf-8"))["flags"] == {}
    assert run("apply", fitted, *files.predicted, "--out", files.root / "r").code == 0
    for case in CASES:
        response = read(files.root / "r" / f"{case}.nii.gz")
        volumes = json.loads((out / case / "masks.json").read_text(encoding="utf-8"))["volumes_mm3"]
        for name in names[:3]:
            image = sitk.ReadImage(str(out / case / name))
            template = sitk.ReadImage(str(files.npz("a", case).with_suffix(".nii.gz")))
            mask = sitk.GetArrayFromImage(image)
            assert image.GetPixelID() == sitk.sitkUInt8
            assert image.GetSpacing() == pytest.approx(template.GetSpacing())
            assert image.GetOrigin() == pytest.approx(template.GetOrigin())
            assert set(np.unique(mask)) == {0, 1}
            assert not mask[response == 0].any()
            assert volumes[name] == pytest.approx(mask.sum() * 2.5 * 0.8 * 0.7)
    # The same seed, fewer masks and other cases: the same masks.
    given = (*files.predicted, "--cases", files.case_list(c4="x", c2="x"), "--number", 1, "--seed", 5)
    told = json.loads(run("masks", fitted, *given, "--out", files.root / "again", "--json").out)
    assert [record["case"] for record in told["cases"]] == ["c4", "c2"]
    assert (told["skipped"], told["flags"]) == ({}, {})
    for case in ("c2", "c4"):
        one = f"{case}/mask_01.nii.gz"
        assert (files.root / "again" / one).read_bytes() == (out / one).read_bytes()


def test_the_field_is_told_to_a_machine(run, files):
    out = files.root / "new.json"
    told = json.loads(run("fit", *files.drawn, *files.predicted, "--masks", "--out", out, "--json").out)
    assert told["rater_field"] == load_calibration(out).rater_field.model_dump()
    told = json.loads(run("fit", *files.drawn, *files.predicted, "--out", out, "--json").out)
    assert told["rater_field"] is None


@pytest.mark.filterwarnings("default::twintrack.errors.TwinTrackWarning")
def test_a_case_unlike_the_fitted_ones_is_flagged(run, files, fitted):
    given = ("--members", files.members[0], "--foreground", "tumour", "--number", 1)
    done = run("masks", fitted, *given, "--out", files.root / "masks")
    assert done.code == 0
    assert "warning: case c1 is unlike the cases of the calibration: it has 1 members" in done.err
    assert "flagged: 5 of 5 cases" in done.err
    assert f"The reasons are in {files.root / 'masks' / 'flags.json'}" in done.err


def test_what_is_refused(run, files, fitted):
    (files.root / "full").mkdir()
    (files.root / "full" / "notes.txt").write_text("mine")
    before = files.tree()
    for given, code, message in (
        ((files.calibration, "--out", files.root / "m"), 1, "fit it again with masks (`twintrack fit --masks`)"),
        ((fitted, "--out", files.root / "full"), 1, "it exists and is not an empty folder; name a new one"),
        ((fitted, "--out", files.root / "m", "--number", 0), 2, "--number"),
        ((fitted, "--out", files.root / "m", "--format", "png"), 1, "--format png: is not written"),
    ):
        done = run("masks", given[0], *files.predicted, *given[1:])
        assert (done.code, done.out) == (code, "")
        assert message in done.err
    done = run(
        "fit", *files.drawn, *files.predicted, "--masks", "--target", "majority", "--out", files.root / "new.json"
    )
    assert done.code == 1
    assert "they do not go with the target majority" in done.err
    assert files.new_since(before) == set()


def test_bad_cases_are_left_out_if_asked(run, files, fitted):
    files.change("a", "c3", lambda softmax: softmax.__imul__(100))
    given = (fitted, *files.predicted, "--number", 1, "--out")
    assert run("masks", *given, files.root / "m").code == 1
    done = run("masks", *given, files.root / "n", "--skip-bad")
    assert done.code == 0
    assert "cases left out: 1\n  c3: " in done.err
    assert done.out == f"wrote 1 mask of each of 4 cases into {files.root / 'n'}\n"
    for case in CASES:
        files.change("a", case, lambda softmax: softmax.__imul__(100))
    done = run("masks", *given, files.root / "o", "--skip-bad")
    assert done.code == 1
    assert "there is nothing to write: every case was skipped" in done.err
