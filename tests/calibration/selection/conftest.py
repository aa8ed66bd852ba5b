"""Blobs whose true response is known, and what is told of the fits to them."""

import numpy as np
import pytest
from scipy.special import expit

import twintrack as tt
from twintrack.calibration.conditional.fit import Terms
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Reference, Units
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection.candidates import PRIOR_CASES, judge

STRENGTHS = {(towards, cases) for towards, several in PRIOR_CASES.items() for cases in several}
UNITS = Units(voxel=(3.0, 0.5, 5.0, 0.2, 0.1, 0.5, 1.0), case_centre=(1.5, 0.1, 0.1), case=(0.5, 0.2, 0.2))


def make_case(seed, *, sharpness=1.0, bias=0.0, patient=None, n_raters=3, shape=(22, 24)):
    """A blob: each rater draws a voxel with the true response; the ensemble's logit is `sharpness` times the true one.

    `bias` is added to the ensemble's logit.
    """
    rng = np.random.default_rng(seed)
    y, x = (np.arange(size) - size / 2 + rng.normal() for size in shape)
    true = rng.uniform(4, 8) - np.hypot(y[:, None], x)
    p = expit(sharpness * true + bias)
    apart = 0.3 * np.minimum(p, 1 - p) * rng.uniform(-1, 1, shape)
    raters = [(rng.random(shape) < expit(true)).astype(np.uint8) for _ in range(n_raters)]
    members = [(p + apart).astype(np.float32), (p - apart).astype(np.float32)]
    return tt.Case(f"c{seed}", members=members, raters=raters, spacing=(1.0, 1.0), patient=patient)


def samples_of(n, *, first=0, **options):
    cases = [make_case(seed, **options) for seed in range(first, first + n)]
    return [CaseSample.of(case, case.read()) for case in cases]


@pytest.fixture(scope="module")
def reference():
    """What a case of this kind tells, with the units above."""
    zero = np.zeros(N_COEFFICIENTS)
    told = [Terms.of(sample, UNITS).derivatives(zero)[1] for sample in samples_of(6, first=900)]
    information = np.mean(told, axis=0) + 1e-3 * np.eye(N_COEFFICIENTS)
    return Reference(
        units=UNITS,
        coefficients=(0.1,) * N_COEFFICIENTS,
        information=tuple(map(tuple, information.tolist())),
        about="blobs",
    )


def score_of(selection, name):
    return next(one for one in selection.candidates if one.name == name)


def expected_volume(fitted, sample):
    found = judge(fitted, sample)
    return sample.low.weight @ found.low + sample.high.weight @ found.high
