"""The page itself: whole, by itself, escaped, the same every time, and honest about what it lacks."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.learning_curve import learning_curve
from twintrack.errors import InputError, OutputError, TwinTrackWarning
from twintrack.report.html.page import write_report

from . import maker

VOID = {"meta", "input", "br", "rect", "line", "circle", "path"}


class Outline(HTMLParser):
    """Reads a page as a browser would: its elements, the text of each section, and what is left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sections: dict[str, str] = {}
        self.scripts: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self._section = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._section = found.get("id") or "lede"
        if tag == "script":
            self.scripts.append(found)
        self.links += [value for name, value in attrs if name in ("src", "href") and value is not None]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data):
        self.sections[self._section] = self.sections.get(self._section, "") + data


@pytest.fixture(scope="session")
def report(made, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(made / "scores", out, calibration=made / "calibration.json").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def outline(report):
    return Outline(report)


def test_every_element_is_closed_and_every_section_there(outline):
    assert outline.open == []
    named = ["lede", "scores", "pictures", "reliability", "calibration", "volumes", "disagreement", "all-cases"]
    assert [name for name in outline.sections if name] == [*named, "more-cases", "flags", "card"]


def test_it_needs_no_other_file_and_forbids_every_request(report, outline):
    assert all(link.startswith("#") for link in outline.links)
    assert "default-src 'none'" in report
    assert not re.search(r"https?://(?!www\.w3\.org)", report)
    assert [script.get("type") for script in outline.scripts] == ["application/json", None]


def test_hostile_names_are_words(report, outline):
    assert maker.HOSTILE not in report
    assert "<b>" not in report.replace("<b>Raw</b>", "").replace("<b>Calibrated</b>", "").split('<table id="cases"')[1]
    assert maker.HOSTILE in outline.sections["all-cases"]
    text = report.split('id="data">')[1].split("</script>")[0]
    data = json.loads(text)
    assert "<" not in text
    assert len(data["pictures"]) == 3


def test_a_hostile_title_is_words(made, tmp_path):
    page = write_report(made / "scores", tmp_path / "r.html", title=maker.HOSTILE).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("alert(1)") > 0


def test_three_sentences_say_what_was_done(outline):
    said = " ".join(outline.sections["lede"].split())
    assert said.startswith(
        "6 cases of 3 patients, each drawn by 3 to 4 raters, were scored by the protocol “response”."
    )
    assert "A calibration (method isotonic, fitted on 6 cases) turned the ensemble's probability" in said
    assert "The calibrated response is" in said
    assert "the calibration was fitted on 6 cases of those scored here" in said
    assert "not a medical device" in said


def test_scores_are_those_of_the_summary(made, outline):
    summary = json.loads((made / "scores" / "summary.json").read_text(encoding="utf-8"))
    dice = summary["scores"]["thresh_dsc"]["predictions"]
    for name in ("raw", "calibrated", "human", "raw_vs_others"):
        assert f"{dice[name]['value']:.3g}" in outline.sections["scores"]
    assert "one more rater" in outline.sections["scores"]


def test_the_same_inputs_give_the_same_bytes(made, report, tmp_path):
    again = write_report(made / "scores", tmp_path / "again.html", calibration=made / "calibration.json")
    assert again.read_text(encoding="utf-8") == report


def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path):
    cases = [maker.make_case(k, n_raters=1, image=None) for k in range(3)]
    scores = maker.write_scores(tmp_path, cases, method=None, details=False, ceiling=False)
    said = Outline(write_report(scores, tmp_path / "r.html").read_text(encoding="utf-8")).sections
    again = "twintrack evaluate … --out scores"
    for section in ("pictures", "reliability", "volumes", "disagreement"):
        assert again in said[section], section
    assert "--ceiling" in said["scores"]
    assert "twintrack fit" in said["calibration"]
    assert "twintrack sample-size" in said["more-cases"]
    assert "nothing was calibrated" in said["flags"]
    assert "None was evaluated" in said["card"]


def test_one_rater_one_case_and_no_ct(tmp_path):
    scores = maker.write_scores(tmp_path, [maker.make_case(0, n_raters=1, image=None)], method="temperature")
    said = Outline(write_report(scores, tmp_path / "r.html").read_text(encoding="utf-8")).sections
    assert "Best, median, worst case" in " ".join(said["pictures"].split())
    assert "No CT: there is no CT beside its masks, and none was named (--images)" in said["pictures"]
    assert "it needs at least two patients" in said["reliability"]
    assert "No case has two raters" in said["disagreement"]
    assert "twintrack report … --calibration FILE" in said["calibration"]


def test_where_nobody_drew_and_nothing_is_predicted(tmp_path):
    nothing = np.zeros((2, 8, 8), np.float32)
    empty = tt.Case("empty", probability=nothing, raters=[nothing.astype(np.uint8)] * 2, patient="e")
    scores = maker.write_scores(tmp_path, [empty, *maker.make_cases(2)], method="temperature")
    said = Outline(write_report(scores, tmp_path / "r.html").read_text(encoding="utf-8")).sections
    assert "empty" in said["all-cases"]
    assert "voxels" in said["volumes"]  # the size of this case's voxels is not known


def test_the_raters_alone(tmp_path):
    cases = [maker.make_case(k) for k in range(3)]
    alone = [tt.Case(case.id, raters=[one.read().array for one in case.raters.values()]) for case in cases]
    scores = maker.write_scores(tmp_path, alone, method=None)
    said = Outline(write_report(scores, tmp_path / "r.html").read_text(encoding="utf-8")).sections
    assert "holds the raters alone" in said["scores"]
    assert "one more rater" in said["scores"]


def test_a_case_aware_calibration_is_shown_by_what_it_did(tmp_path):
    scores = maker.write_scores(tmp_path, maker.make_cases(6), method="conditional")
    page = write_report(scores, tmp_path / "r.html", calibration=tmp_path / "calibration.json")
    said = Outline(page.read_text(encoding="utf-8")).sections["calibration"]
    assert "also looks at a voxel's surroundings" in said
    assert "80\u202f% of the voxels" in said


def test_flags_and_the_learning_curve_are_shown(tmp_path):
    fitted = tt.fit([maker.make_case(k) for k in range(6)], method="temperature", replicates=2)
    loud = maker.make_case(6)
    loud.members = loud.members[:1]
    with pytest.warns(TwinTrackWarning, match="it has 1 members"):
        scores = maker.write_scores(tmp_path, [loud, maker.make_case(7)], method=None, calibration=fitted)
    curve = learning_curve([maker.make_case(k, patient=f"q{k}") for k in range(8)], method="isotonic", repeats=1)
    (scores / "learning_curve.json").write_text(curve.model_dump_json())
    said = Outline(write_report(scores, tmp_path / "r.html").read_text(encoding="utf-8")).sections
    assert "1 of 2 cases is unlike" in " ".join(said["flags"].split())
    assert "it has 1 members, the fitted cases [2]" in said["flags"]
    assert curve.answer.sentences[0] in said["more-cases"]


def test_several_predictions_are_named(tmp_path):
    cases = maker.make_cases(4)
    several = {name: tt.fit(cases, method=name, replicates=0) for name in ("isotonic", "temperature")}
    scores = maker.write_scores(tmp_path, cases, method=None, calibration=several)
    page = write_report(scores, tmp_path / "r.html", prediction="temperature").read_text(encoding="utf-8")
    said = Outline(page).sections
    assert "3 predictions were scored: raw, isotonic, temperature" in said["lede"]
    assert "temperature response" in said["pictures"]
    assert "fitted on 4 cases" in said["lede"]


def test_nothing_half_written_stays(made, tmp_path):
    old = tmp_path / "report.html"
    old.write_text("old")
    with pytest.raises(InputError, match=r"report.pdf: a report is written as .html"):
        write_report(made / "scores", tmp_path / "report.pdf")
    with pytest.raises(InputError):
        write_report(tmp_path, old)
    with pytest.raises(OutputError, match="no folder"):
        write_report(made / "scores", tmp_path / "none" / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(OutputError, match="not a regular file"):
        write_report(made / "scores", tmp_path / "folder.html")
    assert old.read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.html", "report.html"]


def test_fifty_cases_stay_small(tmp_path):
    scores = maker.write_scores(tmp_path, [maker.make_case(k % 7, name=f"case {k}") for k in range(50)], ceiling=False)
    assert write_report(scores, tmp_path / "r.html").stat().st_size < 15e6
