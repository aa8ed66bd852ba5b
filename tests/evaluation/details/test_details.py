"""What an evaluation keeps beside its scores: complete, the same every time, read back, refused where altered."""

import json

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import InputError, TwinTrackWarning
from twintrack.evaluation import write_evaluation
from twintrack.evaluation.details.files import read_details

SHAPE, SPACING = (6, 30, 32), (3.0, 0.8, 0.8)


def make_case(number, **options):
    rng = np.random.default_rng(number)
    z, y, x = np.mgrid[tuple(slice(size) for size in SHAPE)]
    distance = np.hypot(y - 14, x - 12) + 2 * np.abs(z - 3)
    p = (1 / (1 + np.exp(distance - 6 - number + 0.4 * rng.normal(size=SHAPE)))).astype(np.float32)
    raters = [(distance + 0.5 * rng.normal(size=SHAPE) < 5 + k).astype(np.uint8) for k in range(3)]
    return tt.Case(f"c{number}", probability=p, raters=raters, spacing=SPACING, patient=f"p{number // 2}", **options)


@pytest.fixture
def cases():
    return [make_case(number, image=np.full(SHAPE, 40.0, np.float32)) for number in range(5)]


@pytest.fixture
def fitted(cases):
    return tt.fit(cases, method="isotonic", replicates=4)


def test_each_case_is_described(cases, fitted):
    found = tt.evaluate(cases, calibration=fitted, repeats=5, details=True)
    assert [one.about.case for one in found.details.cases] == [case.id for case in cases]
    case, one = cases[1].read(), found.details.cases[1]
    voxel = float(np.prod(SPACING))
    masks = list(case.raters.values())
    votes = np.sum(masks, axis=0)
    assert one.about.drawn == pytest.approx({k: m.sum() * voxel for k, m in zip("123", masks, strict=True)})
    assert one.about.agreed == pytest.approx([(votes >= k).sum() * voxel for k in (1, 2, 3)])
    response = fitted.apply(case)
    assert one.about.expected["calibrated"] == pytest.approx(response.sum(dtype=float) * voxel)
    estimate = fitted.estimate_volume(response, voxel_volume=voxel)
    assert one.about.interval["calibrated"] == estimate.interval
    assert one.change["calibrated"].sum() == np.count_nonzero(case.probability())
    assert found.details.calibrations["calibrated"].n_cases == 5


def test_scores_do_not_depend_on_details(cases, fitted):
    plain = tt.evaluate(cases, calibration=fitted, repeats=5)
    found = tt.evaluate(cases, calibration=fitted, repeats=5, details=True)
    assert plain.details is None
    assert found.summary == plain.summary
    assert found.per_case == plain.per_case


def test_files_are_read_back_and_are_the_same_every_time(cases, fitted, tmp_path):
    for name in ("one", "two"):
        found = tt.evaluate(cases, calibration=fitted, repeats=5, details=True)
        written = write_evaluation(found, tmp_path / name)
        assert [path.name for path in written] == ["scores.csv", "summary.json", "details.json", "details.npz"]
    for path in written:
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()
    back, given = read_details(tmp_path / "one"), found.details
    assert [case.about for case in back.cases] == [case.about for case in given.cases]
    assert (back.calibrations, back.n_left_out, back.software) == (given.calibrations, 0, given.software)
    for one, other in zip(back.cases, given.cases, strict=True):
        for name in ("raw", "calibrated"):
            for part in ("strip", "probability", "votes"):
                assert np.array_equal(getattr(one.counts[name], part), getattr(other.counts[name], part))
        assert np.array_equal(one.change["calibrated"], other.change["calibrated"])
    for one, other in zip(back.pictures, given.pictures, strict=True):
        assert one.about == other.about
        assert np.array_equal(one.votes, other.votes)
        assert np.array_equal(one.ct, other.ct)
        assert all(np.array_equal(one.maps[name], other.maps[name]) for name in other.maps)


def test_cases_left_out_are_counted(cases, fitted):
    bad = tt.Case("bad", probability=np.full((2, 2), np.nan, np.float32), raters=[np.ones((2, 2), np.uint8)])
    found = tt.evaluate([bad, *cases], calibration=fitted, repeats=5, details=True, on_bad=lambda case, error: None)
    assert found.details.n_left_out == 1


def test_an_evaluation_without_details_has_none(cases, tmp_path):
    write_evaluation(tt.evaluate(cases, repeats=5), tmp_path)
    assert read_details(tmp_path) is None


@pytest.fixture
def written(cases, fitted, tmp_path):
    write_evaluation(tt.evaluate(cases, calibration=fitted, repeats=5, details=True), tmp_path)
    return tmp_path


def change(folder, **fields):
    path = folder / "details.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields))


def refused(folder, match):
    with pytest.raises(InputError, match=match):
        read_details(folder)


def test_details_of_a_newer_version(written):
    change(written, schema_version=99)
    refused(written, "schema version 99; this TwinTrack knows versions up to 1. Upgrade TwinTrack")


def test_details_that_are_none(written):
    change(written, cases="none")
    refused(written, "details.json is not what `twintrack evaluate` writes: cases")
    (written / "details.json").write_text("[1]")
    refused(written, "does not say its schema_version")
    (written / "details.json").write_text('{"schema_version": 1')
    refused(written, "is not JSON")


def test_details_counted_in_other_strips(written):
    change(written, strips=7)
    refused(written, "counts 7 strips of probability, not .*twintrack evaluate")


def test_arrays_that_were_altered_or_lost(written):
    arrays = written / "details.npz"
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1
    arrays.write_bytes(content)
    refused(written, r"details.npz is not the file that .*details.json was written with. Make it again")
    arrays.unlink()
    refused(written, "details.npz: No such file")


def test_the_best_median_and_worst_case_are_kept_around_what_matters(cases, fitted):
    found = tt.evaluate(cases, calibration=fitted, repeats=5, details=True)
    dice = sorted((row["thresh_dsc"], row["case"]) for row in found.per_case if row["prediction"] == "calibrated")
    best, median, worst = found.details.pictures
    assert [one.about.case for one in (best, median, worst)] == [dice[-1][1], dice[2][1], dice[0][1]]
    assert [one.about.roles for one in (best, median, worst)] == [("best",), ("median",), ("worst",)]
    case = next(one for one in cases if one.id == best.about.case).read()
    votes = np.sum(list(case.raters.values()), axis=0)
    first = best.about.first_slice - 1
    kept = best.votes
    assert kept.sum() == votes.sum()  # nothing that a rater drew is cut off
    assert kept.max() == 3
    inside = votes[first : first + kept.shape[0]]
    assert kept.sum(axis=(1, 2)).tolist() == inside.sum(axis=(1, 2)).tolist()
    assert best.maps["raw"].max() == round(float(case.probability().max()) * 255)
    assert best.about.window == (-110, 220)
    assert best.ct.max() == round((40 + 110) / 330 * 255)
    assert best.about.pixel == (0.8, 0.8)


def test_large_parts_are_thinned(fitted):
    rng = np.random.default_rng(0)
    p = rng.random((2, 400, 300), dtype=np.float32)
    case = tt.Case("large", probability=p, raters=[(p > 0.5).astype(np.uint8)] * 2, spacing=SPACING)
    (picture,) = tt.evaluate([case], repeats=2, details=True).details.pictures
    assert picture.about.step == (1, 3, 2)
    assert picture.votes.shape == picture.about.shape == (2, 134, 150)
    assert np.array_equal(picture.votes[:, 1, 1], 2 * (p[:, 3, 2] > 0.5))
    assert picture.about.pixel == pytest.approx((2.4, 1.6))


def test_slices_are_turned_as_radiologists_look_at_them():
    case = make_case(1)
    data = case.read()
    direction = (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)  # rows towards the front, columns to the right
    grid = tt.Grid(shape=SHAPE, spacing=SPACING, origin=(0, 0, 0), direction=direction)
    turned = tt.Case("turned", probability=data.probability(), raters=list(data.raters.values()), grid=grid)
    (one,), (other,) = (tt.evaluate([c], repeats=2, details=True).details.pictures for c in (case, turned))
    assert np.array_equal(one.votes, other.votes[:, ::-1, ::-1])


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (None, "there is no CT beside its masks"),
        (np.zeros((2, 2, 2), np.float32), "its CT does not lie on the masks' grid: the shapes differ"),
    ],
)
def test_a_case_without_a_ct_that_fits_is_drawn_without(image, reason):
    shown = None if image is None else tt.Volume.from_array(image, spacing=SPACING)
    case = make_case(0, image=shown)
    if image is None:
        (picture,) = tt.evaluate([case], repeats=2, details=True).details.pictures
    else:
        with pytest.warns(TwinTrackWarning, match="case c0: its CT does not lie"):
            (picture,) = tt.evaluate([case], repeats=2, details=True).details.pictures
    assert reason in picture.about.no_ct
    assert picture.ct is None


def test_a_ct_that_cannot_be_read_is_no_reason_to_stop(tmp_path):
    path = tmp_path / "image.nii.gz"
    path.write_bytes(b"none")
    case = make_case(0, image=path)
    with pytest.warns(TwinTrackWarning, match="its CT cannot be read"):
        tt.evaluate([case], repeats=2, details=True)


def test_lungs_are_shown_in_their_window():
    ct = np.full(SHAPE, -800.0, np.float32)
    (picture,) = tt.evaluate([make_case(0, image=ct)], repeats=2, details=True).details.pictures
    assert picture.about.window == (-1250, 250)
