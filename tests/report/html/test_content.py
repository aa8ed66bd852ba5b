"""What a report is refused for: each says which file, what was found, and what to do."""

import json

import pytest

import twintrack as tt
from twintrack.errors import CalibrationError, InputError
from twintrack.report.html.content import read_content

from . import maker


def test_everything_is_read(made):
    found = read_content(made / "scores", calibration=made / "calibration.json")
    assert found.predictions == ("raw", "calibrated")
    assert found.calibration.method == found.calibrated.method == "isotonic"
    assert len(found.details.cases) == found.summary["n_cases"] == 6
    assert set(found.sha256) == {"summary.json", "scores.csv", "calibration"}


def test_without_the_calibration_file_the_report_is_about_it_all_the_same(made):
    found = read_content(made / "scores")
    assert (found.chosen, found.calibration, found.calibrated.n_cases) == ("calibrated", None, 6)


def refused(folder, match, **options):
    with pytest.raises(InputError, match=match):
        read_content(folder, **options)


def test_a_folder_that_is_none(tmp_path):
    refused(tmp_path / "none", "there is no such folder; name one that `twintrack evaluate")
    refused(tmp_path, "is not an evaluation: .*summary.json: No such file")


def test_zero_cases(evaluated):
    scores = evaluated / "scores" / "scores.csv"
    header = scores.read_text(encoding="utf-8").splitlines()[0]
    scores.write_text(header + "\n")
    refused(evaluated / "scores", "has scores of no case")


def test_an_older_summary(evaluated):
    path = evaluated / "scores" / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    del summary["n_patients"], summary["scores"]["mse"]["differences"]
    path.write_text(json.dumps(summary))
    again = r"n_patients: field required \(2 such in all\). Make it again with this version: twintrack evaluate … --out"
    refused(evaluated / "scores", again)


def test_a_summary_that_is_not_json(evaluated):
    (evaluated / "scores" / "summary.json").write_text("{")
    refused(evaluated / "scores", "summary.json is not JSON")
    (evaluated / "scores" / "summary.json").write_text("[]")
    refused(evaluated / "scores", "summary.json is of another version.*the whole: input should be a valid dict")


def test_scores_that_are_not_a_table(evaluated):
    (evaluated / "scores" / "scores.csv").write_text("case,prediction,mse\na,raw,x\n")
    refused(evaluated / "scores", "scores.csv is not a table of scores .it has no column patient, raters")
    (evaluated / "scores" / "scores.csv").write_text("case,patient,raters,prediction,mse\na,a,3,raw,x\n")
    refused(evaluated / "scores", "scores.csv is not a table of scores .could not convert string to float")
    for row in ("a,a,3,raw,1,2", "a,a,3"):
        (evaluated / "scores" / "scores.csv").write_text(f"case,patient,raters,prediction,mse\n{row}\n")
        refused(evaluated / "scores", "a row has not as many cells as there are columns")


def test_scores_of_another_evaluation(evaluated):
    path = evaluated / "scores" / "scores.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("case 0,", "case 9,"))
    refused(evaluated / "scores", r"scores.csv is not the file that .*details.json was written with")


def test_a_calibration_that_was_not_evaluated(evaluated):
    other = evaluated / "other.json"
    tt.fit(maker.make_cases(4), method="temperature", replicates=0).save(other)
    refused(
        evaluated / "scores",
        r"not the calibration that was evaluated. It is of method temperature, fitted on 4 cases .*calibrated: method "
        r"isotonic, fitted on 6",
        calibration=other,
    )


def test_the_same_calibration_in_another_file_is_the_same(evaluated):
    path = evaluated / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), indent=7))
    assert read_content(evaluated / "scores", calibration=path).calibration.method == "isotonic"


def test_a_calibration_that_cannot_be_read(evaluated):
    with pytest.raises(CalibrationError, match="cannot read the calibration .*none.json"):
        read_content(evaluated / "scores", calibration=evaluated / "none.json")


def test_a_calibration_where_none_was_evaluated(evaluated):
    (evaluated / "raw").mkdir()
    maker.write_scores(evaluated / "raw", maker.make_cases(3), method=None)
    refused(evaluated / "raw" / "scores", "was made without a calibration", calibration=evaluated / "calibration.json")


def test_predictions_are_chosen_by_name(tmp_path):
    cases = maker.make_cases(4)
    several = {name: tt.fit(cases, method=name, replicates=0) for name in ("isotonic", "temperature")}
    scores = maker.write_scores(tmp_path, cases, method=None, calibration=several)
    several["temperature"].save(tmp_path / "t.json")
    assert read_content(scores).chosen == "isotonic"
    assert read_content(scores, prediction="temperature").calibrated.method == "temperature"
    assert read_content(scores, calibration=tmp_path / "t.json").chosen == "temperature"
    refused(scores, "no prediction 'platt' to report; it has isotonic, temperature", prediction="platt")
    refused(scores, "not the calibration that was evaluated", calibration=tmp_path / "t.json", prediction="isotonic")


def test_a_learning_curve_that_is_none(evaluated):
    path = evaluated / "curve.json"
    refused(evaluated / "scores", "cannot read the learning curve", learning_curve=path)
    path.write_text('{"method": "isotonic"}')
    refused(evaluated / "scores", "not a learning curve that `twintrack sample-size` wrote", learning_curve=path)
