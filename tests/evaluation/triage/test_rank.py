"""A worklist without raters: its order, what the budget and the rules make of it, and its files."""

import csv
import json

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.agreement import agreement_levels
from twintrack.errors import CalibrationError, CohortError, InputError, TwinTrackWarning
from twintrack.evaluation.triage import Budget, Reading, fit_rules, rank_cases
from twintrack.evaluation.triage.files import worklist_record, write_worklist

ODD = ['a,"b"', "<script>alert(1)</script>", "Übung π", "=1+1", "line\nbreak"]


def without_raters(case, name=None):
    data = case.read(raters=False, vessels=True)
    return tt.Case(
        name or case.id, members=data.members, grid=data.grid, vessels=data.vessels, patient=case.patient, roi=data.roi
    )


@pytest.fixture(scope="module")
def new(make_case):
    return tt.Cohort(without_raters(make_case(seed)) for seed in range(50, 58))


def test_cases_stand_by_what_they_are_ranked_by(calibration, new):
    found = rank_cases(calibration, new)
    numbers = [one.priorities["disagreement"] for one in found.cases]
    assert numbers == sorted(numbers, reverse=True)
    assert found.decisions == ("review",) * 8
    assert all(
        chosen == list(range(len(one.regions.found))) for one, chosen in zip(found.cases, found.chosen, strict=True)
    )
    assert (found.spent, found.n_raters) == (None, 3)
    assert found.uncertain == pytest.approx((1 / 6, 5 / 6))
    other = [one.priorities["raw_dice_loss"] for one in rank_cases(calibration, new, ranking="raw_dice_loss").cases]
    assert other == sorted(other, reverse=True)


def test_a_case_says_what_its_map_holds(calibration, new):
    found = rank_cases(calibration, new, n_raters=5).cases[0]
    case = next(case for case in new if case.id == found.case)
    response = calibration.apply(case)
    assert found.expected_volume == pytest.approx(3 * float(response.sum()))
    levels = agreement_levels(response, n_raters=5)
    assert found.at_least == {k: 3.0 * np.count_nonzero(levels >= k) for k in range(1, 6)}
    assert found.priorities["margin"] == pytest.approx(found.at_least[1] - found.at_least[5])
    assert found.regions.voxels * 3 == pytest.approx(found.priorities["margin"])


def test_a_budget_of_cases_takes_the_first(calibration, new):
    for n in (0, 3, 99):
        found = rank_cases(calibration, new, budget=Budget(n, "cases"))
        assert [chosen is not None for chosen in found.chosen] == [k < n for k in range(8)]
        assert found.spent == min(n, 8)


def test_minutes_rank_by_minute(calibration, new):
    slow = Reading(minutes_per_case=0.001, minutes_per_slice=10)
    found = rank_cases(calibration, new, budget=Budget(25, "minutes"), reading=slow)
    rates = [one.priorities["disagreement"] / slow.minutes(one.regions.n_slices) for one in found.cases]
    assert rates == sorted(rates, reverse=True)
    assert found.spent <= 25


def test_accepted_and_deferred_cases_cost_nothing(calibration, cohort, new):
    rules = fit_rules(calibration, cohort, tolerance=0.1, accept_risk=0.3, defer_risk=0.4)
    losses = sorted(one.priorities["dice_loss"] for one in rank_cases(calibration, new).cases)
    rules = rules.model_copy(update={"accept": losses[2], "defer": losses[5]})
    found = rank_cases(calibration, new, budget=Budget(2, "cases"), rules=rules)
    assert sorted(found.decisions) == ["accept"] * 3 + ["defer"] * 2 + ["review"] * 3
    chosen = [decision for decision, regions in zip(found.decisions, found.chosen, strict=True) if regions is not None]
    assert chosen == ["review", "review"]
    assert found.spent == 2
    everything = rank_cases(calibration, new, rules=rules)
    assert [regions is not None for regions in everything.chosen] == [one == "review" for one in everything.decisions]


def test_a_case_unlike_the_calibration_cases_is_not_accepted(calibration, cohort, make_case):
    rules = fit_rules(calibration, cohort, accept_risk=0.5).model_copy(update={"accept": 1.0, "defer": None})
    data = make_case(3).read(raters=False)
    lone = tt.Case("lone", probability=data.members[0], grid=data.grid)
    with pytest.warns(TwinTrackWarning, match="unlike"):
        found = rank_cases(calibration, [lone], rules=rules)
    assert found.decisions == ("review",)
    assert found.cases[0].flags


def test_vessels_are_spoken_of_where_there_are_any(calibration, make_case):
    with_vessels = without_raters(make_case(1, vessels=True))
    (one,) = rank_cases(calibration, [with_vessels]).cases
    assert one.vessels["AORTA"] is None
    porta = one.vessels["PORTA"]
    assert set(porta["probability_above"]) == {"90", "180"}
    assert 0 <= porta["probability_above"]["180"] <= porta["probability_above"]["90"] <= 1
    degrees = list(porta["degrees_at_least"].values())
    assert degrees == sorted(degrees, reverse=True)
    assert degrees[0] > 0
    (other,) = rank_cases(calibration, [without_raters(make_case(1))]).cases
    assert other.vessels is None


def test_the_files_hold_the_worklist_whatever_cases_are_called(calibration, make_case, tmp_path):
    cases = [without_raters(make_case(60 + k), name) for k, name in enumerate(ODD)]
    found = rank_cases(calibration, cases, budget=Budget(2, "cases"), most_regions=1)
    paths = write_worklist(found, tmp_path / "new" / "folder")
    record = json.loads(paths[0].read_text(encoding="utf-8"))
    assert record == json.loads(json.dumps(worklist_record(found)))
    assert [one["case"] for one in record["cases"]] == [one.case for one in found.cases]
    assert record["budget"] == {
        "amount": 2,
        "unit": "cases",
        "spent": 2,
        "minutes_per_case": 1.0,
        "minutes_per_slice": 0.1,
    }
    with paths[1].open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["case"] for row in rows] == [one.case for one in found.cases]
    assert sorted(row["case"] for row in rows) == sorted(ODD)
    assert [row["chosen"] for row in rows] == ["True", "True", "False", "False", "False"]
    with paths[2].open(newline="", encoding="utf-8") as stream:
        regions = list(csv.DictReader(stream))
    first = record["cases"][0]["regions"][0]
    assert float(regions[0]["volume_mm3"]) == first["volume_mm3"]
    assert [int(regions[0][name]) for name in ("z_first", "z_last")] == first["slices"] == first["box"][0]
    assert [float(regions[0][f"centre_{axis}_mm"]) for axis in "xyz"] == first["centre_mm"]
    assert sum(one["more_regions"] + len(one["regions"]) for one in record["cases"]) >= len(regions) == len(ODD)


def test_one_expert_has_no_margin_and_one_member_no_number(calibration, make_case, tmp_path):
    data = make_case(3).read(raters=False)
    lone = tt.Case("lone", probability=data.members[0], grid=data.grid)
    with pytest.warns(TwinTrackWarning):
        found = rank_cases(calibration, [lone], n_raters=1)
    (one,) = json.loads(write_worklist(found, tmp_path)[0].read_text(encoding="utf-8"))["cases"]
    assert one["margin_mm3"] == 0
    assert one["priorities"]["members"] is None
    with pytest.warns(TwinTrackWarning), pytest.raises(InputError, match="cannot be ranked by members"):
        rank_cases(calibration, [lone], ranking="members")


def test_what_cannot_be_ranked_is_refused(calibration, new, cohort):
    with pytest.raises(CohortError, match="empty"):
        rank_cases(calibration, [])
    with pytest.raises(InputError, match="expected one of"):
        rank_cases(calibration, new, ranking="beauty")
    with pytest.raises(InputError, match="at least one region"):
        rank_cases(calibration, new, most_regions=0)
    with pytest.raises(InputError, match="0 < low < high"):
        rank_cases(calibration, new, uncertain=(0, 1))
    rules = fit_rules(calibration, cohort)
    with pytest.raises(CalibrationError, match="another calibration"):
        rank_cases(tt.fit(cohort, method="platt", replicates=0), new, rules=rules)
    only_raters = tt.Case("c", raters=[np.zeros((2, 2, 2), np.uint8)], spacing=(1, 1, 1))
    with pytest.raises(CohortError, match="no member predicted it"):
        rank_cases(calibration, [only_raters])
    with pytest.raises(CohortError, match="every case was skipped"):
        rank_cases(calibration, [only_raters], on_bad=lambda case, error: None)


def test_a_calibration_that_does_not_say_how_many_experts_asks_for_the_number(calibration, new):
    silent = calibration.model_copy(update={"provenance": calibration.provenance.model_copy(update={"raters": {}})})
    with pytest.raises(CalibrationError, match="--experts"):
        rank_cases(silent, new)
    assert rank_cases(silent, new, n_raters=4).n_raters == 4


def test_the_same_whoever_does_the_work(calibration, new):
    alone, together = (rank_cases(calibration, new, executor=one) for one in (None, tt.Processes(2)))
    assert worklist_record(alone) == worklist_record(together)
