"""Rules by hand: where the thresholds lie, what they decide, what they bring, and what their file may hold."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import twintrack as tt
from twintrack.errors import CalibrationError, CohortError, InputError, OutputError, TwinTrackWarning
from twintrack.evaluation.bootstrap import patient_weights
from twintrack.evaluation.triage import fit_rules, load_rules
from twintrack.evaluation.triage.learn import consequences, thresholds
from twintrack.evaluation.triage.rules import TriageRules


def rules_of(accept, defer, **more):
    return TriageRules(
        ranking="dice_loss",
        tolerance=0.3,
        accept_risk=0.1,
        defer_risk=0.5,
        accept=accept,
        defer=defer,
        n_cases=10,
        n_beyond=3,
        calibration_sha256="",
        **more,
    )


def test_thresholds_by_hand():
    # Good up to 9, then bad, good, bad, bad. (b + 1) / (n + 1) at 9 is 1/10, at 10 it is 2/11.
    priority = np.arange(1.0, 14)
    beyond = np.array([0] * 9 + [1, 0, 1, 1], bool)
    accept, defer = thresholds(priority, beyond, accept_risk=0.1, defer_risk=0.5)
    # Above 9 there are 4, 3 of them bad: 3/5. `defer` cannot lie below `accept`.
    assert (accept, defer) == (9, 9)
    # With a risk of 1/5 the tenth and eleventh may be accepted: 2/12. Above 11 both are bad, 2/3.
    assert thresholds(priority, beyond, accept_risk=0.2, defer_risk=0.5) == (11, 11)
    # 9 of 10 need at least nine bad cases.
    assert thresholds(priority, beyond, accept_risk=0.1, defer_risk=0.9) == (9, None)


def test_few_cases_accept_nothing():
    assert thresholds(np.arange(8.0), np.zeros(8, bool), accept_risk=0.1, defer_risk=0.5) == (None, None)
    assert thresholds(np.arange(9.0), np.zeros(9, bool), accept_risk=0.1, defer_risk=0.5) == (8, None)


def test_equal_cases_share_their_fate():
    priority, beyond = np.array([1.0] * 10 + [2.0] * 3), np.array([0] * 9 + [1] + [1] * 3, bool)
    assert thresholds(priority, beyond, accept_risk=0.1, defer_risk=0.5) == (None, 1)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=60))
def test_the_risks_are_kept_on_the_cases_themselves(rows):
    priority, beyond = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
    accept, defer = thresholds(priority, beyond, accept_risk=0.2, defer_risk=0.6)
    if accept is not None:
        assert beyond[priority <= accept].mean() <= 0.2
    if defer is not None:
        assert beyond[priority > defer].mean() >= 0.6
        assert accept is None or defer >= accept


def test_decisions():
    rules = rules_of(0.1, 0.4)
    assert [rules.decide(value) for value in (0.05, 0.1, 0.2, 0.4, 0.5)] == [
        "accept",
        "accept",
        "review",
        "review",
        "defer",
    ]
    # A case unlike those the thresholds were set by is not accepted on their word.
    assert rules.decide(0.05, flagged=True) == "review"
    assert rules.decide(0.5, flagged=True) == "defer"
    assert [rules_of(None, None).decide(value) for value in (-1, 2)] == ["review", "review"]


def test_consequences_by_hand():
    error = np.array([0.1, 0.2, 0.5, 0.9])
    decisions = ["accept", "accept", "review", "accept"]
    found = consequences(decisions, error=error, tolerance=0.3, weights=np.array([[1.0, 1, 1, 1], [2, 2, 0, 0]]))
    assert found["accept"]["n"] == 3
    assert found["accept"]["share"]["value"] == 0.75
    assert found["accept"]["error"]["value"] == pytest.approx(0.4)
    assert found["accept"]["beyond"]["value"] == pytest.approx(1 / 3)
    assert found["review"]["error"]["value"] == 0.5
    assert found["all"]["error"]["value"] == pytest.approx(0.425)
    assert found["defer"]["n"] == 0
    assert np.isnan(found["defer"]["error"]["value"])
    # In the second resample all are accepted, with errors .1 and .2.
    assert found["accept"]["share"]["high"] == pytest.approx(1, abs=0.01)
    assert found["accept"]["error"]["low"] == pytest.approx(0.15, abs=0.01)
    assert patient_weights(["a"] * 4, repeats=2).shape == (2, 4)


def test_rules_are_set_by_cases_and_come_back_from_their_file(calibration, cohort, tmp_path):
    rules = fit_rules(calibration, cohort, tolerance=0.1, accept_risk=0.3, defer_risk=0.4)
    assert rules.n_cases == 12
    assert (rules.accept, rules.defer) != (None, None)
    rules.save(tmp_path / "rules.json")
    assert load_rules(tmp_path / "rules.json") == rules
    calibration.save(tmp_path / "calibration.json")
    rules.require_fitting(tt.load_calibration(tmp_path / "calibration.json"))
    with pytest.raises(CalibrationError, match="set with another calibration"):
        rules.require_fitting(tt.fit(cohort, method="platt", replicates=0))


def test_looser_tolerances_accept_no_less(calibration, cohort):
    shares = []
    for tolerance in (0, 0.05, 0.2, 1):
        rules = fit_rules(calibration, cohort, tolerance=tolerance, accept_risk=0.3)
        shares.append(-np.inf if rules.accept is None else rules.accept)
    assert shares == sorted(shares)
    assert fit_rules(calibration, cohort, tolerance=1).defer is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranking": "beauty"}, "expected one of disagreement"),
        ({"tolerance": 1.5}, "tolerance lies in"),
        ({"accept_risk": 0}, "risks between 0 and 1"),
        ({"defer_risk": 1}, "risks between 0 and 1"),
        ({"n_raters": 0}, "number of raters is 0"),
    ],
)
def test_options_that_cannot_be_used_are_refused(calibration, cohort, options, message):
    with pytest.raises(InputError, match=message):
        fit_rules(calibration, cohort, **options)


def test_cases_that_cannot_be_ranked_or_used_are_refused(calibration, make_case):
    with pytest.raises(CohortError, match="empty"):
        fit_rules(calibration, [])
    no_raters = tt.Case("c", members=[np.zeros((2, 2, 2), np.float32)], spacing=(1, 1, 1))
    skipped = []
    with pytest.raises(CohortError, match="every case was skipped"):
        fit_rules(calibration, [no_raters], on_bad=lambda case, error: skipped.append(case.id))
    assert skipped == ["c"]
    data = make_case(0).read()
    lone = tt.Case("c", probability=data.members[0], raters=data.raters, grid=data.grid)
    with (
        pytest.warns(TwinTrackWarning),
        pytest.raises(InputError, match="cannot be ranked by members"),
    ):
        fit_rules(calibration, [lone], ranking="members")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "not JSON"),
        ("[]", "does not hold triage rules: the file"),
        ("{}", "does not hold triage rules: ranking"),
        (json.dumps({**json.loads(rules_of(0.1, 0.4).model_dump_json()), "accept": 0.5}), "below that of accept"),
        (json.dumps({**json.loads(rules_of(0.1, 0.4).model_dump_json()), "ranking": "beauty"}), "got 'beauty'"),
        (json.dumps({**json.loads(rules_of(0.1, 0.4).model_dump_json()), "schema_version": 2}), "schema_version"),
        (json.dumps({**json.loads(rules_of(0.1, 0.4).model_dump_json()), "more": 1}), "more"),
        (rules_of(0.1, 0.4).model_dump_json().replace('"accept":0.1', '"accept":NaN'), "accept"),
    ],
)
def test_files_that_hold_no_rules_are_refused(tmp_path, text, message):
    path = tmp_path / "rules.json"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        load_rules(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read the rules"):
        load_rules(tmp_path / "none.json")
    with pytest.raises(OutputError):
        rules_of(0.1, 0.4).save(tmp_path / "no" / "rules.json")
