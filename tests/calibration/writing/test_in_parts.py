"""Applied a part at a time: the same maps, volumes, flags and refusals as whole, and nothing half-written is left."""

import json
import shutil
import warnings
import zipfile

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.writing import responses
from twintrack.calibration.writing.responses import write_responses
from twintrack.cohort.parts import reading_in_parts
from twintrack.compute.blocks import BLOCK
from twintrack.errors import InputError, OutputError, TwinTrackWarning
from twintrack.images import Grid, Volume, read_volume, write_volume
from twintrack.images.packing import compress
from twintrack.images.parts import PART

SHAPE = (3, 100, 256)  # a part and a bit
GRID = Grid.plain(SHAPE, spacing=(3.0, 0.8, 0.8))
KINDS = ("npz", "nii.gz", "mha", "b2nd")
OPTIONS = {"method": "isotonic", "replicates": 3}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    for module in ("parts", "nnunet"):
        monkeypatch.setattr(f"twintrack.images.{module}.PART", BLOCK)


@pytest.fixture(params=["1", "2"])
def threads(request, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", request.param)


def probability(seed):
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[-1:1:3j, -1:1:100j, -1:1:256j]
    logit = 8 * (0.5 - np.sqrt(z**2 + y**2 + x**2)) + rng.normal(size=SHAPE)
    p = (1 / (1 + np.exp(-logit))).astype(np.float32)
    p[p < 0.02] = 0
    return p


def write_member(folder, kind, p):
    folder.mkdir()
    if kind != "npz":
        if kind == "b2nd":
            pytest.importorskip("blosc2")
        write_volume(folder / f"case.{kind}", Volume(p, GRID))
        return
    np.savez_compressed(folder / "case.npz", probabilities=np.stack([1 - p, p]))
    write_volume(folder / "case.nii.gz", Volume((p > 0.5).astype(np.uint8), GRID))
    content = {"labels": {"background": 0, "tumour": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))


def cohort(folder, kinds, *, roi=False):
    """Write a case's members, one of each kind, and find them."""
    for k, kind in enumerate(kinds):
        write_member(folder / str(k), kind, probability(k))
    if roi:
        (folder / "roi").mkdir()
        mask = np.zeros(SHAPE, np.uint8)
        mask[1:, 20:, :200] = 1
        write_volume(folder / "roi" / "case.nii.gz", Volume(mask, GRID))
    return tt.find_cohort(members=[folder / str(k) for k in range(len(kinds))], roi=folder / "roi" if roi else None)


@pytest.fixture(scope="module")
def fitted():
    """Calibrations of cases enough for a guard, an uncertainty and volumes."""
    rng = np.random.default_rng(5)

    def case(k):
        p = [probability(10 * k + m)[:, :40, :40] for m in range(2)]
        raters = [(rng.random(p[0].shape) < p[0]).astype(np.uint8) for _ in range(3)]
        return tt.Case(f"c{k}", members=p, raters=raters, spacing=(3.0, 0.8, 0.8))

    cases = [case(k) for k in range(6)]
    return {method: tt.fit(cases, **OPTIONS | {"method": method}) for method in ("isotonic", "platt")}


def applied(calibration, cases, folder, **options):
    """Apply, and give the files and what was warned of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", TwinTrackWarning)
        write_responses(calibration, cases, folder=folder, **options)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return files, [(str(one.message), one.filename) for one in said]


@pytest.mark.parametrize(
    ("kinds", "roi", "method", "ending"),
    [
        (["npz"], False, "isotonic", "nii.gz"),
        (["npz", "npz", "npz"], True, "isotonic", "nii.gz"),
        (["npz", "npz"], False, "platt", "nii"),
        (["nii.gz", "mha"], True, "platt", "mha"),
        (["nii.gz", "nii.gz", "npz"], False, "isotonic", "npz"),
        (["b2nd", "npz"], False, "isotonic", "b2nd"),
    ],
)
def test_parts_give_what_the_whole_gives(fitted, tmp_path, monkeypatch, threads, kinds, roi, method, ending):
    cases, calibration = cohort(tmp_path, kinds, roi=roi), fitted[method]
    found = applied(calibration, cases, tmp_path / "parts", ending=ending)
    monkeypatch.setattr(responses, "responds_in_parts", lambda _: False)
    whole = applied(calibration, cases, tmp_path / "whole", ending=ending)
    assert [name for name in whole[0] if found[0].get(name) != whole[0][name]] == []
    assert found == whole
    assert len(found[1]) == 1  # it is unlike the fitted cases, and this is said where it is applied
    array = read_volume(tmp_path / "parts" / f"case.{ending}").array
    with pytest.warns(TwinTrackWarning, match="unlike"):
        assert array.tobytes() == calibration.apply(cases[0]).tobytes()
    assert json.loads(found[0]["volumes.json"])["cases"]["case"]["expected_interval"] is not None


def test_parts_hold_whole_blocks():
    """Else sums over parts would not be those over blocks, to the last digit."""
    assert PART % BLOCK == 0


def test_parts_are_the_whole(tmp_path, threads):
    (case,) = cohort(tmp_path, ["npz", "mha"], roi=True)
    data = case.read(raters=False)
    with reading_in_parts(case) as found:
        several = list(found.parts)
    assert [part.members[0].size for part in several] == [BLOCK, np.prod(SHAPE) - BLOCK]
    assert (found.id, found.grid, found.n_members, found.has_roi) == ("case", data.grid, 2, True)
    assert np.concatenate([part.probability() for part in several]).tobytes() == data.probability().tobytes()
    assert np.concatenate([part.inside for part in several]).tobytes() == data.roi.tobytes()


def spoil(path, value):
    """Change the last voxel of the foreground, or damage the file."""
    array = np.load(path)["probabilities"]
    content = bytearray(path.read_bytes())
    if value == "cut short":
        content = content[: len(content) // 2]
    elif value == "checksum":
        content[content.index(b"PK\1\2") + 16] ^= 1
    else:
        array[1, -1, -1, -1] = value
        np.savez_compressed(path, probabilities=array)
        return
    path.write_bytes(content)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5, -0.5, "cut short", "checksum"])
def test_what_is_wrong_at_the_very_end_leaves_what_was_there(fitted, tmp_path, threads, value):
    cases, out = cohort(tmp_path, ["npz", "npz"]), tmp_path / "out"
    old, _ = applied(fitted["isotonic"], cases, out)
    spoil(tmp_path / "1" / "case.npz", value)
    with pytest.raises(InputError) as whole:
        cases[0].read(raters=False)
    with pytest.raises(InputError) as in_parts:
        write_responses(fitted["isotonic"], cases, folder=out)
    assert str(in_parts.value) == str(whole.value)
    assert str(tmp_path / "1" / "case.npz") in str(in_parts.value)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == old


def test_a_bad_case_is_passed_over(fitted, tmp_path, threads):
    cases = cohort(tmp_path, ["npz", "npz"])
    for k in range(2):
        shutil.copy(tmp_path / str(k) / "case.npz", tmp_path / str(k) / "bad.npz")
        shutil.copy(tmp_path / str(k) / "case.nii.gz", tmp_path / str(k) / "bad.nii.gz")
    spoil(tmp_path / "1" / "bad.npz", np.nan)
    cases = tt.find_cohort(members=[tmp_path / "0", tmp_path / "1"])
    bad = []
    files, _ = applied(fitted["platt"], cases, tmp_path / "out", on_bad=lambda case, error: bad.append(case.id))
    assert (bad, sorted(files)) == (["bad"], ["case.nii.gz", "flags.json", "volumes.json"])


def test_members_and_roi_that_do_not_fit_are_refused_before_anything_is_written(fitted, tmp_path, threads):
    cohort(tmp_path, ["npz", "npz"])
    moved = Grid.plain(SHAPE, spacing=(3.0, 0.8, 0.9))
    write_volume(tmp_path / "1" / "case.nii.gz", Volume(np.zeros(SHAPE, np.uint8), moved))
    cases = tt.find_cohort(members=[tmp_path / "0", tmp_path / "1"])
    with pytest.raises(InputError) as whole:
        cases[0].read(raters=False)
    with pytest.raises(InputError) as in_parts:
        write_responses(fitted["platt"], cases, folder=tmp_path / "out")
    assert str(in_parts.value) == str(whole.value)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("reason", ["disk", "folder"])
def test_what_cannot_be_written_leaves_nothing(fitted, tmp_path, monkeypatch, threads, reason):
    cases, out = cohort(tmp_path, ["npz"]), tmp_path / "out"

    class Full(compress.igzip.IGzipFile):
        def write(self, data):
            raise OSError(28, "No space left on device")

    if reason == "disk":
        monkeypatch.setattr(compress, "_GzipFile", Full)
    else:
        monkeypatch.setattr(responses, "make_folder", lambda folder: None)
    with pytest.raises(OutputError, match="No space left" if reason == "disk" else "there is no folder"):
        write_responses(fitted["platt"], cases, folder=out)
    assert reason == "folder" or not list(out.iterdir())


def test_a_prediction_that_changes_while_it_is_read_is_refused(fitted, tmp_path, monkeypatch):
    (case,) = cohort(tmp_path, ["npz"])
    monkeypatch.setattr("twintrack.cohort.parts.are_probabilities", lambda part: False)
    with pytest.raises(InputError, match="changed while it was read"), reading_in_parts(case) as found:
        list(found.parts)


def test_what_stands_in_the_middle_of_a_zip_file_is_found(tmp_path, fitted):
    (case,) = cohort(tmp_path, ["npz"])
    content = (tmp_path / "0" / "case.npz").read_bytes()
    (tmp_path / "0" / "case.npz").write_bytes(b"#!/bin/sh\n" * 9 + content)
    assert zipfile.is_zipfile(tmp_path / "0" / "case.npz")
    with reading_in_parts(case) as found:
        assert sum(part.members[0].size for part in found.parts) == np.prod(SHAPE)
