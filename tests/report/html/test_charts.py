"""The numbers behind the charts, by hand; and the drawing itself."""

import re

import numpy as np
import pytest

from twintrack.evaluation.details.case_details import CaseAbout, CaseDetails
from twintrack.evaluation.details.counts import CHANGE_EDGES, StripCounts, change_counts
from twintrack.evaluation.details.details import CalibrationAbout, Details
from twintrack.report.html.axes import Axis, share_axis
from twintrack.report.html.curve import curve_charts
from twintrack.report.html.disagreement import disagreement
from twintrack.report.html.reliability import reliability_charts
from twintrack.report.html.svg import Chart
from twintrack.report.html.volumes import Unit, volume_charts

from . import maker


def make_details(p, masks, *, case="c", patient="p", voxel_volume=2.0, calibrated=None, **about):
    """Describe a case of arrays as an evaluation does."""
    votes = np.sum(masks, axis=0)
    maps = {"raw": p} | ({} if calibrated is None else {"calibrated": calibrated})
    given = CaseAbout(
        case=case,
        patient=patient,
        measured=True,
        dimensions=3,
        voxel_volume=voxel_volume,
        members=1,
        drawn={str(k): float(mask.sum()) * voxel_volume for k, mask in enumerate(masks)},
        dice=0.5,
        agreed=tuple(float((votes >= k).sum()) * voxel_volume for k in range(1, len(masks) + 1)),
        expected={name: float(one.sum()) * voxel_volume for name, one in maps.items()},
        interval={},
        no_interval={},
        flags={},
    )
    change = {} if calibrated is None else {"calibrated": change_counts(p, calibrated)}
    counts = {name: StripCounts.of(one, masks) for name, one in maps.items()}
    return CaseDetails(given.model_copy(update=about), counts, change)


@pytest.fixture
def case():
    """Eight voxels, two raters: both draw two of them, one draws two more each."""
    p = np.array([[1, 0.5, 0.5, 0.5, 0.5, 0.5, 0, 0]], np.float32)
    masks = [np.array([[1, 1, 1, 1, 0, 0, 0, 0]], np.uint8), np.array([[1, 1, 0, 0, 1, 1, 0, 0]], np.uint8)]
    return make_details(p, masks)


def tips(chart, kind):
    return re.findall(rf'<circle class="dot {kind}"[^>]*data-tip="([^"]*)"', chart)


def test_expected_and_observed_disagreement(case):
    found = disagreement([case], ["raw"], Unit.of([case.about]))
    # Two raters part on four of the voxels, of 2 mm³; five voxels of 0.5 let expect 2 · 5 · 0.25 of them.
    assert tips(found["chart"], "raw") == ["c: raw, expected 5.00 mm³; two raters part on 8.00"]
    assert [(one["words"], one["volume"]) for one in found["levels"]] == [
        ("at least 1 of 2", "12.0"),
        ("all 2", "4.00"),
    ]
    assert (found["any"], found["all"], found["share"]) == ("12.0", "4.00", "33\u202f%")


def test_with_one_rater_there_is_no_disagreement():
    alone = make_details(np.ones((1, 2), np.float32), [np.ones((1, 2), np.uint8)])
    found = disagreement([alone], ["raw"], Unit.of([alone.about]))
    assert (found["n_cases"], found["chart"], found["levels"]) == (0, None, [])


def test_volumes_are_said_and_intervals_counted(case):
    interval = {"low": 3.0, "high": 7.9, "level": 0.9, "promised": 0.6, "n_cases": 4}
    about = CaseAbout.model_validate(case.about.model_dump() | {"interval": {"raw": interval}})
    with_interval = CaseDetails(about, case.counts, case.change)
    found = volume_charts([with_interval, case], ["raw"], Unit.of([about]))
    assert tips(found["chart"], "raw")[0] == "c: raw, expected 7.00 mm³; raters 8.00 to 8.00"
    assert (found["held"], found["level"], found["promised"]) == ("0\u202f%", "90\u202f%", "60\u202f%")
    assert "interval 3.00 to 7.90 mm³" in found["rows"][0]["words"]


@pytest.mark.parametrize(
    ("volumes", "measured", "dimensions", "name"),
    [([100.0], True, 3, "mm³"), ([3e4], True, 3, "ml"), ([3e4], True, 2, "mm²"), ([3e4], False, 3, "voxels")],
)
def test_the_unit_suits_the_cases(case, volumes, measured, dimensions, name):
    drawn = {str(k): volume for k, volume in enumerate(volumes)}
    about = case.about.model_copy(update={"drawn": drawn, "measured": measured, "dimensions": dimensions})
    assert Unit.of([about]).name == name


def test_a_map_that_is_right_lies_on_the_diagonal():
    rng = np.random.default_rng(0)
    cases = []
    for k in range(6):
        p = rng.random((1, 40, 50), dtype=np.float32)
        masks = [(rng.random(p.shape) < p).astype(np.uint8) for _ in range(3)]
        cases.append(make_details(p, masks, case=str(k), patient=str(k)))
    found = reliability_charts(Details(tuple(cases), 0, {}, {}), "raw")
    assert float(found["miscalibration"]) < 0.005
    columns = re.findall(r"predicted (0\.\d+), drawn by (0\.\d+) of the raters", found["charts"]["linear"])
    assert len(columns) > 15
    for predicted, drawn in columns:
        assert float(drawn) == pytest.approx(float(predicted), abs=0.06)
    assert found["charts"]["linear"].count('class="line case raw"') == 6


def test_a_case_aware_map_is_shown_by_medians():
    raw = np.linspace(0.05, 0.95, 1800, dtype=np.float32).reshape(1, -1)
    case = make_details(raw, [np.ones(raw.shape, np.uint8)], calibrated=raw**2)
    about = {"calibrated": CalibrationAbout(sha256="0", method="conditional", n_cases=3)}
    found = curve_charts(None, Details((case,), 0, about, {}), "calibrated")
    assert found["kind"] == "change"
    said = re.findall(r"probabilities near (0\.\d+) became (0\.\d+)", found["charts"]["linear"])
    assert len(said) > 10
    for before, after in said:
        k = np.searchsorted(CHANGE_EDGES, float(before)) - 1
        assert CHANGE_EDGES[k] ** 2 - 0.03 <= float(after) <= CHANGE_EDGES[k + 1] ** 2 + 0.03


def test_names_in_charts_are_words():
    axis = share_axis("p", "linear")
    chart = Chart(Axis(maker.HOSTILE, 0, 1, "linear", (0, 1)), axis, maker.HOSTILE)
    chart.dots([0.5], [0.5], "raw", [maker.HOSTILE])
    drawn = chart.svg()
    assert "<script" not in drawn
    assert drawn.count("&lt;script&gt;") == 3


def test_what_is_not_there_is_not_drawn():
    axis = share_axis("p", "linear")
    chart = Chart(axis, axis, "empty")
    nothing = np.full(3, np.nan)
    chart.line([0.1, 0.2, 0.3], nothing, "main raw")
    chart.band([0.1, 0.2, 0.3], nothing, nothing, "chance")
    assert "<path" not in chart.svg()
    chart.line([0.1, np.nan, 0.3, 0.3], [0.5, 0.5, 0.5, 0.5], "main raw")
    (path,) = re.findall(r'd="([^"]*)"', chart.svg())
    assert path.count("L") == 1
