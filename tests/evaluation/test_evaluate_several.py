"""Several calibrations and sets of predictions, scored in one pass over the cases."""

import json

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import CalibrationError, CohortError, GeometryError, InputError, TwinTrackWarning
from twintrack.evaluation import pdacvi, read_entries, write_evaluation
from twintrack.evaluation.pdacvi.drawn import Drawn
from twintrack.evaluation.protocols import PROTOCOLS
from twintrack.raters.staple import staple

METHODS = ("isotonic", "temperature", "beta")


@pytest.fixture(scope="module")
def cases(make_case):
    return [make_case(seed, n_raters=2 + seed % 3, patient=f"patient{seed // 2}") for seed in range(5)]


@pytest.fixture(scope="module")
def fitted(cases):
    return {method: tt.fit(cases[: 2 + k], method=method) for k, method in enumerate(METHODS)}


def changed(case, power):
    """The case with other probabilities."""
    return tt.Case(case.id, probability=case.read().probability() ** np.float32(power), spacing=(2.0, 0.5, 0.5))


def of(rows, prediction, *, but=("flags", "prediction")):
    return [
        {key: value for key, value in row.items() if key not in but} for row in rows if row["prediction"] == prediction
    ]


@pytest.mark.filterwarnings("ignore::twintrack.errors.TwinTrackWarning")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_scores_as_it_does_alone(cases, fitted, protocol):
    options = {"protocol": protocol, "ceiling": True, "repeats": 20}
    together = tt.evaluate(cases, calibration=fitted, **options)
    for name, calibration in fitted.items():
        alone = tt.evaluate(cases, calibration=calibration, **options)
        for here, there in (("raw", "raw"), ("human", "human"), (name, "calibrated")):
            np.testing.assert_equal(of(together.per_case, here), of(alone.per_case, there))
        np.testing.assert_equal(of(together.per_case, f"{name}_vs_others"), of(alone.per_case, "calibrated_vs_others"))
        for key, score in alone.summary["scores"].items():
            found = together.summary["scores"][key]
            assert found["predictions"][name] == score["predictions"]["calibrated"]
            (gap,) = [gap for gap in found["differences"] if gap["of"] == name]
            assert gap | {"of": "calibrated"} == score["differences"][0]


def test_one_by_the_usual_name_is_the_usual_evaluation(cases, fitted):
    alone = tt.evaluate(cases, calibration=fitted["beta"], ceiling=True, repeats=5)
    named = tt.evaluate(cases, calibration={"calibrated": fitted["beta"]}, ceiling=True, repeats=5)
    assert (named.per_case, named.summary) == (alone.per_case, alone.summary)


def test_each_case_is_read_once(cases, fitted, monkeypatch):
    read, real = [], tt.Case.read
    monkeypatch.setattr(tt.Case, "read", lambda self, **options: (read.append(self.id), real(self, **options))[1])
    tt.evaluate(cases, calibration=fitted, repeats=5)
    assert read == [case.id for case in cases]


def test_consensus_edges_and_masks_are_made_once(cases, monkeypatch):
    made = {"raters": 0, "staple": 0}
    real, estimate = Drawn.of, pdacvi.drawn.staple_patterns

    def count(what, call):
        def counted(*given, **options):
            made[what] += 1
            return call(*given, **options)

        return counted

    monkeypatch.setattr(Drawn, "of", count("raters", real))
    monkeypatch.setattr(pdacvi.drawn, "staple_patterns", count("staple", estimate))
    data = cases[2].read()
    maps = [data.probability() ** np.float32(power) for power in (1, 2, 3)]
    pdacvi.score_each(list(data.raters.values()), maps, variant="corrected")
    assert made == {"raters": 1, "staple": 1}


def test_the_consensus_does_not_depend_on_the_prediction(cases):
    data = cases[2].read()
    masks = list(data.raters.values())
    drawn = Drawn.of(np.stack(masks))
    mask = (drawn.staple_of(drawn.codes.astype(np.uint64)) > 0.5).reshape(drawn.codes.shape)
    assert (mask == staple(masks).mask).all()


def test_flags_and_fitted_cases_are_told_of_each(cases, fitted):
    other = tt.Case(
        "far",
        probability=cases[0].read().probability(),
        raters=[np.ones((3, 24, 30), np.uint8)] * 2,
        spacing=(9.0, 0.5, 0.5),
    )
    with pytest.warns(TwinTrackWarning) as said:
        found = tt.evaluate([*cases, other], calibration=fitted, repeats=5)
    ends = [str(one.message).partition(" (calibration ")[2] for one in said if "far is unlike" in str(one.message)]
    assert ends == [f"{name!r})" for name in fitted]
    rows = {row["prediction"]: row["flags"] for row in found.per_case if row["case"] == "far"}
    assert rows["raw"] is None
    assert all(rows[name] > 0 for name in fitted)
    # The far case has the probabilities of the first, which all were fitted to.
    assert found.summary["n_cases_seen_by_each_fit"] == {"isotonic": 3, "temperature": 4, "beta": 5}
    assert found.summary["n_cases_seen_by_the_fit"] == 5


def test_other_predictions_are_scored_as_they_are(cases, fitted):
    sets = {f"power {power}": [changed(case, power) for case in reversed(cases)] for power in (2, 3)}
    found = tt.evaluate(cases, calibration=fitted["beta"], predictions=sets, ceiling=True, repeats=5)
    assert list(found.summary["scores"]["mse"]["predictions"])[:4] == ["raw", "calibrated", "power 2", "power 3"]
    for power in (2, 3):
        replaced = [
            tt.Case(
                case.id,
                probability=changed(case, power).read(raters=False).probability(),
                raters=list(case.read().raters.values()),
                spacing=(2.0, 0.5, 0.5),
                patient=case.patient,
            )
            for case in cases
        ]
        alone = tt.evaluate(replaced, ceiling=True, repeats=5)
        for what in ("", "_vs_others"):
            assert of(found.per_case, f"power {power}{what}") == of(alone.per_case, f"raw{what}")
    assert {row["flags"] for row in found.per_case if row["prediction"].startswith("power")} == {None}


def test_predictions_of_cases_without_members(cases):
    drawn = [tt.Case(case.id, raters=list(case.read().raters.values()), spacing=(2.0, 0.5, 0.5)) for case in cases]
    found = tt.evaluate(drawn, predictions={"a": [changed(case, 1) for case in cases]}, repeats=5)
    assert of(found.per_case, "a", but=("prediction", "patient")) == of(
        tt.evaluate(cases, repeats=5).per_case, "raw", but=("prediction", "patient")
    )
    assert found.summary["scores"]["mse"]["differences"] == []


def test_workers_give_the_same(cases, fitted):
    given = {"calibration": fitted, "predictions": {"a": [changed(case, 2) for case in cases]}, "repeats": 5}
    here = tt.evaluate(cases, **given)
    there = tt.evaluate(cases, **given, executor=tt.Processes(1))
    assert (here.per_case, here.summary) == (there.per_case, there.summary)


def test_comparisons_read_every_prediction(cases, fitted, tmp_path):
    write_evaluation(tt.evaluate(cases, calibration=fitted, ceiling=True, repeats=5), tmp_path / "all")
    assert [one.name for one in read_entries([tmp_path / "all"])] == [f"all/{name}" for name in ("raw", *METHODS)]
    assert (
        json.loads((tmp_path / "all" / "summary.json").read_text(encoding="utf-8"))["n_cases_seen_by_each_fit"]["beta"]
        == 4
    )


@pytest.mark.parametrize("name", ["raw", "human", "a/b", "", " ", "a_vs_others"])
def test_names_that_are_taken_or_mislead_are_refused(cases, fitted, name):
    with pytest.raises(InputError, match="cannot be called"):
        tt.evaluate(cases, calibration={name: fitted["beta"]})
    with pytest.raises(InputError, match="cannot be called"):
        tt.evaluate(cases, predictions={name: cases})


def test_what_is_given_twice_is_refused(cases, fitted):
    beta = fitted["beta"]
    with pytest.raises(InputError, match="'a' and 'b' are the same calibration"):
        tt.evaluate(cases, calibration={"a": beta, "b": beta.model_copy(deep=True)})
    with pytest.raises(InputError, match="both called 'a'"):
        tt.evaluate(cases, calibration={"a": beta}, predictions={"a": cases})


def test_a_calibration_that_does_not_fit_is_named(make_case, cases, fitted):
    of_tumour = tt.fit([make_case(seed, foreground=("tumour",)) for seed in range(2)], method="beta")
    other = make_case(7, foreground=("cyst",))
    with pytest.raises(CalibrationError, match="calibration 'b': case case7: its probability is of cyst"):
        tt.evaluate([other], calibration={"a": fitted["beta"], "b": of_tumour})
    left_out = []
    found = tt.evaluate(
        [*cases, other],
        calibration={"a": fitted["beta"], "b": of_tumour},
        repeats=5,
        on_bad=lambda case, error: left_out.append(case.id),
    )
    assert (left_out, found.summary["n_cases"]) == (["case7"], 5)


def test_predictions_that_lack_a_case_are_refused_before_any_is_read(cases, monkeypatch):
    monkeypatch.setattr(tt.Case, "read", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(CohortError, match="the predictions 'a' have none of case3, case4"):
        tt.evaluate(cases, predictions={"a": cases[:3]})
    problem = [*cases[:4], tt.Case("case4", problem="it is broken")]
    with pytest.raises(CohortError, match="predictions 'a', case case4: it is broken"):
        tt.evaluate(cases, predictions={"a": problem})


def test_predictions_that_lack_a_case_or_do_not_fit_can_be_left_out(cases):
    shifted = tt.Case("case1", probability=np.zeros((3, 24, 30), np.float32), spacing=(3.0, 0.5, 0.5))
    with pytest.raises(GeometryError, match="case case1 and its prediction 'a'"):
        tt.evaluate(cases, predictions={"a": [cases[0], shifted, *cases[2:]]})
    reasons = {}
    tt.evaluate(
        cases,
        predictions={"a": [cases[0], shifted, *cases[2:4]]},
        repeats=5,
        on_bad=lambda case, error: reasons.update({case.id: str(error)}),
    )
    assert set(reasons) == {"case1", "case4"}
    assert reasons["case4"] == "case case4: the predictions 'a' have none of it"


def test_a_calibration_beside_predictions_needs_members(cases, fitted):
    drawn = [tt.Case(case.id, raters=list(case.read().raters.values()), spacing=(2.0, 0.5, 0.5)) for case in cases]
    with pytest.raises(CohortError, match="a calibration needs the ensemble's own members"):
        tt.evaluate(drawn, calibration=fitted["beta"], predictions={"a": cases})
