"""The whole protocol: its result, its edge cases, real data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK

from twintrack.errors import TwinTrackWarning
from twintrack.evaluation import pdacvi

NAMES = {1: "one", 2: "two", 3: "three"}


def read(path):
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def ball(shape, centre, radius):
    return (np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - centre, axis=-1) < radius).astype(np.uint8)


def test_the_result_has_every_part(random_case):
    case = random_case(1, shape=(42, 42, 42), n_raters=3)
    case["vessels"] = np.zeros((42, 42, 42), dtype=np.uint8)
    case["vessels"][10:20] = np.arange(42) % 5 + 1
    scores = pdacvi.score(**case, variant="corrected")
    assert list(scores) == ["thresh_dsc", "dsc_staple", "ece", "ece_mean", "crps", "vi", "vi_degrees"]
    assert list(scores["ece"]) == ["0", "1", "2"]
    assert list(scores["vi"]) == list(scores["vi_degrees"]) == ["PORTA", "SMV", "AORTA", "CELIAC TRUNK", "SMA"]
    assert all(list(planes) == ["cor", "sag", "ax"] for planes in scores["vi_degrees"].values())
    plane = scores["vi_degrees"]["SMA"]["ax"]
    assert (len(plane["raters"]), len(plane["prediction"])) == (3, 6)


def test_a_vessels_score_is_the_mean_over_planes(random_case):
    scores = pdacvi.score(**random_case(7), vessel_names=NAMES, variant="corrected")
    for name, planes in scores["vi_degrees"].items():
        means = [pdacvi.vascular.sample_distance(plane["raters"], plane["prediction"]) for plane in planes.values()]
        assert scores["vi"][name] == pytest.approx(np.mean(means))


def test_vessels_are_optional(random_case):
    case = random_case(1)
    del case["vessels"]
    scores = pdacvi.score(**case, variant="corrected")
    assert scores["vi"] == {}
    assert scores["vi_degrees"] == {}


@pytest.mark.parametrize("variant", pdacvi.VARIANTS)
def test_the_arrays_are_left_as_they_are_and_the_result_is_the_same_again(random_case, variant):
    case = random_case(9, shape=(45, 45, 45))
    before = {key: array.copy() for key, array in case.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twintrack.evaluation.pdacvi.scoring._warn", lambda message: None)
        first, second = (pdacvi.score(**case, vessel_names=NAMES, variant=variant) for _ in range(2))
    np.testing.assert_equal(first, second)
    for key, array in case.items():
        assert (array == before[key]).all()


def test_the_volume_score_scales_with_the_voxel():
    raters = np.stack([ball((20, 20, 20), 10, radius) for radius in (4, 5, 6)])
    probability = ball((20, 20, 20), 10, 7).astype(np.float32)
    one, half, spaced = (
        pdacvi.score(raters, probability, variant="corrected", **size)["crps"]
        for size in ({}, {"voxel_volume": 0.5}, {"spacing": (2.0, 0.5, 0.5)})
    )
    assert half == pytest.approx(one / 2)
    assert spaced == half


def test_no_rater_drew_anything():
    raters, probability = np.zeros((3, 9, 9, 9), dtype=np.uint8), np.zeros((9, 9, 9), dtype=np.float32)
    probability[4, 4, 4:6] = 0.75
    corrected = pdacvi.score(raters, probability, variant="corrected")
    assert corrected["thresh_dsc"] == pytest.approx(1 / 6)  # at 0.8 both are empty
    assert corrected["dsc_staple"] == 0
    assert corrected["crps"] == 1.5  # |0 - 2 x 0.75|
    assert corrected["ece_mean"] == pytest.approx(0.75 * 2 / 9**3)
    with pytest.warns(TwinTrackWarning):
        official = pdacvi.score(raters, probability)
    assert math.isnan(official["ece_mean"])
    assert official["crps"] == 0


def test_nobody_drew_anything_and_nothing_was_predicted():
    vessels = ball((9, 9, 9), 4, 2)
    nothing = np.zeros((9, 9, 9), dtype=np.float32)
    scores = pdacvi.score(
        np.zeros((3, 9, 9, 9), dtype=np.uint8), nothing, vessels=vessels, vessel_names={1: "V"}, variant="corrected"
    )
    assert scores["thresh_dsc"] == scores["dsc_staple"] == 1
    assert scores["ece_mean"] == scores["crps"] == scores["vi"]["V"] == 0


def test_an_empty_prediction():
    raters = np.stack([ball((50, 50, 50), 25, radius) for radius in (3, 4)])
    nothing = np.zeros((50, 50, 50), dtype=np.float32)
    for variant in pdacvi.VARIANTS:
        scores = pdacvi.score(raters, nothing, variant=variant)
        assert scores["thresh_dsc"] == scores["dsc_staple"] == 0
        assert 0 < scores["ece_mean"] < 0.01
        assert scores["crps"] > 0


def test_a_saturated_prediction():
    raters = np.stack([ball((50, 50, 50), 25, radius) for radius in (3, 4)])
    voxels = raters.sum(axis=(1, 2, 3)).astype(float)
    scores = pdacvi.score(raters, np.ones((50, 50, 50), dtype=np.float32), variant="corrected")
    # 125000 is far beyond any spread of the raters: CRPS = distance - sd / sqrt(pi).
    assert scores["crps"] == pytest.approx(125000 - voxels.mean() - voxels.std() / np.sqrt(np.pi))
    # The larger ball spans 25 +- 3; grown by 20 to both sides that makes 47 voxels along each axis.
    assert scores["ece"]["1"] == pytest.approx(1 - voxels[1] / 47**3)


@pytest.mark.parametrize("variant", pdacvi.VARIANTS)
def test_a_single_rater(variant):
    mask = ball((50, 50, 50), 25, 4)
    shifted = np.roll(mask, 2, axis=0).astype(np.float32)
    vessels = ball((50, 50, 50), (25, 25, 31), 4) * (1 - mask)
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr("twintrack.evaluation.pdacvi.scoring._warn", said.append)
        scores = pdacvi.score(mask[None], shifted, vessels=vessels, vessel_names={1: "V"}, variant=variant)
    assert len(said) == (variant == "official")
    assert scores["crps"] == 0  # equal volumes: 0 by the quirk and 0 by the limit
    assert scores["dsc_staple"] == scores["thresh_dsc"] == pytest.approx(2 * (mask * shifted).sum() / (2 * mask.sum()))
    assert scores["vi_degrees"]["V"]["cor"]["raters"][0] > 0


def test_tumour_at_the_lower_border_is_nan_or_nonsense_in_official_and_a_number_in_corrected():
    raters = np.stack([ball((60, 60, 60), (5, 30, 30), radius) for radius in (3, 4)])
    probability = raters.mean(axis=0).astype(np.float32)
    with pytest.warns(TwinTrackWarning, match="ece is NaN"):
        assert math.isnan(pdacvi.score(raters, probability)["ece_mean"])
    with pytest.warns(TwinTrackWarning, match="ece carries no meaning"):
        nonsense = pdacvi.score(raters[:, :30], probability[:30])["ece_mean"]
    assert nonsense == 0  # the box begins at 2 - 20 + 30 = 12, beyond the last voxel of the tumour
    assert pdacvi.score(raters, probability, variant="corrected")["ece_mean"] > 0


def test_tumour_at_the_upper_border_is_harmless():
    raters = np.stack([ball((60, 60, 60), (55, 30, 30), radius) for radius in (3, 4)])
    probability = raters.mean(axis=0).astype(np.float32)
    assert pdacvi.score(raters, probability)["ece_mean"] > 0


@pytest.mark.parametrize("variant", pdacvi.VARIANTS)
def test_a_2d_image_scores_as_a_volume_of_one_slice(variant):
    raters = np.stack([ball((50, 50), 25, radius) for radius in (3, 5, 6)])
    probability = raters.mean(axis=0).astype(np.float32)
    flat = pdacvi.score(raters, probability, variant=variant)
    assert flat["thresh_dsc"] == pytest.approx(1)
    assert 0 < flat["ece_mean"] < 1
    if variant == "corrected":
        assert flat == pdacvi.score(raters[:, None], probability[None], variant=variant)


def test_warnings_point_at_the_caller():
    with pytest.warns(TwinTrackWarning) as caught:
        pdacvi.score(np.zeros((2, 5, 5, 5), dtype=np.uint8), np.zeros((5, 5, 5), dtype=np.float32))
    assert {warning.filename for warning in caught} == {__file__}


def test_an_absent_vessel_is_warned_of():
    mask = ball((50, 50, 50), 25, 4)
    other = ball((50, 50, 50), 25, 5)
    vessels = ball((50, 50, 50), (25, 25, 31), 2)
    for variant, value in (("official", "0, the best there is"), ("corrected", "NaN")):
        with pytest.warns(TwinTrackWarning, match=f"vi is {value}.*: B$"):
            pdacvi.score(
                np.stack([mask, other]),
                mask.astype(np.float32),
                vessels=vessels,
                vessel_names={1: "A", 2: "B"},
                variant=variant,
            )


def test_real_raters_of_kidney_tumours(data_dir):
    case = sorted((data_dir / "kits23_raters").iterdir())[0]
    raters = np.stack([read(path) == 2 for path in sorted(case.glob("annotation_*.nii.gz"))]).astype(np.uint8)
    assert len(raters) == 3
    assert raters.any()
    kidney = (read(case / "annotation_1.nii.gz") == 1).astype(np.uint8)
    scores = pdacvi.score(
        raters,
        raters.mean(axis=0).astype(np.float32),
        vessels=kidney,
        vessel_names={1: "KIDNEY"},
        variant="corrected",
    )
    assert scores["thresh_dsc"] == 1
    assert scores["dsc_staple"] > 0.8
    voxels = raters.sum(axis=(1, 2, 3)).astype(float)
    # The response's volume is the raters' mean volume: the score is that at the centre of their Gaussian.
    centre = voxels.std() * (np.sqrt(2) - 1) / np.sqrt(np.pi)
    assert scores["crps"] == pytest.approx(centre, rel=1e-5, abs=1e-3)
    assert 0 <= scores["vi"]["KIDNEY"] < 60


def test_real_raters_and_a_real_ensemble_of_lung_nodules(data_dir):
    folder = data_dir / "lidc2d_predictions" / "member_1"
    names = sorted(path.stem for path in folder.glob("*.npz"))[:20]
    assert names
    scored = 0
    for name in names:
        paths = sorted((data_dir / "lidc2d" / name).glob("annotation_*.nii.gz"))
        raters = np.stack([read(path) for path in paths]).astype(np.uint8).reshape(len(paths), 71, 71)
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            probability = arrays["probabilities"][1].reshape(71, 71)
        scores = pdacvi.score(raters, np.clip(probability, 0, 1), variant="corrected")
        assert 0 <= scores["thresh_dsc"] <= 1
        assert 0 <= scores["ece_mean"] < 0.2
        scored += scores["dsc_staple"] > 0.5
    assert scored > len(names) / 2
