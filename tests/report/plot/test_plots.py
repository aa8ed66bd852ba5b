"""Every figure is drawn, holds what it was given, touches no pyplot, and refuses what it cannot draw."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import twintrack as tt
from twintrack.calibration.learning.answer import Estimate, answer
from twintrack.calibration.learning_curve import LearningCurve, SizePoint
from twintrack.errors import GeometryError, InputError
from twintrack.evaluation.scores.corp_band import reliability_diagram
from twintrack.evaluation.scores.reliability import strip_sums
from twintrack.evaluation.scores.selective import risk_coverage
from twintrack.evaluation.triage import measure, risk_coverages
from twintrack.images import Grid, Volume
from twintrack.raters.response import response
from twintrack.report.save import save_figure

SHAPE = (4, 12, 12)


def ball_case(seed):
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[tuple(slice(size) for size in SHAPE)]
    distance = np.sqrt((2 * (z - 1.5)) ** 2 + (y - 5.5) ** 2 + (x - 5.5) ** 2)
    raters = [(distance < radius + rng.normal(0, 0.4)).astype(np.uint8) for radius in (3, 3.6, 4.2)]
    members = [(1 / (1 + np.exp(2 * (distance - 3.5 + rng.normal(0, 0.5, SHAPE))))).astype(np.float32) for _ in "ab"]
    return tt.Case(f"case_{seed}", members=members, raters=raters, spacing=(3.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def cohort():
    return tt.Cohort(ball_case(seed) for seed in range(8))


@pytest.fixture(scope="module")
def isotonic(cohort):
    return tt.fit(cohort, method="isotonic", replicates=10).model_copy(update={"guard": None})


@pytest.fixture(scope="module")
def aware(cohort):
    return tt.fit(cohort, method="conditional", replicates=0).model_copy(update={"guard": None})


@pytest.fixture(scope="module")
def diagrams(cohort, isotonic):
    sums = {"raw": [], "calibrated": []}
    for case in cohort:
        data = case.read()
        observed = response(list(data.raters.values()))
        sums["raw"].append(strip_sums(data.probability(), observed))
        sums["calibrated"].append(strip_sums(isotonic.apply(data), observed))
    patients = [case.patient for case in cohort]
    return {name: reliability_diagram(one, patients=patients, repeats=20) for name, one in sums.items()}


@pytest.fixture(scope="module")
def measured(isotonic, cohort):
    return measure(isotonic, cohort, repeats=5)


@pytest.fixture(scope="module")
def curve():
    sizes, values = (4, 8, 16, 32), [0.8 + 1 / n for n in (4, 8, 16, 32)]

    def around(value):
        return Estimate(value=value, low=value - 0.1, high=value + 0.1)

    points = tuple(
        SizePoint(n=n, draws=10, unfitted=0, criterion=around(value), terms={"voxels": around(value)}, spread=0.05)
        for n, value in zip(sizes, values, strict=True)
    )
    noise = np.random.default_rng(0).normal(size=(50, 4))
    told = answer(sizes, np.concatenate([np.array(values)[None], values + 0.001 * noise]), 40, tolerance=0.02)
    return LearningCurve(
        method="isotonic", n_cases=40, n_patients=40, repeats=2, seed=0, level=0.95, sizes=points, answer=told
    )


@pytest.fixture(scope="module")
def drawn(diagrams, isotonic, aware, cohort, measured, curve):
    """Every figure, as a function of the axes to draw into."""
    ct = Volume(np.zeros(SHAPE, np.float32), Grid.plain(SHAPE, spacing=(3.0, 1.0, 1.0)), "the CT")
    mean = response(list(cohort[0].read().raters.values()))
    sizes = [tt.plot.CaseVolumes.of(case, isotonic) for case in cohort]
    return {
        "reliability": lambda ax: tt.plot.reliability(diagrams, cases=[diagrams["raw"]], ax=ax),
        "calibration_curve": lambda ax: tt.plot.calibration_curve(isotonic, cases=cohort, ax=ax),
        "calibration_curve_aware": lambda ax: tt.plot.calibration_curve(aware, cases=cohort[:2], ax=ax),
        "volumes": lambda ax: tt.plot.volumes(sizes, ax=ax),
        "agreement_overlay": lambda ax: tt.plot.agreement_overlay(ct, mean, n_raters=3, ax=ax),
        "learning_curve": lambda ax: tt.plot.learning_curve(curve, ax=ax),
        "risk_coverage": lambda ax: tt.plot.risk_coverage(risk_coverages(measured), ax=ax),
        "capture": lambda ax: tt.plot.capture(measured.summary["cases"]["error"], ax=ax),
    }


NAMES = (
    "reliability",
    "calibration_curve",
    "calibration_curve_aware",
    "volumes",
    "agreement_overlay",
    "learning_curve",
    "risk_coverage",
    "capture",
)


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line(ax, label):
    return next(one for one in ax.get_lines() if str(one.get_label()).startswith(label))


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_drawn_whole_and_always_alike_whatever_the_users_settings(drawn, name, tmp_path):
    axis = drawn[name](None)
    save_figure(tmp_path / "a.png", tt.plot.figure_of(axis), dpi=100)
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.facecolor": "red"}):
        save_figure(tmp_path / "b.png", tt.plot.figure_of(drawn[name](None)), dpi=100)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    figure = tt.plot.figure_of(axis)
    assert figure.get_size_inches()[0] == 3.5
    # Nothing that is written reaches beyond the paper.
    width, height = figure.canvas.get_width_height()
    for text in axis.get_legend().get_texts():
        box = text.get_window_extent()
        assert -1 <= box.x0 < box.x1 <= width + 1
        assert -1 <= box.y0 < box.y1 <= height + 1


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_drawn_where_it_is_wanted(drawn, name):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert drawn[name](left) is left
    assert not right.get_lines()
    assert tt.plot.figure_of(left) is figure


def test_no_pyplot_is_touched():
    code = "import sys, twintrack as tt; tt.plot.volumes; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "False"


def test_reliability_shows_curves_bands_and_scores(diagrams):
    axis = tt.plot.reliability(diagrams)
    for name, one in diagrams.items():
        found = line(axis, name)
        assert found.get_xdata() == pytest.approx(one.predicted)
        assert found.get_ydata() == pytest.approx(one.recalibrated)
    assert texts(axis)[0].startswith("raw: MCB ")
    assert len(axis.collections) == 2
    assert len(tt.plot.reliability(diagrams["raw"]).collections) == 1
    with pytest.raises(InputError, match="no reliability diagram"):
        tt.plot.reliability({})


def test_a_map_of_the_probability_is_the_line_that_is_drawn(isotonic, cohort):
    axis = tt.plot.calibration_curve(isotonic)
    found = line(axis, "isotonic")
    assert found.get_ydata() == pytest.approx(isotonic.map(np.asarray(found.get_xdata())))
    assert texts(axis) == ["probabilities left alone", "90 % band", "isotonic"]
    bare = isotonic.model_copy(update={"uncertainty": None})
    assert texts(tt.plot.calibration_curve(bare)) == ["probabilities left alone", "isotonic"]


def test_a_case_aware_map_is_the_mean_of_its_responses(aware, cohort):
    found = line(tt.plot.calibration_curve(aware, cases=cohort), "case-aware")
    p = np.concatenate([case.read().probability().ravel() for case in cohort])
    r = np.concatenate([aware.apply(case).ravel() for case in cohort])
    middle = np.asarray(found.get_xdata())
    k = int(np.argmin(np.abs(middle - 0.5)))
    edges = (middle[k - 1] + middle[k]) / 2, (middle[k] + middle[k + 1]) / 2
    near = (p > edges[0]) & (p < edges[1])
    assert found.get_ydata()[k] == pytest.approx(r[near].mean(), abs=0.03)
    with pytest.raises(InputError, match="a case-aware calibration is no curve: give cases"):
        tt.plot.calibration_curve(aware)


def test_a_curve_of_cases_in_which_nothing_is_predicted_is_refused(isotonic):
    empty = tt.Case("e", members=[np.zeros(SHAPE, np.float32)] * 2, spacing=(3.0, 1.0, 1.0))
    with pytest.raises(InputError, match="nothing to draw"):
        tt.plot.calibration_curve(isotonic, cases=[empty])


def test_volumes_stand_where_they_are():
    rows = [
        tt.plot.CaseVolumes("a$b$", (10.0, 20.0), 15.0, raw=12.0, interval=(5.0, 40.0)),
        tt.plot.CaseVolumes("a name that is much too long to be written", (0.0,), 8.0),
    ]
    axis = tt.plot.volumes(rows)
    assert line(axis, "raters").get_xdata() == pytest.approx([10, 20])
    assert line(axis, "a further rater").get_xdata() == pytest.approx([5, 40])
    assert line(axis, "expected, calibrated").get_xdata() == pytest.approx([15])
    # What is empty stands at the left end.
    assert min(min(one.get_xdata()) for one in axis.get_lines()) == pytest.approx(2.5)
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels[0] == r"a\$b\$"
    assert labels[1].endswith("…")
    assert axis.get_xlabel() == "volume (mm³)"
    assert tt.plot.volumes([tt.plot.CaseVolumes("a", (), 5000.0)]).get_xlabel() == "volume (ml)"
    assert tt.plot.volumes([tt.plot.CaseVolumes("a", (0.0,), 0.0, flat=True)]).get_xlabel() == "area (mm²)"
    for cases in ([], [rows[0], tt.plot.CaseVolumes("b", (), 1.0, flat=True)]):
        with pytest.raises(InputError, match="expected the volumes of cases"):
            tt.plot.volumes(cases)


def test_volumes_of_a_case_are_read_with_and_without_raters(isotonic, cohort):
    found = tt.plot.CaseVolumes.of(cohort[0], isotonic)
    data = cohort[0].read()
    assert found.drawn == tuple(3.0 * mask.sum() for mask in data.raters.values())
    assert found.raw == pytest.approx(3.0 * float(data.probability().sum()), rel=1e-5)
    lone = tt.Case("new", members=data.members, grid=data.grid)
    assert tt.plot.CaseVolumes.of(lone, isotonic).drawn == ()


def test_the_overlay_names_its_levels():
    ct = Volume(np.zeros((3, 40, 40), np.float32), Grid.plain((3, 40, 40), spacing=(1, 1, 1)), "the CT")
    mean = np.zeros(ct.array.shape, np.float32)
    mean[1, 10:20, 10:20], mean[1, 12:18, 12:18], mean[1, 14:16, 14:16] = 0.2, 0.6, 1
    axis = tt.plot.agreement_overlay(ct, mean, n_raters=5)
    assert texts(axis) == ["≥ 1 of 5", "≥ 3 of 5", "≥ 5 of 5"]
    assert axis.get_title() == "axial, slice 2 of 3"
    assert texts(tt.plot.agreement_overlay(ct, mean, n_raters=5, levels=[4, 2, 2])) == ["≥ 2 of 5", "≥ 4 of 5"]
    assert texts(tt.plot.agreement_overlay(ct, np.zeros_like(mean), n_raters=1)) == ["≥ 1 of 1"]
    with pytest.raises(InputError, match="number of raters is 0"):
        tt.plot.agreement_overlay(ct, mean, n_raters=0)
    with pytest.raises(GeometryError):
        tt.plot.agreement_overlay(ct, mean[:, :5], n_raters=5)


def test_risk_and_coverage_as_given():
    one = risk_coverage(np.array([3.0, 2, 1]), np.array([0.0, 0.1, 0.8]))
    axis = tt.plot.risk_coverage(one)
    assert axis.get_lines()[0].get_ydata() == pytest.approx(one.risk)
    assert texts(tt.plot.risk_coverage({"by_x": one, "oracle": one}))[0].startswith("by x, AURC")
    with pytest.raises(InputError, match="no risk–coverage curve"):
        tt.plot.risk_coverage({})


def test_capture_as_measured(measured):
    target = measured.summary["cases"]["error"]
    axis = tt.plot.capture(target, rankings=["entropy"], budget="cases", found="errors", up_to=0.5)
    assert line(axis, "entropy").get_ydata() == pytest.approx(target["rankings"]["entropy"]["curve"]["found"])
    assert axis.get_ylabel() == "share of the errors"
    assert axis.get_xlim() == (0, 0.5)
    with pytest.raises(InputError, match="not measured: beauty"):
        tt.plot.capture(target, rankings=["beauty"])


def test_what_was_measured_of_nothing_is_drawn_as_nothing(measured):
    target = measured.summary["cases"]["error"]
    nothing = {"gain": {"value": None}, "curve": {"spent": [0, 1], "found": [None, None]}}
    axis = tt.plot.capture({"rankings": {"entropy": nothing, "oracle": nothing}})
    assert np.isnan(line(axis, "entropy").get_ydata()).all()
    assert target["rankings"]
