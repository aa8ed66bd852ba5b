import warnings

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import InputError, TwinTrackWarning
from twintrack.evaluation import pdacvi
from twintrack.evaluation.protocols import PROTOCOLS, CaseScores, Score, ScoringProtocol


def make_case(seed, *, shape=(30, 60, 60), vessels=True, **options):
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    centre = np.array(shape) / 2
    distance = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
    raters = [(distance < 5 + rng.normal()).astype(np.uint8) for _ in range(4)]
    p = (1 / (1 + np.exp(2 * (distance - 5.5)))).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    labels[:, 28:33, 36:40] = 5
    return tt.Case(
        f"case{seed}",
        probability=p,
        raters=raters,
        vessels=labels if vessels else None,
        spacing=(2.0, 0.7, 0.7),
        **options,
    )


@pytest.mark.parametrize("variant", ["official", "corrected"])
def test_pdacvi_protocol_gives_the_scores_of_the_benchmark(variant):
    case = make_case(0)
    data = case.read(vessels=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinTrackWarning)
        expected = pdacvi.score(
            list(data.raters.values()),
            data.members[0],
            vessels=data.vessels,
            voxel_volume=2.0 * 0.7 * 0.7,
            variant=variant,
        )
        found = tt.evaluate([case], protocol=f"pdacvi-{variant}", repeats=2)
    (row,) = found.per_case
    for name in ("thresh_dsc", "dsc_staple", "ece_mean", "crps"):
        assert row[name] == expected[name]
    assert row["vi_SMA"] == expected["vi"]["SMA"]
    assert found.summary["protocol"] == f"pdacvi-{variant}"
    assert found.summary["scores"]["vi_SMA"]["unit"] == "°"
    assert found.summary["reliability"] == {}


def test_pdacvi_protocol_without_vessels_has_no_involvement():
    found = tt.evaluate([make_case(0, vessels=False)], protocol="pdacvi-corrected", repeats=2)
    assert set(found.summary["scores"]) == {"thresh_dsc", "dsc_staple", "ece_mean", "crps"}


def test_warnings_name_the_case():
    case = make_case(7, shape=(12, 30, 30), vessels=False)  # nearer than 20 voxels to the border
    with pytest.warns(TwinTrackWarning, match="case case7: ece"):
        tt.evaluate([case], protocol="pdacvi-official", repeats=2)


def test_a_calibration_is_scored_by_every_protocol():
    cases = [make_case(k) for k in range(2)]
    calibration = tt.fit(cases, method="isotonic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinTrackWarning)
        for name in PROTOCOLS:
            found = tt.evaluate(cases, calibration=calibration, protocol=name, repeats=2)
            assert {row["prediction"] for row in found.per_case} == {"raw", "calibrated"}


def test_an_unknown_protocol_is_named():
    with pytest.raises(InputError, match="unknown protocol 'magic'; known are response, extended, pdacvi-official"):
        tt.evaluate([make_case(0)], protocol="magic")


class MaximumProtocol(ScoringProtocol):
    name = "maximum"

    def describe(self, name):
        return Score(name, name, "largest probability", "higher")

    def score(self, data, prediction):
        return CaseScores({"maximum": float(prediction.max())})


def test_a_protocol_of_ones_own_is_a_class_with_two_methods():
    found = tt.evaluate([make_case(0)], protocol=MaximumProtocol(), repeats=2)
    assert found.per_case[0]["maximum"] == pytest.approx(
        found.summary["scores"]["maximum"]["predictions"]["raw"]["value"]
    )


def test_extended_protocol_of_a_prediction_equal_to_the_response():
    case = make_case(3)
    data = case.read()
    response = np.mean(list(data.raters.values()), axis=0).astype(np.float32)
    perfect = tt.Case("perfect", probability=response, raters=list(data.raters.values()), spacing=(2.0, 0.7, 0.7))
    raw = tt.evaluate([case, perfect], protocol="extended", repeats=2).per_case
    for name, best in {"miscalibration": 0, "ace": 0, "boundary_ece": 0, "aurc": 0, "excess_aurc": 0}.items():
        assert raw[1][name] == pytest.approx(best, abs=1e-6)
        assert raw[0][name] > 1e-6 or name == "excess_aurc"
    assert raw[1]["surface_dice"] == raw[1]["lesion_f1"] == 1
    assert raw[1]["variance_ncc"] == pytest.approx(1, abs=1e-6)
    assert raw[1]["log_score"] < raw[0]["log_score"]
