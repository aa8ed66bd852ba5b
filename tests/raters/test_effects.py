"""Rater effects: by hand, recovered from simulated raters, against STAPLE, and at their edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twintrack as tt
from twintrack.errors import CohortError, InputError, TwinTrackError
from twintrack.raters import staple
from twintrack.raters.effects import RaterEffect, RaterEffects, effects_from_votes, rater_effects
from twintrack.raters.near import CaseVotes, count_votes

LEAST = 1e-6
"""The smallest pseudo-count: next to none."""
WHOLE = 1e4
"""A margin in mm that reaches over the whole image."""

# Three raters with sensitivity and specificity 4/5; half of 250 voxels are structure. Of those 125 all raters label 64,
# any two alone 16, any one alone 4, none 1; the background mirrors that.
BALANCED = {"111": 65, "110": 20, "101": 20, "011": 20, "100": 20, "010": 20, "001": 20, "000": 65}


def votes_of(names, patterns, *, margin_mm=5.0):
    """Make the votes of a case from the number of voxels of each pattern ("110": the first two raters)."""
    labels = np.array([[vote == "1" for vote in pattern] for pattern in patterns], dtype=bool)
    labels = labels.reshape(len(patterns), len(names))
    return CaseVotes(
        raters=tuple(names), labels=labels, voxels=np.array([*patterns.values()], dtype=np.int64), margin_mm=margin_mm
    )


def masks_of(names, patterns):
    """Make masks of shape (1, n) that show each pattern so many times."""
    voxels = [pattern for pattern, count in patterns.items() for _ in range(count)]
    return {name: np.array([[int(pattern[rater]) for pattern in voxels]], np.uint8) for rater, name in enumerate(names)}


def model(*, margin_mm=5.0, **raters):
    """Make a model of raters given as (sensitivity, specificity, number of cases)."""
    known = {
        name: RaterEffect(sensitivity=s, specificity=q, sensitivity_error=None, specificity_error=None, n_cases=n)
        for name, (s, q, n) in raters.items()
    }
    return RaterEffects(
        raters=known,
        prevalence=(0.5, 0.5),
        n_left_out=0,
        margin_mm=margin_mm,
        pseudo_count=LEAST,
        log_likelihood=0.0,
        iterations=1,
        converged=True,
    )


def simulate(seed, *, n_cases=10, sensitivity=(0.9, 0.8, 0.7, 0.95), specificity=(0.9, 0.95, 0.85, 0.7), present=None):
    """Simulate raters who err independently; of the raters a random two or more drew each case."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(n_cases):
        truth = rng.random((2, 20, 25)) < rng.uniform(0.15, 0.6)
        n_present = present or rng.integers(2, len(sensitivity) + 1)
        masks = {}
        for rater in sorted(rng.choice(len(sensitivity), n_present, replace=False)):
            rate = np.where(truth, sensitivity[rater], 1 - specificity[rater])
            masks["ABCDEF"[rater]] = (rng.random(truth.shape) < rate).astype(np.uint8)
        cases.append(tt.Case(f"case{number}", raters=masks, spacing=(1.0, 1.0, 1.0)))
    return cases


def rates(found):
    return np.array([[rater.sensitivity, rater.specificity] for rater in found.raters.values()])


def test_balanced_votes_of_equal_raters_worked_by_hand():
    found = effects_from_votes([votes_of("ABC", BALANCED)] * 2, pseudo_count=LEAST)
    assert rates(found) == pytest.approx(np.full((3, 2), 0.8), abs=1e-5)
    assert found.prevalence == pytest.approx((0.5, 0.5), abs=1e-5)
    assert found.converged


def test_two_raters_are_told_apart_by_cases_of_unlike_prevalence():
    # s = (.9, .8), q = (.8, .9). Of 1000 voxels with g = 1/2: by both .5 * .72 + .5 * .02 = .37, the first alone
    # .5 * .18 + .5 * .18 = .18, the second alone .5 * .08 + .5 * .08 = .08. With g = 1/5: .16, .18, .08.
    half = votes_of("AB", {"11": 370, "10": 180, "01": 80, "00": 370})
    fifth = votes_of("AB", {"11": 160, "10": 180, "01": 80, "00": 580})
    found = effects_from_votes([half, fifth], pseudo_count=LEAST)
    assert rates(found) == pytest.approx(np.array([[0.9, 0.8], [0.8, 0.9]]), abs=1e-3)
    assert found.prevalence == pytest.approx((0.5, 0.2), abs=1e-3)


def test_one_update_worked_by_hand():
    # A case of 4 voxels by both, 2 by A alone, 4 by none; W = 1, 1/2, 0; and its like. Pseudo-count 1. Per case:
    # s_A = (5 + .5) / (5 + 1), s_B = (4 + .5) / (5 + 1), q_A = (4 + .5) / (5 + 1), q_B = (5 + .5) / (5 + 1).
    case = votes_of("AB", {"11": 4, "10": 2, "00": 4})
    found = effects_from_votes([case, case], pseudo_count=1.0, max_iterations=1)
    assert rates(found) == pytest.approx(np.array([[11, 9], [9, 11]]) / 12)
    assert found.prevalence == pytest.approx((0.5, 0.5))
    assert (found.iterations, found.converged) == (1, False)
    # Likelihood: both and none .5 * (99 + 3) / 144 + … = (11 * 9 + 3 * 1) / 288; A alone (11 * 3 + 3 * 11) / 288.
    expected = 16 * np.log(102 / 288) + 4 * np.log(66 / 288)
    expected += 2 * (np.log(11 / 12) + np.log(1 / 12) + np.log(9 / 12) + np.log(3 / 12)) + 4 * np.log(1 / 2)
    assert found.log_likelihood == pytest.approx(expected)


def test_standard_errors_worked_by_hand():
    # A, B and C agree, so there is no doubt. D labels 80, 60 and 70 of 100 voxels of structure, and no background.
    # Together .7; without one case .65, .75, .7: √(2/3 · (.0025 + .0025)).
    cases = [
        votes_of("ABCD", {"1111": hits, "1110": 100 - hits, "0000": 1000, "0001": wrong})
        for hits, wrong in ((80, 50), (60, 50), (70, 50))
    ]
    found = effects_from_votes(cases, pseudo_count=LEAST)
    assert found.raters["D"].sensitivity == pytest.approx(0.7, abs=1e-6)
    assert found.raters["D"].specificity == pytest.approx(1000 / 1050, abs=1e-6)
    assert found.raters["D"].sensitivity_error == pytest.approx(np.sqrt(0.01 / 3), abs=1e-5)
    assert found.raters["D"].specificity_error == pytest.approx(0, abs=1e-6)


def test_standard_errors_of_a_rater_who_drew_some_of_the_cases_worked_by_hand():
    def case(names, hits=100):
        others = "0" * (len(names) - 3)
        return votes_of(names, {"111" + "1" * len(others): hits, "111" + others: 100 - hits, "000" + others: 500})

    cases = [case("ABCD", 80), case("ABCD", 60), case("ABCE", 50)]
    cases += [votes_of("ABC", {"111": 100, "000": 500})] * 2
    found = effects_from_votes(cases, pseudo_count=LEAST)
    # D without each of the five cases: .6, .8, .7, .7, .7; √(4/5 · .02). E drew one case.
    assert found.raters["D"].sensitivity_error == pytest.approx(np.sqrt(0.016), abs=1e-5)
    assert found.raters["E"].sensitivity_error is None
    assert found.raters["E"].specificity_error is None
    assert [rater.n_cases for rater in found.raters.values()] == [5, 5, 5, 2, 1]


def test_rates_of_simulated_raters_are_recovered_though_some_are_missing():
    found = rater_effects(simulate(1, n_cases=24), margin_mm=WHOLE)
    truth = np.array([[0.9, 0.9], [0.8, 0.95], [0.7, 0.85], [0.95, 0.7]])
    assert rates(found) == pytest.approx(truth, abs=0.02)
    assert found.converged


def test_standard_errors_are_the_spread_over_repeated_studies():
    runs = [rater_effects(simulate(seed, n_cases=16), margin_mm=WHOLE) for seed in range(24)]
    spread = np.std([rates(found) for found in runs], axis=0)
    errors = [[(r.sensitivity_error, r.specificity_error) for r in found.raters.values()] for found in runs]
    # Of 24 studies the spread is known to a seventh.
    assert np.mean(errors, axis=0) == pytest.approx(spread, rel=0.4)


def test_where_prevalences_match_the_estimate_is_that_of_staple():
    # STAPLE's prior is the mean vote, here 1/2, which is also the prevalence estimated.
    masks = masks_of("ABC", BALANCED)
    one = staple(list(masks.values()), max_iterations=1000)
    cases = [tt.Case(name, raters=masks, spacing=(1.0, 1.0)) for name in ("one", "same")]
    found = rater_effects(cases, margin_mm=WHOLE, pseudo_count=LEAST)
    assert rates(found)[:, 0] == pytest.approx(one.sensitivity, abs=1e-5)
    assert rates(found)[:, 1] == pytest.approx(one.specificity, abs=1e-5)
    posterior = found.posterior(masks, spacing=(1.0, 1.0))
    np.testing.assert_allclose(posterior, one.probability, atol=1e-5)
    # By all 64/65, by two 4/5, by one 1/5, by none 1/65.
    expected = np.array([1 / 65, 1 / 5, 4 / 5, 64 / 65])[sum(mask.astype(int) for mask in masks.values())]
    np.testing.assert_allclose(posterior, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_rates_and_posterior_are_a_fixed_point_of_staple_with_the_estimated_prior(seed, simulated_raters):
    masks = dict(zip("ABCD", simulated_raters(raters=4, seed=seed, error=0.05), strict=True))
    cases = [tt.Case(name, raters=masks, spacing=(1.0,) * 3) for name in ("one", "same")]
    found = rater_effects(cases, margin_mm=WHOLE, pseudo_count=LEAST)
    w = found.posterior(masks, spacing=(1.0,) * 3).astype(np.float64)
    d = np.stack(list(masks.values())).astype(np.float64)
    axes = (1, 2, 3)
    p, q = (w * d).sum(axes) / w.sum(), ((1 - w) * (1 - d)).sum(axes) / (1 - w).sum()
    assert rates(found) == pytest.approx(np.stack([p, q], axis=1), abs=2e-5)
    p, q, g = p.reshape(-1, 1, 1, 1), q.reshape(-1, 1, 1, 1), found.prevalence[0]
    a, b = np.where(d == 1, p, 1 - p).prod(0), np.where(d == 1, 1 - q, q).prod(0)
    np.testing.assert_allclose(g * a / (g * a + (1 - g) * b), w, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), pseudo_count=st.sampled_from([LEAST, 0.5, 1.0, 20.0]))
def test_the_likelihood_never_decreases(seed, pseudo_count):
    votes = [count_votes(case.read(members=False).raters, spacing=(1.0,) * 3) for case in simulate(seed, n_cases=3)]
    runs = [
        effects_from_votes([*votes, votes[0]], pseudo_count=pseudo_count, max_iterations=limit).log_likelihood
        for limit in range(1, 8)
    ]
    assert (np.diff(runs) >= -1e-9 * abs(runs[0])).all()


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_rates_of_any_votes_lie_between_0_and_1_and_tell_structure_from_background(data):
    cases = [
        votes_of("ABC"[:k], {format(code, f"0{k}b"): n for code, n in enumerate(counts)})
        for k, counts in data.draw(
            st.lists(
                st.integers(2, 3).flatmap(
                    lambda k: st.tuples(st.just(k), st.lists(st.integers(1, 1000), min_size=1 << k, max_size=1 << k))
                ),
                min_size=2,
                max_size=4,
            )
        )
    ]
    limits = data.draw(st.sampled_from([1, 3, 10]))
    runs = [effects_from_votes(cases, max_iterations=limit) for limit in (limits, limits + 1)]
    assert runs[1].log_likelihood >= runs[0].log_likelihood - 1e-9 * abs(runs[0].log_likelihood)
    assert ((rates(runs[1]) > 0) & (rates(runs[1]) < 1)).all()
    assert (rates(runs[1]).sum(axis=1) >= 1 - 1e-12).all()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_posterior_lies_between_0_and_1_and_follows_the_votes_alone(seed):
    cases = simulate(seed, n_cases=4, present=3)
    found = rater_effects(cases, margin_mm=WHOLE, max_iterations=50)
    masks = cases[0].read(members=False).raters
    code = sum(mask.astype(int) << bit for bit, mask in enumerate(masks.values()))
    values = found.posterior(masks, spacing=(1.0,) * 3)
    assert values.dtype == np.float32
    assert values.shape == (2, 20, 25)
    assert ((values >= 0) & (values <= 1)).all()
    assert all(np.unique(values[code == pattern]).size == 1 for pattern in np.unique(code))


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_cases_and_raters_does_not_matter(seed):
    cases = simulate(seed, n_cases=6)
    turned = [
        tt.Case(case.id, raters=dict(reversed(case.read(members=False).raters.items())), spacing=(1.0,) * 3)
        for case in reversed(cases)
    ]
    first, second = (rater_effects(some, margin_mm=WHOLE, max_iterations=30) for some in (cases, turned))
    assert list(first.raters) == list(second.raters)
    assert rates(first) == pytest.approx(rates(second), abs=1e-9)
    assert first.prevalence == pytest.approx(second.prevalence[::-1], abs=1e-9)
    assert first.log_likelihood == pytest.approx(second.log_likelihood)


def test_the_same_cases_give_the_same_numbers_to_the_last_digit():
    first, second = (rater_effects(simulate(4), margin_mm=WHOLE) for _ in range(2))
    assert first == second


def test_cases_of_one_rater_or_without_anything_drawn_change_nothing():
    cases = simulate(2)
    empty = np.zeros((2, 20, 25), np.uint8)
    more = [
        tt.Case("lone", raters={"A": np.ones_like(empty)}, spacing=(1.0,) * 3),
        tt.Case("nothing", raters={"A": empty, "B": empty}, spacing=(1.0,) * 3),
    ]
    first, second = rater_effects(cases), rater_effects([*cases, *more])
    assert rates(first).tolist() == rates(second).tolist()
    assert (first.n_left_out, second.n_left_out) == (0, 2)
    assert len(second.prevalence) == len(cases)


def test_a_rater_who_drew_nothing_where_others_did_misses_it():
    cases = [votes_of("ABC", {"110": 100, "000": 500})] * 2
    assert effects_from_votes(cases).raters["C"].sensitivity == pytest.approx(1 / 202, rel=1e-3)


def test_a_rater_who_votes_against_all_others_is_taken_to_tell_nothing():
    # 100 voxels by A, B and C, 300 by D alone, and its like: 3/4 of D's votes are 1, on whichever side.
    cases = [votes_of("ABCD", {"1110": 100, "0001": 300})] * 2
    contrary = effects_from_votes(cases, pseudo_count=LEAST).raters["D"]
    assert contrary.sensitivity == pytest.approx(3 / 4)
    assert contrary.specificity == pytest.approx(1 / 4)


def test_more_background_makes_a_single_vote_count_for_more(simulated_raters):
    masks = dict(zip("ABC", simulated_raters(raters=3, error=0.0), strict=True))
    cases = [tt.Case(name, raters=masks, spacing=(1.0,) * 3) for name in ("one", "same")]
    means = [
        rater_effects(cases, margin_mm=margin).posterior(masks, spacing=(1.0,) * 3).sum() for margin in (0.0, 3.0, 9.0)
    ]
    assert means == sorted(means)
    assert means[2] > 1.05 * means[0]


def test_the_posterior_of_a_case_worked_by_hand():
    # s = q = 4/5 for all; the prevalence of the case comes out as 1/2 (BALANCED).
    raters = dict.fromkeys("ABC", (0.8, 0.8, 2))
    masks = masks_of("ABC", {"000": 65, "111": 65, **{k: 20 for k in BALANCED if k not in ("000", "111")}})
    found = model(margin_mm=WHOLE, **raters)
    posterior = found.posterior(masks, spacing=(1.0, 1.0))
    assert posterior[0, 0] == pytest.approx(1 / 65)
    assert posterior[0, 65] == pytest.approx(64 / 65)
    assert posterior[0, 130] == pytest.approx(4 / 5)


def test_two_generous_raters_are_believed_less_than_two_strict_ones():
    found = model(G=(0.95, 0.6, 4), H=(0.95, 0.6, 4), S=(0.6, 0.95, 4), T=(0.6, 0.95, 4))
    mask = np.zeros((12, 12), np.uint8)
    mask[4:8, 4:8] = 1
    generous, strict = (found.posterior(dict.fromkeys(names, mask), spacing=(1.0, 1.0)) for names in ("GH", "ST"))
    assert generous[5, 5] < strict[5, 5]
    assert generous[3, 3] < strict[3, 3]


def test_the_prevalence_of_one_rater_alone_follows_from_the_rates():
    # With s = q = 4/5 and 1/2 of the voxels labelled, g · 4/5 + (1 − g) · 1/5 = 1/2 gives g = 1/2, so W = 4/5 or 1/5.
    mask = np.array([[1, 1, 1, 0, 0, 0]], np.uint8)
    posterior = model(A=(0.8, 0.8, 3), margin_mm=WHOLE).posterior({"A": mask}, spacing=(1.0, 1.0))
    assert posterior == pytest.approx(np.array([[0.8] * 3 + [0.2] * 3]), abs=1e-6)


def test_the_posterior_of_a_fitted_case_is_that_of_the_fit():
    cases = simulate(5)
    found = rater_effects(cases, margin_mm=WHOLE)
    for case, prevalence in zip(cases, found.prevalence, strict=True):
        posterior = found.posterior(case.read(members=False).raters, spacing=(1.0,) * 3)
        assert posterior.mean(dtype=np.float64) == pytest.approx(prevalence, abs=2e-3)


def test_the_posterior_is_exactly_0_beyond_the_margin_and_where_nothing_is_drawn():
    found = model(A=(0.8, 0.7, 3), B=(0.9, 0.8, 3), margin_mm=2.0)
    mask = np.zeros((5, 30, 30), np.uint8)
    assert not found.posterior({"A": mask, "B": mask}, spacing=(1.0,) * 3).any()
    mask[2, 10:14, 10:14] = 1
    drawn = found.posterior({"A": mask, "B": mask}, spacing=(2.0, 1.0, 1.0))
    assert drawn[2, 8, 10] > 0
    assert drawn[1, 10, 10] > 0
    assert drawn[2, 7, 10] == drawn[1, 9, 10] == drawn[0, 10, 10] == 0


@pytest.mark.parametrize(
    ("sensitivity", "specificity"), [(1.0, 0.5), (0.5, 1.0), (0.0, 1.0), (0.4, 0.5), (np.nan, 0.5)]
)
def test_rates_that_no_rater_has_are_refused(sensitivity, specificity):
    with pytest.raises(InputError, match=f"together at least 1; got {sensitivity} and {specificity}"):
        model(A=(sensitivity, specificity, 2))


def test_unknown_raters_are_refused():
    mask = np.ones((2, 2), np.uint8)
    with pytest.raises(InputError, match=r"knows nothing of the raters X, Y; it was fitted to A, B\. Leave them out"):
        model(A=(0.8, 0.8, 2), B=(0.8, 0.8, 2)).posterior({"X": mask, "A": mask, "Y": mask}, spacing=(1.0, 1.0))


@pytest.mark.parametrize("n_raters", [1, 2])
def test_fewer_than_two_usable_cases_are_refused(n_raters):
    mask = np.eye(4, dtype=np.uint8)
    cases = [tt.Case("a", raters=[mask] * n_raters), tt.Case("b", raters=[mask])]
    with pytest.raises(CohortError, match=f"at least 2 cases .*; {n_raters - 1} of 2 cases are such"):
        rater_effects(cases)


def test_raters_without_a_name_that_stays_are_refused():
    mask = np.eye(4, dtype=np.uint8)
    cases = [tt.Case(name, raters={f"{name}1": mask, f"{name}2": mask}) for name in "ab"]
    with pytest.raises(CohortError, match=r"no rater drew two of the 2 cases; the raters are a1, a2, b1, b2\."):
        rater_effects(cases)


def test_votes_of_unlike_margins_are_refused():
    with pytest.raises(InputError, match=r"one margin; got \[1.0, 5.0\] mm"):
        effects_from_votes([votes_of("ABC", BALANCED), votes_of("ABC", BALANCED, margin_mm=1.0)])


@pytest.mark.parametrize(
    "options", [{"pseudo_count": 0}, {"pseudo_count": np.nan}, {"pseudo_count": 1e-9}, {"max_iterations": 0}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError, match="pseudo-count must be at least 1e-06 and max_iterations at least 1; got"):
        effects_from_votes([votes_of("ABC", BALANCED)] * 2, **options)


def test_a_bad_case_is_reported_or_raised():
    cases = simulate(3)
    cases.insert(1, tt.Case("bad", raters=[np.full((2, 20, 25), 7, np.uint8)]))
    with pytest.raises(TwinTrackError, match="case bad"):
        rater_effects(cases)
    bad = []
    found = rater_effects(cases, on_bad=lambda case, error: bad.append(case.id))
    assert bad == ["bad"]
    assert rates(found).tolist() == rates(rater_effects(simulate(3))).tolist()


def test_the_annotators_of_real_tumours_agree_closely(data_dir, read_raters):
    folders = sorted(path for path in (data_dir / "kits23_raters").iterdir() if path.is_dir())[:4]
    cases = [tt.Case(path.name, raters=read_raters(path, label=2)) for path in folders]
    found = rater_effects(cases)
    assert found.converged
    assert (rates(found) > 0.9).all()
