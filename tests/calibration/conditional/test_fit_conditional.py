"""Fitting the case-aware map: derivatives, the minimum, its prior and the weights of cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from twintrack.calibration.conditional import fit as fitting
from twintrack.calibration.conditional.describe import CASE_FEATURES, VOXEL_FEATURES, Traits
from twintrack.calibration.conditional.fit import VOLUME, Terms, fit_coefficients, fit_conditional
from twintrack.calibration.conditional.reference import N_COEFFICIENTS, Reference, Units
from twintrack.calibration.sample import CaseSample, Rows
from twintrack.errors import CalibrationError

V, C = len(VOXEL_FEATURES), len(CASE_FEATURES)
UNITS = Units(voxel=(1.0,) * V, case_centre=(0.0,) * C, case=(1.0,) * C)
REFERENCE = Reference(
    units=UNITS,
    coefficients=tuple(np.linspace(-0.4, 0.4, N_COEFFICIENTS).tolist()),
    information=tuple(map(tuple, np.eye(N_COEFFICIENTS).tolist())),
    about="a test",
)
NONE = Rows(*np.empty((4, 0)))


def sample_of(seed, *, truth=None, n=80, traits=True, low=NONE):
    """A case whose responses are those of the map with these coefficients."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(-0.5, 2, n)
    voxel = np.column_stack([middle, rng.normal(size=(n, V - 1))]).astype(np.float32)
    case = Traits(rng.normal(size=C), surface=rng.uniform(20, 60), voxel_volume=1.5, dimensions=2)
    q = voxel[:, 0].astype(float)
    if truth is not None:
        one = np.ones(n)
        y = case.features
        q += np.column_stack([voxel[:, 0], one, voxel[:, 1:], np.outer(one, y), np.outer(voxel[:, 0], y)]) @ truth
    weight = rng.uniform(1, 4, n)
    r = expit(q)
    high = Rows(expit(middle), r, r**2, weight)
    drawn = (round(float(weight @ r)),) * 2
    # Where nothing is described, there are no traits.
    return CaseSample("p", 500, drawn, low, high, voxel, case if traits else None, missed=0.0, rest=0.0)


def terms_of(seed, *, miss=0.0, n=30, truth=None):
    """Terms in float64, so that differences of the loss are exact."""
    rng = np.random.default_rng(seed)
    x, middle = rng.normal(size=(n, N_COEFFICIENTS)), rng.normal(size=n)
    weight = rng.uniform(1, 4, n)
    response = expit(middle + x @ (np.zeros(N_COEFFICIENTS) if truth is None else truth))
    volume = float(weight @ response) - miss
    return Terms(x=x, logit=middle, response=response, weight=weight, volume=volume, scale=rng.uniform(0.5, 2))


def coefficients_of(seed, *, size=0.25):
    """Coefficients that float32 holds exactly, since the loss rounds them to it."""
    return np.round(np.random.default_rng(seed).uniform(-size, size, N_COEFFICIENTS) * 1024) / 1024


def differences(function, at, *, step):
    """Give central differences of a function at coefficients, one row for each."""
    steps = step * np.eye(N_COEFFICIENTS)
    return np.array([(np.asarray(function(at + one)) - function(at - one)) / (2 * step) for one in steps])


def bends(terms, at):
    """Give differences of the gradient, which is rounded to float32: a wider step."""
    return differences(lambda theta: terms.derivatives(theta)[0], at, step=2.0**-9)


# --- The loss --------------------------------------------------------------------------------------------------------


def test_a_loss_worked_out_by_hand():
    # Two rows at logit 0, the second counts twice; responses 1 and 1/2; two voxels were drawn.
    terms = Terms(
        x=np.zeros((2, N_COEFFICIENTS), np.float32),
        logit=np.zeros(2),
        response=np.array([1.0, 0.5]),
        weight=np.array([1.0, 2.0]),
        volume=2.0,
        scale=10.0,
    )
    # Σ w log 2 = 3 log 2; the volume 1.5 misses 2 by 1/2: √(1/4 + 1).
    assert terms.loss(np.zeros(N_COEFFICIENTS)) == pytest.approx(10 * (3 * np.log(2) + VOLUME * np.sqrt(1.25)))


def test_terms_of_a_sample_worked_out_by_hand():
    low = Rows(np.array([1e-5, 5e-5]), np.zeros(2), np.zeros(2), np.array([1000.0, 200.0]))
    high = Rows(np.array([0.5, 0.2]), np.array([1.0, 1 / 3]), np.array([1.0, 1 / 9]), np.array([1.0, 4.0]))
    voxel = np.zeros((2, V), np.float32)
    voxel[:, 0] = logit(high.probability)
    traits = Traits(np.array([1.0, 2.0, -1.0]), surface=50.0, voxel_volume=2.0, dimensions=2)
    sample = CaseSample("p", 9999, (5, 8), low, high, voxel, traits, missed=0.0, rest=0.0)
    terms = Terms.of(sample, UNITS, weight=3.0)
    assert terms.logit == pytest.approx(logit(high.probability), abs=1e-6)
    assert (terms.response == high.response).all()
    assert (terms.weight == high.weight).all()
    assert terms.volume == pytest.approx(6.5 - 0.01 - 0.01)  # what is left to the rows of 6.5 drawn on average
    assert terms.scale == pytest.approx(3 * 2 / 50)
    assert terms.x.shape == (2, N_COEFFICIENTS)
    assert terms.x[1] == pytest.approx([logit(0.2), 1, *[0] * (V - 1), 1, 2, -1, *logit(0.2) * np.array([1, 2, -1])])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(-20, 20))
def test_the_gradient_is_that_of_the_loss(seed, miss):
    terms, at = terms_of(seed, miss=miss), coefficients_of(seed + 1)
    gradient, _ = terms.derivatives(at)
    assert gradient == pytest.approx(differences(terms.loss, at, step=2.0**-12), rel=1e-4, abs=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(-20, 20))
def test_the_hessian_is_that_of_the_loss_but_for_the_volumes_curvature(seed, miss):
    terms, at = terms_of(seed, miss=miss), coefficients_of(seed + 1)
    _, hessian = terms.derivatives(at)
    numeric = bends(terms, at)
    r = expit(terms.logit + terms.x @ at)
    away = terms.weight @ r - terms.volume
    bend = terms.x.T @ (terms.x * (terms.weight * r * (1 - r) * (1 - 2 * r))[:, None])
    omitted = terms.scale * VOLUME * away / np.hypot(away, 1) * bend
    assert hessian == pytest.approx(numeric - omitted, abs=5e-4 * np.abs(numeric).max())
    assert hessian == pytest.approx(hessian.T)
    assert np.linalg.eigvalsh(hessian)[0] > -1e-6


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_where_the_volume_is_met_the_hessian_is_exact(seed):
    truth = coefficients_of(seed)
    terms = terms_of(seed, truth=truth)
    _, hessian = terms.derivatives(truth)
    numeric = bends(terms, truth)
    assert hessian == pytest.approx(numeric, abs=5e-4 * np.abs(numeric).max())


# --- The minimum -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_minimum_is_that_of_a_general_minimiser(seed):
    terms = [terms_of(seed + k, miss=5.0 * k, truth=coefficients_of(seed, size=1)) for k in range(3)]
    precision = np.diag(np.random.default_rng(seed).uniform(0.1, 5, N_COEFFICIENTS))

    def total(theta):
        # Not the product's: with coefficients that are not rounded to float32.
        out = 0.5 * theta @ precision @ theta
        for one in terms:
            q = one.logit + one.x @ theta
            entropy = -one.weight @ (one.response * np.log(expit(q)) + (1 - one.response) * np.log(expit(-q)))
            miss = one.weight @ expit(q) - one.volume
            out += one.scale * (entropy + VOLUME * np.sqrt(miss**2 + 1))
        return out

    wanted = minimize(total, np.zeros(N_COEFFICIENTS), method="BFGS", options={"gtol": 1e-4, "maxiter": 500}).x
    found = fit_coefficients(terms, precision)
    assert total(found) <= total(wanted) * (1 + 1e-6)
    assert found == pytest.approx(wanted, abs=3e-3)
    assert np.abs(found).max() > 0.1


def test_where_the_fit_begins_does_not_matter():
    terms = [terms_of(k, miss=3.0, truth=coefficients_of(1, size=1)) for k in range(3)]
    precision = np.eye(N_COEFFICIENTS)
    start = np.random.default_rng(0).normal(size=N_COEFFICIENTS)
    before = start.copy()
    one, other = fit_coefficients(terms, precision), fit_coefficients(terms, precision, start=start)
    assert other == pytest.approx(one, abs=2e-3)
    assert (start == before).all()
    # From the minimum nothing is gained.
    assert fit_coefficients(terms, precision, start=one) == pytest.approx(one, abs=1e-3)


def test_a_step_that_overshoots_is_shortened():
    # Sure of the wrong answer, a full Newton step leads astray: σ(1 − σ) is tiny.
    middle = np.array([14.0, -14.0, 13.0, -13.0])
    x = np.zeros((4, N_COEFFICIENTS))
    x[:, 0] = middle
    terms = Terms(x, middle, expit(-0.1 * middle), np.full(4, 10.0), volume=20.0, scale=1.0)
    found = fit_coefficients([terms], 1e-3 * np.eye(N_COEFFICIENTS))
    # logit r = (1 + c) logit p = −0.1 logit p.
    assert found[0] == pytest.approx(-1.1, abs=0.01)
    assert found[1:] == pytest.approx(0, abs=1e-6)


def test_each_step_lowers_the_loss_and_their_number_is_limited(monkeypatch):
    terms = [terms_of(k, miss=3.0, truth=coefficients_of(1, size=1)) for k in range(3)]
    precision = np.eye(N_COEFFICIENTS)
    losses = []
    for steps in range(4):
        monkeypatch.setattr(fitting, "_STEPS", steps)
        theta = fit_coefficients(terms, precision)
        losses.append(sum(term.loss(theta) for term in terms) + 0.5 * theta @ precision @ theta)
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == sum(term.loss(np.zeros(N_COEFFICIENTS)) for term in terms)
    assert losses[1] < losses[0]


def test_known_coefficients_are_recovered():
    truth = coefficients_of(5, size=0.5)
    terms = [terms_of(k, truth=truth, n=60) for k in range(6)]
    found = fit_coefficients(terms, 1e-6 * np.eye(N_COEFFICIENTS))
    assert found == pytest.approx(truth, abs=0.01)


def test_known_coefficients_are_recovered_from_simulated_raters():
    truth = coefficients_of(6, size=0.4)
    rng = np.random.default_rng(0)
    samples = []
    for k in range(40):
        one = sample_of(k, truth=truth, n=300)
        votes = rng.binomial(5, one.high.response) / 5
        drawn = (round(float(one.high.weight @ votes)),)
        high = Rows(one.high.probability, votes, votes**2, one.high.weight)
        samples.append(CaseSample(f"p{k}", 500, drawn, NONE, high, one.voxel, one.traits, missed=0.0, rest=0.0))
    found = fit_conditional(samples, REFERENCE, prior_cases=1e-6, volume=0.5)
    assert np.array(found.coefficients) == pytest.approx(truth, abs=0.1)
    assert np.corrcoef(found.coefficients, truth)[0, 1] > 0.98
    assert (found.volume, found.prior_cases, found.units) == (0.5, 1e-6, UNITS)


# --- Prior and weights -----------------------------------------------------------------------------------------------


def test_a_strong_prior_is_the_identity():
    samples = [sample_of(k, truth=coefficients_of(7, size=1)) for k in range(4)]
    found = fit_conditional(samples, REFERENCE, prior_cases=1e9, volume=1.0)
    assert np.array(found.coefficients) == pytest.approx(0, abs=1e-6)


def test_a_stronger_prior_keeps_nearer_to_the_identity():
    samples = [sample_of(k, truth=coefficients_of(7, size=1)) for k in range(4)]
    lengths = [
        np.linalg.norm(fit_conditional(samples, REFERENCE, prior_cases=cases, volume=1.0).coefficients)
        for cases in (0.01, 1, 10, 100, 10_000)
    ]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 10 * lengths[-1]


def test_the_prior_is_the_references_information_times_its_cases():
    samples = [sample_of(k, truth=coefficients_of(7, size=1)) for k in range(4)]
    information = np.diag(np.arange(1.0, N_COEFFICIENTS + 1))
    reference = REFERENCE.model_copy(update={"information": tuple(map(tuple, information.tolist()))})
    terms = [Terms.of(sample, UNITS) for sample in samples]
    found = fit_conditional(samples, reference, prior_cases=2.5, volume=1.0)
    assert np.array(found.coefficients) == pytest.approx(fit_coefficients(terms, 2.5 * information), abs=1e-6)
    found = fit_conditional(samples, reference, prior_cases=2.5, volume=1.0, towards="reference")
    expected = fit_coefficients(terms, 2.5 * information, centre=np.array(REFERENCE.coefficients))
    assert np.array(found.coefficients) == pytest.approx(expected, abs=1e-6)
    assert (found.towards, found.prior_cases) == ("reference", 2.5)


def test_a_prior_of_very_many_cases_leaves_the_map_of_the_reference():
    samples = [sample_of(k, truth=coefficients_of(7, size=1)) for k in range(3)]
    found = fit_conditional(samples, REFERENCE, prior_cases=1e9, volume=1.0, towards="reference")
    assert np.array(found.coefficients) == pytest.approx(np.array(REFERENCE.coefficients), abs=1e-5)


def test_a_case_of_weight_2_counts_as_two_cases():
    samples = [sample_of(k, truth=coefficients_of(k, size=1)) for k in range(3)]
    options = {"prior_cases": 1.0, "volume": 1.0}
    weighted = fit_conditional(samples, REFERENCE, weights=[2, 1, 1], **options)
    repeated = fit_conditional([samples[0], *samples], REFERENCE, **options)
    plain = fit_conditional(samples, REFERENCE, **options)
    assert np.array(weighted.coefficients) == pytest.approx(np.array(repeated.coefficients), abs=1e-3)
    assert np.abs(np.array(weighted.coefficients) - plain.coefficients).max() > 0.01
    without = fit_conditional(samples, REFERENCE, weights=[0, 1, 1], **options)
    assert np.array(without.coefficients) == pytest.approx(
        np.array(fit_conditional(samples[1:], REFERENCE, **options).coefficients), abs=1e-3
    )


def test_weights_of_another_number_than_cases_are_refused():
    with pytest.raises(ValueError, match="zip"):
        fit_conditional([sample_of(0)], REFERENCE, prior_cases=1.0, volume=1.0, weights=[1, 1])


def test_a_case_counts_by_the_width_of_its_rim_not_by_its_size():
    # Nats times mm³ over mm² of surface: eight times the voxels of an eighth of the volume are the same loss,
    # but for the one voxel that rounds the volume's error off.
    one = sample_of(3, truth=coefficients_of(3, size=1))
    rows = Rows(one.high.probability, one.high.response, one.high.squared, 8 * one.high.weight)
    traits = Traits(one.traits.features, one.traits.surface, one.traits.voxel_volume / 8, one.traits.dimensions)
    drawn = tuple(8 * n for n in one.drawn)
    fine = CaseSample("p", 4000, drawn, NONE, rows, one.voxel, traits, missed=0.0, rest=0.0)
    at = coefficients_of(4)
    assert Terms.of(fine, UNITS).loss(at) == pytest.approx(Terms.of(one, UNITS).loss(at), rel=1e-2)


# --- What cannot be fitted -------------------------------------------------------------------------------------------


def test_a_case_with_nothing_described_is_passed_over():
    low = Rows(np.array([1e-5]), np.array([0.1]), np.array([0.05]), np.array([400.0]))
    nothing = CaseSample("q", 400, (40,), low, NONE, np.empty((0, V), np.float32), None, missed=0.0, rest=0.0)
    samples = [sample_of(k, truth=coefficients_of(8, size=1)) for k in range(3)]
    options = {"prior_cases": 1.0, "volume": 1.0}
    assert Terms.of(nothing, UNITS) is None
    assert fit_conditional([nothing, *samples], REFERENCE, **options) == fit_conditional(samples, REFERENCE, **options)


def test_cases_without_any_description_cannot_be_fitted():
    samples = [sample_of(k, traits=False) for k in range(2)]
    for given_samples in (samples, []):
        with pytest.raises(CalibrationError, match=r"nothing to fit: no case has a probability of at least 0\.0001"):
            fit_conditional(given_samples, REFERENCE, prior_cases=1.0, volume=1.0)


def test_a_loss_that_is_no_number_is_an_error():
    broken = terms_of(0)
    broken.response[0] = np.nan
    with np.errstate(invalid="ignore"), pytest.raises(CalibrationError, match="did not converge"):
        fit_coefficients([broken], np.eye(N_COEFFICIENTS))
