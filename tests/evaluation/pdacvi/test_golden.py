"""The official variant gives the figures of the benchmark's own evaluator."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

from twintrack.errors import TwinTrackWarning
from twintrack.evaluation import pdacvi
from twintrack.evaluation.pdacvi.inputs import check_inputs
from twintrack.evaluation.pdacvi.overlap import consensus
from twintrack.evaluation.pdacvi.tally import tally

CASES = (
    "all_raters_empty",
    "one_rater_empty",
    "overconfident",
    "oversegmented",
    "prediction_empty",
    "prediction_is_one_rater",
    "raters_identical",
    "tumour_at_border",
    "typical",
    "undersegmented",
)
FAILING = {
    "all_raters_empty": {"STAPLE", "OverflowError", "crps is 0"},
    "raters_identical": {"crps is 0"},
    "tumour_at_border": {"far end"},
}


@pytest.fixture(scope="module", params=CASES)
def golden(request, golden_dir):
    """Name, arrays, expected figures, our figures and our warnings."""
    expected = json.loads((golden_dir / "official.json").read_text(encoding="utf-8"))
    assert set(expected) == set(CASES)
    with np.load(golden_dir / f"{request.param}.npz", allow_pickle=False) as arrays:
        case = dict(arrays)
    arguments = {"binary": case["hard"], "vessels": case["vessels"]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours = pdacvi.score(case["raters"], case["soft"], **arguments, variant="official")
    return request.param, case, expected[request.param], ours, caught


def test_dice_is_the_evaluators(golden):
    _, _, expected, ours, _ = golden
    assert ours["thresh_dsc"] == expected["dice"]["thresh_dsc"]
    assert ours["dsc_staple"] == expected["dice"]["dsc_staple"]


def test_staple_consensus_has_the_evaluators_voxels(golden):
    _, case, expected, _, _ = golden
    found = tally(check_inputs(case["raters"], case["soft"]))
    assert found.counts[consensus(found, variant="official")].sum() == expected["staple_voxels"]


def test_calibration_error_is_the_evaluators_or_nan_where_it_fails(golden):
    _, _, expected, ours, _ = golden
    if expected["ece"] == "raises OverflowError":
        assert all(math.isnan(error) for error in ours["ece"].values())
        assert math.isnan(ours["ece_mean"])
    else:
        assert ours["ece"] == pytest.approx(expected["ece"], abs=2e-9, nan_ok=True)
        mean = np.mean(list(expected["ece"].values()))
        assert ours["ece_mean"] == pytest.approx(mean, abs=2e-9, nan_ok=True)


def test_crps_is_the_evaluators(golden):
    _, case, expected, ours, _ = golden
    assert ours["crps"] == pytest.approx(expected["crps_voxels"], rel=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinTrackWarning)
        scaled = pdacvi.score(case["raters"], case["soft"], voxel_volume=0.9)
    assert scaled["crps"] == pytest.approx(expected["crps_mm3_at_0.9"], rel=1e-12)


def test_mean_and_spread_of_degrees_are_the_evaluators_to_the_last_digit(golden):
    _, _, expected, ours, _ = golden
    found = {
        vessel: {
            plane: {
                key: [np.mean(values[ours_key]), np.std(values[ours_key]) + 1e-6]
                for key, ours_key in (("gt", "raters"), ("pred", "prediction"))
            }
            for plane, values in planes.items()
        }
        for vessel, planes in ours["vi_degrees"].items()
    }
    assert found == expected["vi"]["degrees"]


def test_distances_are_the_evaluators(golden):
    _, _, expected, ours, _ = golden
    assert ours["vi"] == pytest.approx(expected["vi"]["wasserstein"], rel=1e-12)


def test_each_failure_and_only_a_failure_is_warned_of_by_its_quirk(golden):
    name, _, _, _, caught = golden
    assert all(issubclass(warning.category, TwinTrackWarning) for warning in caught)
    quirks = FAILING.get(name, set())
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == len(quirks)
    assert all(any(quirk in message for message in messages) for quirk in quirks)


def test_corrected_is_finite_bounded_and_silent_on_every_case(golden):
    _, case, _, _, _ = golden
    scores = pdacvi.score(
        case["raters"], case["soft"], binary=case["hard"], vessels=case["vessels"], variant="corrected"
    )
    degrees = [
        value
        for planes in scores["vi_degrees"].values()
        for plane in planes.values()
        for values in plane.values()
        for value in values
    ]
    assert len(degrees) == 5 * 3 * (5 + 6)
    assert 0 <= min(degrees) <= max(degrees) <= 360
    assert all(0 <= distance <= 360 for distance in scores["vi"].values())
    assert all(0 <= error <= 1 for error in scores["ece"].values())
    assert math.isfinite(scores["crps"])


@pytest.mark.parametrize("name", ["typical", "undersegmented"])
def test_corrected_differs_little_from_official_where_no_quirk_bites(golden_dir, name):
    with np.load(golden_dir / f"{name}.npz", allow_pickle=False) as arrays:
        case = {"raters": arrays["raters"], "probability": arrays["soft"], "binary": arrays["hard"]}
    official, corrected = (pdacvi.score(**case, variant=variant) for variant in pdacvi.VARIANTS)
    assert corrected["thresh_dsc"] == pytest.approx(official["thresh_dsc"], abs=1e-8)
    assert corrected["dsc_staple"] == pytest.approx(official["dsc_staple"], abs=1e-8)
    assert corrected["crps"] == pytest.approx(official["crps"], rel=0.01)
    # The corrected box is one layer of voxels larger, and nearly all of them are right.
    assert 0.9 < corrected["ece_mean"] / official["ece_mean"] < 1
