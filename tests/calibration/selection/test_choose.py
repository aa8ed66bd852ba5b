"""Choosing a calibration: what is left out, what decides, and what is chosen where the right answer is known."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

import twintrack as tt
from twintrack.calibration.conditional.model import ConditionalMap
from twintrack.calibration.conditional.reference import shipped_reference
from twintrack.calibration.methods.identity import IdentityMap
from twintrack.calibration.sample import CaseSample
from twintrack.calibration.selection import choose as choosing
from twintrack.calibration.selection.candidates import (
    CONDITIONAL,
    VOLUMES,
    Candidate,
    all_candidates,
    conditional_candidates,
    judge,
)
from twintrack.calibration.selection.choose import FOLDS, choose, patient_groups
from twintrack.calibration.selection.losses import TERMS
from twintrack.calibration.selection.selected import AUTO, CASE_AWARE, fit_selected
from twintrack.errors import CalibrationError

from .conftest import STRENGTHS, expected_volume, samples_of, score_of

# --- Groups of patients ----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.integers(0, 60).map(str), min_size=1, max_size=150))
def test_patients_stay_together_in_at_most_20_groups_of_like_size(patients):
    groups = patient_groups(patients)
    n = len(set(patients))
    assert len(set(zip(patients, groups, strict=True))) == n
    assert set(groups) == set(range(min(FOLDS, n)))
    sizes, cases = Counter(groups), Counter(patients)
    assert max(sizes.values()) - min(sizes.values()) <= max(cases.values())


def test_few_patients_are_left_out_one_by_one():
    assert patient_groups(["b", "a", "b", "c"]) == [0, 1, 0, 2]
    assert sorted(patient_groups([str(k) for k in range(FOLDS)])) == list(range(FOLDS))
    assert Counter(patient_groups([str(k) for k in range(2 * FOLDS)])).most_common()[-1][1] == 2


def test_the_groups_do_not_depend_on_the_order_of_the_cases():
    patients = [str(k % 31) for k in range(60)]
    order = np.random.default_rng(0).permutation(60)
    turned = patient_groups([patients[k] for k in order])
    assert [turned[list(order).index(k)] for k in range(60)] == patient_groups(patients)


class Spy:
    """Stands in for fits, and notes by whose cases each map was fitted and whom it judged."""

    def __init__(self, monkeypatch):
        self.fitted = []  # (map, candidate, patients)
        self.judged = []  # (patients of the fit, patient)
        monkeypatch.setattr(Candidate, "fit", self.fit)
        monkeypatch.setattr(choosing, "judge", self.judge)

    def fit(self, samples, reference, *, weights=None, near=None):
        found = IdentityMap()
        self.fitted.append((found, near, {sample.patient for sample in samples}))
        return found

    def judge(self, fitted, sample):
        by = [patients for one, _, patients in self.fitted if one is fitted]
        self.judged += [(patients, sample.patient) for patients in by]
        return judge(fitted, sample)


@pytest.mark.parametrize(("n_patients", "cases_each", "groups"), [(3, 2, 3), (25, 1, 20)])
def test_a_patient_is_never_judged_by_a_fit_that_saw_one_of_their_cases(monkeypatch, n_patients, cases_each, groups):
    names = [f"patient{k}" for k in range(n_patients)] * cases_each
    samples = [samples_of(1, first=k, patient=name, shape=(12, 12))[0] for k, name in enumerate(names)]
    spy = Spy(monkeypatch)
    candidates = (Candidate("identity"), Candidate("temperature"), *conditional_candidates())
    choose(candidates, samples, None)
    everybody = set(names)
    for patients, patient in spy.judged:
        assert patient not in patients
        # Nobody else's cases are wasted: only those of the group are missing.
        assert len(everybody - patients) <= -(-n_patients // groups)
    # Every candidate judges every case, once.
    assert Counter(patient for _, patient in spy.judged) == {name: len(candidates) * cases_each for name in names}
    # Identity, temperature and the eight priors are fitted to all, and then to all but each group, beginning there.
    wholes = [one for one, near, _ in spy.fitted if near is None]
    assert len(wholes) == 2 + len(STRENGTHS)
    assert all(patients == everybody for one, near, patients in spy.fitted if near is None)
    assert Counter(id(near) for _, near, _ in spy.fitted if near) == {id(one): groups for one in wholes}


# --- What decides ----------------------------------------------------------------------------------------------------


class Table:
    """Stands in for fits and losses: what each candidate loses on each case is said."""

    def __init__(self, monkeypatch, lost):
        self.lost = {"identity": 1.0} | lost
        monkeypatch.setattr(
            Candidate, "fit", lambda candidate, samples, reference, *, weights=None, near=None: candidate.name
        )
        monkeypatch.setattr(choosing, "judge", lambda fitted, sample: fitted)
        monkeypatch.setattr(choosing, "losses", self.losses)

    def losses(self, sample, fitted):
        lost = self.lost["identity" if isinstance(fitted, IdentityMap) else fitted]
        return np.broadcast_to(lost[sample.patient] if isinstance(lost, dict) else lost, len(TERMS))


@pytest.fixture(scope="module")
def four():
    return [samples_of(1, first=k, patient=name, shape=(10, 10))[0] for k, name in enumerate("abcd")]


TWO = Candidate("temperature"), Candidate("isotonic")


def test_the_penalised_criterion_decides(monkeypatch, four):
    cheap, dear = Candidate(CONDITIONAL, 1.0, 0.0), Candidate("isotonic")
    candidates = (Candidate("identity"), cheap, dear)
    # The dear one is the best, but not by what it costs.
    more = (dear.cost - cheap.cost) / len(four)
    for advantage, expected in ((0.9 * more, cheap), (1.1 * more, dear)):
        Table(monkeypatch, {"identity": 10.0, cheap.name: 20 - 10 * more, dear.name: 20 - 10 * (more + advantage)})
        chosen, selection = choose(candidates, four, None)
        assert chosen == expected
        assert selection.chosen == expected.name
        assert [one.name for one in selection.candidates] == [one.name for one in candidates]
        for one, candidate in zip(selection.candidates, candidates, strict=True):
            assert one.penalised == pytest.approx(one.criterion + candidate.cost / 4)
            assert one.standard_error == pytest.approx(0)
        assert score_of(selection, "identity").criterion == 1


def test_a_gain_smaller_than_its_cost_leaves_the_probabilities_alone(monkeypatch, four):
    candidate = Candidate(CONDITIONAL, 1.0, 0.0)
    for gain, method in ((0.9 * candidate.cost / 4, "identity"), (1.1 * candidate.cost / 4, CONDITIONAL)):
        Table(monkeypatch, {candidate.name: 1 - gain})
        assert choose((Candidate("identity"), candidate), four, None)[0].method == method


def test_of_equals_the_earlier_is_taken(monkeypatch, four):
    monkeypatch.setattr(Candidate, "cost", 0.1)
    one, other = Candidate(CONDITIONAL, 10.0, 0.0), Candidate(CONDITIONAL, 0.3, 0.0)
    Table(monkeypatch, {one.name: 0.5, other.name: 0.5})
    assert choose((one, other), four, None)[0] == one
    assert choose((other, one), four, None)[0] == other


def test_the_criterion_is_the_mean_of_the_terms_each_relative_to_the_identitys(monkeypatch, four):
    # Means over cases of the identity: 2, 0.1 and 0, which then counts as 1.
    identity = {"a": (1, 0.1, 0), "b": (3, 0.1, 0), "c": (2, 0.1, 0), "d": (2, 0.1, 0)}
    other = {"a": (1, 0.05, 0.3), "b": (1, 0.05, 0.1), "c": (1, 0.1, 0.2), "d": (1, 0, 0.2)}
    Table(monkeypatch, {"identity": identity, "temperature": other})
    _, selection = choose((Candidate("identity"), Candidate("temperature")), four, None)
    found = score_of(selection, "temperature")
    assert found.terms == pytest.approx(dict(zip(TERMS, (0.5, 0.5, 0.2), strict=True)))
    assert found.criterion == pytest.approx(0.4)
    assert score_of(selection, "identity").terms == pytest.approx(dict(zip(TERMS, (1, 1, 0), strict=True)))
    assert selection.n_patients == 4


def test_a_standard_error_worked_out_by_hand(monkeypatch, four):
    lost = {"a": 0.4, "b": 0.6, "c": 0.5, "d": 0.9}
    Table(monkeypatch, {"temperature": lost, "isotonic": 0.5})
    _, selection = choose(TWO, four, None)
    found = score_of(selection, "temperature")
    # Beside an identity that loses 1, it deviates by −0.2, 0, −0.1, 0.3: variance 0.14 / 3, of a mean of 4.
    assert found.criterion == pytest.approx(0.6)
    assert found.standard_error == pytest.approx(np.sqrt(0.14 / 3 / 4))
    assert found.penalised == pytest.approx(0.6 + np.sqrt(0.14 / 3 / 4) + TWO[0].cost / 4)
    assert score_of(selection, "isotonic").standard_error == pytest.approx(0)


def test_the_standard_error_takes_cases_of_a_patient_together(monkeypatch, four):
    a, b, c, d = four
    twice = [a, a, b, b, c, c, d, d]
    Table(monkeypatch, {"temperature": 0.5, "isotonic": {"a": 0.5, "b": 0.7, "c": 0.6, "d": 1.0}})
    one, other = (score_of(choose(TWO, cases, None)[1], "isotonic") for cases in (four, twice))
    # A second case of a patient that is like the first tells nothing new.
    assert other.criterion == pytest.approx(one.criterion)
    assert other.standard_error == pytest.approx(one.standard_error)


def test_one_score_is_not_bought_with_another(monkeypatch, four):
    # The best by the mean of the terms, but the volumes of half the cases get worse than they were.
    half = {"a": (0.1, 0.1, 1.2), "b": (0.1, 0.1, 1.2), "c": (0.1, 0.1, 0.9), "d": (0.1, 0.1, 0.9)}
    monkeypatch.setattr(Candidate, "cost", 0.0)
    Table(monkeypatch, {"temperature": half, "isotonic": 0.8})
    chosen, selection = choose((Candidate("identity"), *TWO), four, None)
    assert chosen.method == "isotonic"
    assert score_of(selection, "temperature").harms == (TERMS[2],)
    assert score_of(selection, "isotonic").harms == score_of(selection, "identity").harms == ()
    assert score_of(selection, "temperature").penalised < score_of(selection, "isotonic").penalised
    # 1.05 ± 0.087: also what may be harm by half a standard error counts as such.
    better = {name: (0.1, 0.1, volume - 0.07) for name, (_, _, volume) in half.items()}
    Table(monkeypatch, {"temperature": better, "isotonic": 0.8})
    assert choose((Candidate("identity"), *TWO), four, None)[0].method == "isotonic"
    # Where all do harm, one has to be taken.
    Table(monkeypatch, {"temperature": half, "isotonic": half})
    assert choose(TWO, four, None)[0].method == "temperature"


@pytest.mark.parametrize("weights", [None, [1.0, 3.0, 0.5, 2.0]])
def test_the_criterion_is_what_leaving_out_by_hand_gives(reference, weights):
    samples = samples_of(4, sharpness=3.0)
    candidates = (Candidate("temperature"), *(Candidate(CONDITIONAL, 1.0, volume) for volume in VOLUMES))
    _, selection = choose(candidates, samples, reference, weights=weights)
    unchanged = np.mean([choosing.losses(sample, judge(IdentityMap(), sample)) for sample in samples], axis=0)
    for candidate, found in zip(candidates, selection.candidates, strict=True):
        lost = []
        for k, sample in enumerate(samples):
            theirs = weights and weights[:k] + weights[k + 1 :]
            fitted = candidate.fit(samples[:k] + samples[k + 1 :], reference, weights=theirs)
            lost.append(choosing.losses(sample, judge(fitted, sample)) / unchanged)
        assert list(found.terms.values()) == pytest.approx(np.mean(lost, axis=0), rel=1e-2), candidate.name
        assert found.criterion == pytest.approx(np.mean(lost), rel=1e-2)
    # Which differ, so that each was judged by its own volume.
    assert len({round(one.terms["volume"], 2) for one in selection.candidates}) == len(candidates)


@pytest.mark.parametrize("n_cases", [1, 3])
def test_one_patient_is_refused_in_words(n_cases, reference):
    samples = samples_of(n_cases, patient="anna")
    message = r"choosing a method needs cases of at least two patients.*name a method instead \(--method\)"
    with pytest.raises(CalibrationError, match=message):
        choose(all_candidates(), samples, reference)
    for method in CASE_AWARE:
        with pytest.raises(CalibrationError, match=message):
            fit_selected(method, samples)


# --- What is chosen --------------------------------------------------------------------------------------------------


def relative_loss(fitted, samples):
    """Give the criterion on cases that nobody looked at."""
    before, after = (
        np.mean([choosing.losses(sample, judge(one, sample)) for sample in samples], axis=0)
        for one in (IdentityMap(), fitted)
    )
    return (after / before).mean()


def test_well_calibrated_probabilities_are_left_alone(reference):
    unseen = samples_of(20, first=1000)
    methods = []
    for first in range(0, 240, 40):
        samples = samples_of(8, first=first)
        chosen, selection = choose(all_candidates(), samples, reference)
        methods.append(chosen.method)
        assert selection.chosen == chosen.name
        assert selection.n_patients == 8
        assert score_of(selection, "identity").criterion == pytest.approx(1)
        assert score_of(selection, "identity").terms == pytest.approx(dict.fromkeys(TERMS, 1))
        # Where chance has it otherwise, volumes are kept and little is done.
        assert chosen.method == "identity" or chosen.volume == 0
        assert relative_loss(chosen.fit(samples, reference), unseen) < 1.05
    assert methods.count("identity") >= 4


@pytest.mark.parametrize("first", [0, 100, 200])
def test_strongly_overconfident_probabilities_are_not(first, reference):
    samples = samples_of(8, first=first, sharpness=4.0)
    chosen, selection = choose(all_candidates(), samples, reference)
    assert chosen.method != "identity"
    found = score_of(selection, selection.chosen)
    assert found.criterion < 0.9
    assert found.penalised == min(one.penalised for one in selection.candidates if not one.harms)
    # And it helps where nobody looked.
    unseen = samples_of(10, first=first + 50, sharpness=4.0)
    assert relative_loss(chosen.fit(samples, reference), unseen) < 0.9


def test_volumes_that_are_all_too_small_are_mended(reference):
    samples = samples_of(8, bias=-2.0)
    chosen, _ = choose(all_candidates(), samples, reference)
    assert chosen.method != CONDITIONAL or chosen.volume > 0
    unseen = samples_of(6, first=50, bias=-2.0)
    fitted = chosen.fit(samples, reference)
    for sample in unseen:
        missing = [abs(expected_volume(one, sample) - np.mean(sample.drawn)) for one in (IdentityMap(), fitted)]
        assert missing[1] < 0.6 * missing[0]


def test_the_order_of_the_cases_changes_nothing_important(reference):
    samples = samples_of(6, sharpness=3.0)
    one, about = choose(all_candidates(), samples, reference)
    other, turned = choose(all_candidates(), samples[::-1], reference)
    assert other == one
    for mine, its in zip(about.candidates, turned.candidates, strict=True):
        numbers = {"criterion", "standard_error", "penalised"}
        assert its.model_dump(include=numbers) == pytest.approx(mine.model_dump(include=numbers), abs=1e-3)


def test_a_case_that_every_member_missed_does_not_stop_the_choice(reference):
    zeros = np.zeros((22, 24), np.float32)
    mask = np.zeros((22, 24), np.uint8)
    mask[5:9, 6:12] = 1
    missed = tt.Case("missed", members=[zeros, zeros], raters=[mask] * 3, spacing=(1.0, 1.0))
    samples = [*samples_of(6, sharpness=4.0), CaseSample.of(missed, missed.read())]
    chosen, selection = choose(all_candidates(), samples, reference)
    assert chosen.method != "identity"
    assert selection.n_patients == 7


def test_perfect_cases_divide_by_nothing(reference):
    p = expit(6 - np.hypot(*np.meshgrid(np.arange(20) - 9.5, np.arange(20) - 9.5)))
    sure = (p > 0.5).astype(np.float32)
    cases = [tt.Case(f"c{k}", members=[sure] * 2, raters=[sure.astype(np.uint8)] * 2, spacing=(1, 1)) for k in range(3)]
    chosen, selection = choose(all_candidates(), [CaseSample.of(case, case.read()) for case in cases], reference)
    assert chosen == Candidate("identity")
    assert score_of(selection, "identity").criterion == 0


def test_the_methods_choose_among_their_own(reference):
    samples = samples_of(5, sharpness=4.0)
    assert CASE_AWARE == (CONDITIONAL, AUTO)
    fitted, selection = fit_selected(CONDITIONAL, samples)
    assert isinstance(fitted, ConditionalMap)
    assert [one.name for one in selection.candidates] == [one.name for one in conditional_candidates()]
    assert (fitted.towards, fitted.prior_cases) in STRENGTHS
    assert Candidate.of(fitted).name == selection.chosen
    # Weights count in the choice and in the fit that follows.
    weights = [3.0, 1, 1, 1, 0.2]
    weighted, _ = fit_selected(CONDITIONAL, samples, weights=weights)
    again = Candidate.of(weighted).fit(samples, shipped_reference(), weights=weights)
    plain = Candidate.of(weighted).fit(samples, shipped_reference())
    assert np.array(weighted.coefficients) == pytest.approx(np.array(again.coefficients))
    assert weighted.coefficients != pytest.approx(plain.coefficients, abs=1e-3)
    fitted, selection = fit_selected(AUTO, samples)
    assert [one.name for one in selection.candidates] == [one.name for one in all_candidates()]
    assert Candidate.of(fitted).name == selection.chosen
