"""The summary: plain data, worked out by hand on a prediction of a few voxels."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.case_uncertainty import ExpectedInterval
from twintrack.calibration.volumes.distribution import VolumeDistribution
from twintrack.calibration.volumes.volume import VolumeEstimate, VolumeInterval
from twintrack.pipeline.prediction import Prediction
from twintrack.pipeline.summary import describe_calibration, summarise
from twintrack.segmentation.segmentation import Segmentation

RESPONSE = np.float32([[[0.0, 0.2], [0.6, 1.0]]])


def prediction_of(response=RESPONSE, *, distribution=None, interval=None, reason=None, foreground=("tumour",)):
    grid = tt.Grid(
        shape=(3, 4, 5),
        spacing=(2.0, 1.0, 0.5),
        origin=(1.0, 2.0, 3.0),
        direction=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    )
    seen = Segmentation(
        case_id="c1",
        grid=grid,
        box=(slice(1, 2), slice(0, 2), slice(2, 4)),
        roi=np.uint8([[[0, 1], [1, 1]]]),
        members=(response, response),
        names=("a", "b"),
        roi_source="coarse",
        foreground=foreground,
    )
    volume = VolumeEstimate(float(response.sum()) * 1.0, distribution, interval, reason)
    return Prediction(seen, response, volume, 5, ("a note",), ("a flag",))


def test_a_summary_worked_out_by_hand():
    distribution = VolumeDistribution(
        np.array([0.0, 1.0, 2.0, 4.0]), np.array([0.2, 1, 0.8, 2]), np.array([True, False, True, False]), 3
    )
    found = summarise(prediction_of(distribution=distribution, interval=VolumeInterval(1.0, 2.5, 0.9, 0.6, 4)))
    found = json.loads(json.dumps(found, allow_nan=False))
    assert (found["case"], found["members"], found["foreground"]) == ("c1", ["a", "b"], ["tumour"])
    assert found["grid"]["shape"] == [3, 4, 5]
    assert found["roi"] == {"source": "coarse", "voxels": 3, "volume_mm3": 3.0, "box": [[1, 2], [0, 2], [2, 4]]}
    assert found["expected_volume_mm3"] == pytest.approx(1.8)
    assert found["interval"] == {"low_mm3": 1.0, "high_mm3": 2.5, "level": 0.9, "promised": 0.6, "n_cases": 4}
    assert found["no_interval"] is None
    assert found["expected_interval"] is None
    assert found["distribution"] == {
        "mean_mm3": pytest.approx((1.0 + 1.6 + 8.0) / 4),
        "quantiles_mm3": {"0.05": 0.0, "0.25": 1.0, "0.5": 2.0, "0.75": 4.0, "0.95": 4.0},
        "probability_empty": pytest.approx(0.05),
    }
    assert found["n_raters"] == 5
    assert found["at_least_mm3"] == {"1": 3.0, "2": 2.0, "3": 2.0, "4": 1.0, "5": 1.0}
    assert found["highest_response"] == 1.0
    assert found["notes"] == ["a note"]
    assert found["flags"] == ["a flag"]


def test_how_sure_the_expected_volume_is():
    prediction = replace(prediction_of(), expected_interval=ExpectedInterval(1.5, 2.0, 0.9, 50))
    found = summarise(prediction)["expected_interval"]
    assert found == {"low_mm3": 1.5, "high_mm3": 2.0, "level": 0.9, "n_replicates": 50}


def test_no_interval_is_null_with_its_reason():
    found = summarise(prediction_of(np.zeros_like(RESPONSE), reason="the expected volume is 0", foreground=None))
    assert found["interval"] is None
    assert found["distribution"] is None
    assert found["no_interval"] == "the expected volume is 0"
    assert found["expected_volume_mm3"] == 0
    assert found["highest_response"] == 0
    assert found["foreground"] is None


def test_the_calibration_is_named_by_the_hash_of_its_file(calibration, tmp_path):
    calibration.save(tmp_path / "c.json")
    assert describe_calibration(calibration) == {
        "sha256": hashlib.sha256((tmp_path / "c.json").read_bytes()).hexdigest(),
        "method": "isotonic",
        "target": "response",
        "n_cases": 6,
    }
