"""Maps of other draws of the patients: their number, their spread, and that cases of a patient stay together."""

import json

import numpy as np
import pytest

from twintrack.calibration.methods import fit_map
from twintrack.calibration.sample import CaseSample, Rows, curve_of
from twintrack.calibration.selection.candidates import Candidate
from twintrack.calibration.uncertainty import Uncertainty, resampled

NOTHING = Rows(*(np.empty(0) for _ in range(4)))


def sample(patient, probability, response, weight=None):
    """A case of given rows, without features: enough for methods of the probability alone."""
    p, r = np.asarray(probability, float), np.asarray(response, float)
    rows = Rows(p, r, r**2, np.ones(p.size) if weight is None else np.asarray(weight, float))
    return CaseSample(
        patient, p.size, (1,), NOTHING, rows, np.empty((p.size, 0), np.float32), traits=None, missed=0.0, rest=0.0
    )


def cohort(n, *, seed=0, noise=0.5, patients=None):
    """Cases whose odds are off by a factor of their own."""
    rng = np.random.default_rng(seed)
    p = np.linspace(0.02, 0.98, 40)
    found = []
    for k in range(n):
        odds = p / (1 - p) * np.exp(noise * rng.normal())
        found.append(sample(f"p{k if patients is None else patients[k]}", p, odds / (1 + odds)))
    return found


def fitted(samples, method="platt"):
    return fit_map(method, curve_of(samples))


def test_there_are_as_many_maps_as_wanted_of_the_same_method():
    samples = cohort(6)
    found = resampled(fitted(samples), samples, replicates=7, seed=3)
    assert [one.method for one in found.replicates] == ["platt"] * 7
    assert len({one.model_dump_json() for one in found.replicates}) > 1


def test_a_seed_gives_the_same_maps_and_another_seed_others():
    samples = cohort(6)
    one, same, other = (resampled(fitted(samples), samples, replicates=4, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_one_patient_tells_nothing_of_others():
    samples = cohort(3, patients=[0, 0, 0])
    assert resampled(fitted(samples), samples) is None


def test_cases_of_a_patient_are_drawn_together(monkeypatch):
    samples = cohort(6, patients=[0, 0, 1, 1, 2, 2])
    seen = []
    original = Candidate.fit

    def spy(self, given, reference, *, weights=None, near=None):
        seen.append(weights)
        return original(self, given, reference, weights=weights, near=near)

    monkeypatch.setattr(Candidate, "fit", spy)
    resampled(fitted(samples), samples, replicates=20)
    for weights in seen:
        assert weights[0::2] == weights[1::2]
        assert sum(weights[0::2]) == 3
    assert any(0.0 in weights for weights in seen)


def test_alike_cases_give_a_band_of_no_width_and_different_ones_a_wide_band():
    p = np.array([0.1, 0.5, 0.9])
    alike, different = cohort(6, noise=0.0), cohort(6, noise=1.0)
    low, high = resampled(fitted(alike), alike).band(p)
    np.testing.assert_allclose(low, high, atol=1e-5)
    low, high = resampled(fitted(different), different).band(p)
    assert (high - low > 0.02).all()
    wider_low, wider_high = resampled(fitted(different), different).band(p, level=0.98)
    assert (wider_low <= low).all()
    assert (wider_high >= high).all()


def test_the_band_has_the_width_that_theory_gives():
    # Platt's shift of n cases with shifts of spread s has a standard error of s / √n: at p = 1/2 the response's is a
    # quarter of that (the slope of σ at 0), and a 90 % band is 2 · 1.645 of it wide.
    samples = cohort(60, noise=0.4, seed=5)
    low, high = resampled(fitted(samples), samples, replicates=300).band(np.array([0.5]))
    expected = 2 * 1.645 * 0.25 * 0.4 / np.sqrt(60)
    assert high[0] - low[0] == pytest.approx(expected, rel=0.3)


def test_the_interval_of_a_volume_is_that_of_the_maps():
    samples = cohort(8, noise=1.0)
    found = resampled(fitted(samples), samples, replicates=40)
    new = sample("new", [0.2, 0.8], [0, 0], [30, 10])
    volumes = [30 * float(one(np.array([0.2]))[0]) + 10 * float(one(np.array([0.8]))[0]) for one in found.replicates]
    (low, high), rows_low, rows_high = found.interval(new, level=0.8)
    assert (low, high) == pytest.approx(tuple(np.quantile(volumes, [0.1, 0.9])))
    assert rows_low.shape == rows_high.shape == (2,)
    assert (rows_low < rows_high).all()


def test_isotonic_maps_are_kept_at_few_knots_and_hardly_change():
    rng = np.random.default_rng(0)
    p = np.sort(rng.random(3000))
    samples = [sample(f"p{k}", p, np.clip(p + 0.1 * rng.normal(size=p.size), 0, 1)) for k in range(5)]
    whole = fitted(samples, "isotonic")
    found = resampled(whole, samples, replicates=3)
    assert all(len(one.probability) <= 65 for one in found.replicates)
    at = np.linspace(0, 1, 101)
    assert np.abs(found.replicates[0](at) - whole(at)).max() < 0.06


def test_isotonic_maps_are_kept_where_most_voxels_of_a_ct_lie():
    # A response of 0.001 from p = 1e-8 on: over 26 million voxels of a CT it adds up to 26,000.
    p = np.sort(np.concatenate([np.logspace(-8, -4, 500), np.linspace(1e-4, 1, 1500)]))
    response = np.where(p < 0.01, 0.001, p)
    samples = [sample(f"p{k}", p, response) for k in range(4)]
    low, high = resampled(fitted(samples, "isotonic"), samples, replicates=3).band(np.logspace(-7, -3, 41))
    np.testing.assert_allclose(low, 0.001, rtol=0.01)
    np.testing.assert_allclose(high, 0.001, rtol=0.01)


def test_it_survives_its_file():
    samples = cohort(5)
    found = resampled(fitted(samples, "temperature"), samples, replicates=3)
    assert Uncertainty.model_validate(json.loads(found.model_dump_json())) == found


def test_a_band_belongs_to_curves_only():
    from twintrack.calibration.conditional.model import ConditionalMap
    from twintrack.calibration.conditional.reference import N_COEFFICIENTS, shipped_reference

    one = ConditionalMap(
        dimensions=2, units=shipped_reference().units, coefficients=(0.0,) * N_COEFFICIENTS, volume=0.0, prior_cases=1.0
    )
    assert Uncertainty(replicates=(one, one)).band(np.array([0.5])) is None
