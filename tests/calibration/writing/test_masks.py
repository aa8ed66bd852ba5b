"""Masks on disk: whose frequencies are the responses, the same whatever the other cases are, and what is refused."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from tests.calibration.conftest import make_case

import twintrack as tt
from twintrack.calibration.outlines import RaterField, case_seed, sample_masks
from twintrack.calibration.writing.masks import write_masks
from twintrack.errors import CalibrationError, CohortError, InputError, OutputError, TwinTrackWarning
from twintrack.images import Grid, Volume

VOXEL = 3.0 * 0.8 * 0.8
FIELD = RaterField(correlation=0.25, length_mm=3.0)


@pytest.fixture(scope="module")
def cohort():
    return [make_case(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def calibration(cohort):
    return tt.fit(cohort, method="isotonic", replicates=0).model_copy(update={"rater_field": FIELD})


def read(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def masks_of(folder):
    return {path.name: read(path) for path in sorted(folder.glob("mask_*"))}


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_written(calibration, cohort, tmp_path):
    told = {}
    places = write_masks(
        calibration, cohort, folder=tmp_path / "out", n=3, on_drawn=lambda case, record: told.update({case.id: record})
    )
    assert places == [tmp_path / "out" / case.id for case in cohort]
    names = {"mask_01.nii.gz", "mask_02.nii.gz", "mask_03.nii.gz", "masks.json"}
    assert set(tree(tmp_path / "out")) == {f"{c.id}/{name}" for c in cohort for name in names} | {"flags.json"}
    for case, place in zip(cohort, places, strict=True):
        masks, record = masks_of(place), json.loads((place / "masks.json").read_text(encoding="utf-8"))
        assert record == told[case.id]
        assert (record["schema_version"], record["case"], record["seed"]) == (1, case.id, 0)
        assert record["rater_field"] == {"correlation": 0.25, "length_mm": 3.0}
        response = calibration.apply(case)
        assert record["expected_volume_mm3"] == pytest.approx(response.sum(dtype=float) * VOXEL)
        wanted = sample_masks(response, spacing=case.grid.spacing, field=FIELD, n=3, seed=case_seed(0, case.id))
        assert list(masks) == sorted(record["volumes_mm3"])
        for (name, mask), one in zip(masks.items(), wanted, strict=True):
            assert mask.dtype == np.uint8
            assert (mask == one).all()
            assert record["volumes_mm3"][name] == pytest.approx(one.sum() * VOXEL)


def test_masks_lie_on_the_grid_of_the_input(calibration, cohort, tmp_path):
    grid = Grid(
        shape=(4, 16, 16),
        spacing=(3.0, 0.8, 0.8),
        origin=(-12.5, 30.0, 7.25),
        direction=(0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, -1.0),
    )
    case = tt.Case("c", members=[Volume(member, grid) for member in cohort[0].read().members])
    write_masks(calibration, [case], folder=tmp_path / "out", n=1, ending="mha")
    image = sitk.ReadImage(str(tmp_path / "out" / "c" / "mask_01.mha"))
    assert image.GetSpacing() == pytest.approx((0.8, 0.8, 3.0))
    assert image.GetOrigin() == pytest.approx(grid.origin)
    assert image.GetDirection() == pytest.approx(grid.direction)


def test_over_many_masks_the_frequency_is_the_response(calibration, cohort, tmp_path):
    roi = np.zeros((4, 16, 16), np.uint8)
    roi[:, 3:13, 2:12] = 1
    case = tt.Case("c", members=cohort[1].read().members, roi=roi, spacing=(3.0, 0.8, 0.8))
    silent = calibration.model_copy(update={"guard": None})
    (place,) = write_masks(silent, [case], folder=tmp_path / "out", n=400, ending="nii")
    masks = masks_of(place)
    assert next(iter(masks)) == "mask_001.nii"
    frequency, response = np.mean(list(masks.values()), axis=0), silent.apply(case)
    # Five standard errors, at each of a thousand voxels.
    assert (np.abs(frequency - response) <= 5 * np.sqrt(response * (1 - response) / 400) + 1e-6).all()
    assert not frequency[roi == 0].any()
    record = json.loads((place / "masks.json").read_text(encoding="utf-8"))
    volumes = list(record["volumes_mm3"].values())
    error = np.std(volumes) / np.sqrt(400)
    assert np.mean(volumes) == pytest.approx(record["expected_volume_mm3"], abs=4 * error)


def test_a_case_has_the_same_masks_whatever_else_is_drawn(calibration, cohort, tmp_path):
    write_masks(calibration, cohort, folder=tmp_path / "all", n=3, seed=7)
    write_masks(calibration, cohort[::-1], folder=tmp_path / "reversed", n=3, seed=7)
    write_masks(calibration, cohort[1:2], folder=tmp_path / "one", n=2, seed=7)
    write_masks(calibration, cohort[1:2], folder=tmp_path / "other", n=2, seed=8)
    together, reverse = tree(tmp_path / "all"), tree(tmp_path / "reversed")
    del together["flags.json"], reverse["flags.json"]
    assert together == reverse
    for name in ("case1/mask_01.nii.gz", "case1/mask_02.nii.gz"):
        assert (tmp_path / "one" / name).read_bytes() == together[name]
        assert (tmp_path / "other" / name).read_bytes() != together[name]
    assert together["case0/mask_01.nii.gz"] != together["case1/mask_01.nii.gz"]


def test_where_nothing_is_predicted_masks_are_empty(calibration, tmp_path):
    case = tt.Case("c", members=[np.zeros((4, 16, 16), np.float32)] * 2, spacing=(3.0, 0.8, 0.8))
    (place,) = write_masks(calibration, [case], folder=tmp_path / "out", n=2)
    assert json.loads((place / "masks.json").read_text(encoding="utf-8"))["volumes_mm3"] == {
        "mask_01.nii.gz": 0,
        "mask_02.nii.gz": 0,
    }
    assert not any(mask.any() for mask in masks_of(place).values())


def test_flags_travel_with_the_masks(calibration, cohort, tmp_path):
    odd, seen = make_case(9, n_members=3), {}
    with pytest.warns(TwinTrackWarning, match="it has 3 members"):
        write_masks(
            calibration,
            [cohort[0], odd],
            folder=tmp_path,
            n=1,
            on_flagged=lambda case, why: seen.update({case.id: why}),
        )
    flags = json.loads((tmp_path / "flags.json").read_text(encoding="utf-8"))
    assert flags["checked"] == ["case0", "case9"]
    assert flags["flags"] == {"case9": ["it has 3 members, the fitted cases [2]"]}
    assert seen == {"case9": ("it has 3 members, the fitted cases [2]",)}


def test_what_is_refused_before_anything_is_written(calibration, cohort, tmp_path):
    bare = calibration.model_copy(update={"rater_field": None})
    with pytest.raises(CalibrationError, match=r"does not say how raters' masks vary.*twintrack fit --masks"):
        write_masks(bare, cohort, folder=tmp_path / "out", n=1)
    for n, seed in ((0, 0), (1, -1)):
        with pytest.raises(InputError, match=f"one mask or more and a seed from 0; got n={n}, seed={seed}"):
            write_masks(calibration, cohort, folder=tmp_path / "out", n=n, seed=seed)
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(OutputError, match=f"{name}: it exists and is not an empty folder; name a new one"):
            write_masks(calibration, cohort, folder=tmp_path / name, n=1)
    assert tree(tmp_path) == {"full/notes.txt": b"mine", "file": b"mine"}


def test_a_case_that_cannot_be_used_stops_the_work_or_is_left_out(calibration, cohort, tmp_path):
    unknown = tt.Case("u", members=cohort[0].read().members)
    outside = make_case(4, name="../escaped")
    for case, message in ((unknown, "case u: the voxel size is not known"), (outside, "cannot be a file name")):
        with pytest.raises(CohortError, match=message):
            write_masks(calibration, [case], folder=tmp_path / "out", n=1)
    bad = []
    (place,) = write_masks(
        calibration,
        [unknown, outside, cohort[0]],
        folder=tmp_path / "out",
        n=1,
        on_bad=lambda case, error: bad.append(case.id),
    )
    assert (place.name, bad) == ("case0", ["u", "../escaped"])
    assert not list(tmp_path.rglob("*escaped*"))
