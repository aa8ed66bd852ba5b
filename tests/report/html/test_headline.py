"""The rows of scores: what is called better, and in which unit small numbers are written."""

import math

import pytest

from twintrack.report.html.content import read_content
from twintrack.report.html.headline import ceiling_rows, score_power, score_rows, score_unit, verdicts


def entry(better, low, high):
    one = {"value": 1.0, "low": 0.5, "high": 2.0}
    gap = {"of": "calibrated", "to": "raw", "value": (low + high) / 2, "low": low, "high": high}
    return {
        "label": f"{better} {low}",
        "meaning": "",
        "unit": "mm³",
        "better": better,
        "predictions": {"raw": one, "calibrated": one},
        "differences": [{**gap, "cases_improved": 1, "cases_worsened": 2}],
    }


@pytest.mark.parametrize(
    ("better", "low", "high", "verdict"),
    [
        ("lower", -2, -1, "better"),
        ("lower", 1, 2, "worse"),
        ("lower", -1, 1, "no clear difference"),
        ("higher", 1, 2, "better"),
        ("higher", -2, -1, "worse"),
        ("zero", 1, 2, None),  # the difference of signed errors does not say which is nearer to 0
        ("lower", 0, 0, "no clear difference"),
    ],
)
def test_a_difference_is_clear_where_its_interval_lies_on_one_side_of_0(made, better, low, high, verdict):
    content = read_content(made / "scores")
    content.summary["scores"] = {"one": entry(better, low, high)}
    (row,) = score_rows(content)
    assert row["gaps"][0]["verdict"] == verdict
    assert row["gaps"][0]["cases"] == "1 case better, 2 worse"
    assert verdicts([row]).get(verdict or "", []) == ([row["label"]] if verdict else [])
    assert ceiling_rows(content) == []


@pytest.mark.parametrize(
    ("values", "power"),
    [([0.00489, 0.01], -3), ([6.8e-5], -6), ([0.06], 0), ([12.0], 0), ([0.0], 0), ([None, math.nan], 0), ([-2e-3], -3)],
)
def test_small_scores_are_written_in_thousandths_or_less(values, power):
    assert score_power(values) == power


def test_units_are_joined():
    assert score_unit("mm³", 0) == "mm³"
    assert score_unit("mm³", -6) == "10⁻⁶ mm³"
    assert score_unit("", 0) == ""


def test_marks_lie_between_the_edges(made):
    for row in score_rows(read_content(made / "scores")):
        for mark in row["strip"]:
            assert 4 <= mark["from"] <= mark["from"] + mark["width"] <= 96.1
            assert 4 <= mark["at"] <= 96
