"""The wider scores on real raters: what must hold between them, whatever the figures are."""

import csv

import numpy as np
import pytest
import SimpleITK
from scipy.stats import pearsonr

from twintrack.evaluation.scores.adaptive import adaptive_calibration_error, average_calibration_error
from twintrack.evaluation.scores.boundary import boundary_aware_calibration_error, boundary_region_calibration_error
from twintrack.evaluation.scores.ceiling import leave_one_out, leave_one_out_response
from twintrack.evaluation.scores.corp import ResponsePoints, corp, corp_of_points
from twintrack.evaluation.scores.energy_distance import binarise, energy_distance
from twintrack.evaluation.scores.lesions import lesion_scores
from twintrack.evaluation.scores.response_scores import brier, brier_to_labels, disagreement, log_score
from twintrack.evaluation.scores.selective import voxel_risk_coverage
from twintrack.evaluation.scores.space import spatially_aware_calibration_error
from twintrack.evaluation.scores.surface import agreement_surface_scores
from twintrack.evaluation.scores.variance import bernoulli_variance, rater_variance, variance_ncc
from twintrack.raters import case_agreement, response


def read(files):
    return [SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))) for file in files]


@pytest.fixture(scope="module")
def nodules(data_dir):
    """Members and raters of 40 lung nodules on 1 x 71 x 71 voxels, four raters each."""
    with (data_dir / "lidc2d" / "cases.csv").open() as file:
        names = [row["case"] for row in csv.DictReader(file) if row["raters"] == "4" and row["split"] != "train"][:40]
    cases = []
    for name in names:
        masks = [mask.astype(np.uint8) for mask in read(sorted((data_dir / "lidc2d" / name).glob("annotation_*")))]
        files = [data_dir / "lidc2d_predictions" / f"member_{m}" / f"{name}.npz" for m in (1, 2, 3)]
        cases.append(([np.load(file)["probabilities"][1] for file in files], masks))
    assert len(cases) == 40
    return cases


@pytest.fixture(scope="module")
def kidneys(data_dir):
    """Three raters' tumours of six kidneys in 3-D, with the spacing in array order."""
    cases = []
    for folder in sorted((data_dir / "kits23_raters").iterdir())[:6]:
        files = sorted(folder.glob("annotation_*.nii.gz"))
        spacing = SimpleITK.ReadImage(str(files[0])).GetSpacing()[::-1]
        cases.append(([(mask == 2).astype(np.uint8) for mask in read(files)], spacing))
    return cases


def test_the_response_beats_the_ensemble_on_every_score_of_the_response(nodules):
    for members, masks in nodules:
        p, r = np.mean(members, axis=0), response(masks)
        options = {"spacing": (1, 0.7, 0.7)}
        for score in (brier, log_score, adaptive_calibration_error, average_calibration_error):
            assert score(r, r) < score(p, r)
        assert brier_to_labels(r, r) == pytest.approx(disagreement(r))
        for score in (
            lambda x: boundary_aware_calibration_error(x, masks, **options),  # noqa: B023 - called within the loop
            lambda x: boundary_region_calibration_error(x, masks, distance=3, **options),  # noqa: B023
            lambda x: spatially_aware_calibration_error(x, masks, sigma=1, **options),  # noqa: B023
        ):
            assert score(r) == pytest.approx(0, abs=1e-6)
            assert score(p) > 1e-4


def test_corp_of_the_cohort_decomposes_its_squared_error(nodules):
    maps = [(np.mean(members, axis=0), response(masks)) for members, masks in nodules]
    points = ResponsePoints.of(*maps[0])
    for p, r in maps[1:]:
        points = points + ResponsePoints.of(p, r)
    cohort = corp_of_points(points)
    # All cases have the same number of pixels, so the cohort's error is the mean of theirs.
    assert cohort.score == pytest.approx(np.mean([brier(p, r) for p, r in maps]), rel=1e-6)
    assert cohort.score == pytest.approx(cohort.miscalibration - cohort.discrimination + cohort.uncertainty)
    # Recalibrating each case with its own map takes away at least as much as one map for all.
    assert np.mean([corp(p, r).miscalibration for p, r in maps]) >= cohort.miscalibration
    assert cohort.discrimination > 0.5 * cohort.uncertainty


def test_energy_distance_knows_the_raters_disagreement(nodules):
    for members, masks in nodules:
        found = energy_distance(binarise(members), masks, overlap="dice")
        between = [1 - case_agreement([a, b], voxel_volume=1).dice[0, 1] for a in masks for b in masks]
        assert found.raters == pytest.approx(np.mean(between))
        assert found.value >= 0
        assert energy_distance(masks, masks, overlap="dice").value == pytest.approx(0, abs=1e-12)


def test_uncertainty_and_confidence_point_at_the_ambiguous_pixels(nodules):
    ncc, excess = [], []
    for members, masks in nodules:
        p = np.mean(members, axis=0)
        found = variance_ncc(bernoulli_variance(p), masks)
        expected = pearsonr((p * (1 - p)).ravel(), rater_variance(masks).ravel()).statistic
        assert found == pytest.approx(expected, abs=1e-5)
        ncc.append(found)
        curve = voxel_risk_coverage(p, masks)
        assert 0 <= curve.excess_area < curve.risk[-1]
        assert curve.area < curve.risk[-1]
        assert curve.risk[-1] == pytest.approx(brier(p, response(masks)), rel=1e-5)
        excess.append(curve.excess_area)
    assert np.mean(ncc) > 0.4


def test_each_rater_against_the_others_is_the_human_ceiling(nodules):
    for _, masks in nodules:

        def squared(p, others):
            return brier(p, response(others))

        single, panel = leave_one_out(masks, squared), leave_one_out_response(masks, squared)
        r = response(masks)
        # Σ_k (y_k − mean of the others)² = (K / (K − 1))² Σ_k (y_k − r)², and the latter is K r (1 − r).
        assert np.mean(panel) == pytest.approx((4 / 3) ** 2 * disagreement(r), rel=1e-5)
        assert np.mean(single) == pytest.approx(np.mean(panel), rel=1e-5)


def test_surfaces_and_lesions_of_three_dimensional_raters(kidneys):
    for masks, spacing in kidneys:
        r = response(masks)
        own = agreement_surface_scores(r, masks, spacing=spacing, tolerance=0)
        assert [(one.assd, one.hd95, one.surface_dice) for one in own] == [(0, 0, 1)] * 3
        one_rater = agreement_surface_scores(masks[0], masks, spacing=spacing, tolerance=2)
        assert all(0 <= found.assd <= found.hd95 for found in one_rater)
        lesions = lesion_scores(r, masks, spacing=spacing, level=0.5, threshold=0.5)
        assert lesions.f1 == 1
        assert sum(lesions.volume_errors) == 0
        votes = np.sum(masks, axis=0)
        assert sum(lesions.reference_volumes) == pytest.approx((votes >= 2).sum() * np.prod(spacing))
