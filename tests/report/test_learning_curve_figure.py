"""The figure of a learning curve shows what the curve holds: every point, the fit, the plateau."""

import matplotlib as mpl
import numpy as np
import pytest

from twintrack.calibration.learning.answer import Estimate, answer
from twintrack.calibration.learning_curve import LearningCurve, SizePoint
from twintrack.report.learning_curve_figure import learning_curve_figure
from twintrack.report.save import save_figure

SIZES = (4, 8, 16, 32)


def curve_of(values, *, sizes=SIZES):
    """A curve of 40 cases, with intervals of ±0.1 and terms above, at and below the criterion."""
    points = tuple(
        SizePoint(
            n=n,
            draws=10,
            unfitted=0,
            criterion=around(value),
            terms={"voxels": around(value - 0.2), "calibration": around(value), "volume": around(value + 0.2)},
            spread=0.05,
        )
        for n, value in zip(sizes, values, strict=True)
    )
    noise = np.random.default_rng(0).normal(size=(200, len(sizes)))
    curves = np.concatenate([np.array(values)[None], values + 0.001 * noise])
    told = answer(sizes, curves, 40, tolerance=0.02)
    return LearningCurve(
        method="isotonic", n_cases=40, n_patients=40, repeats=2, seed=0, level=0.95, sizes=points, answer=told
    )


def around(value):
    return Estimate(value=value, low=value - 0.1, high=value + 0.1)


@pytest.fixture
def falling():
    return curve_of([0.8 + 1 / n for n in SIZES])


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


def test_every_size_is_shown_with_its_interval(falling):
    left, right = learning_curve_figure(falling).axes
    drawn = {bars.get_label(): bars for axis in (left, right) for bars in axis.containers}
    assert set(drawn) == {"measured", "voxels", "calibration", "volume"}
    points, _, (interval,) = drawn["measured"]
    assert points.get_xdata().tolist() == list(SIZES)
    assert points.get_ydata() == pytest.approx([0.8 + 1 / n for n in SIZES])
    assert interval.get_segments()[0][:, 1] == pytest.approx([0.95, 1.15])
    assert drawn["volume"][0].get_ydata() == pytest.approx([1 + 1 / n for n in SIZES])
    assert drawn["volume"][0].get_xdata() == pytest.approx(SIZES, rel=0.05)


def test_the_fit_is_solid_as_far_as_was_measured_and_dashed_beyond(falling):
    left, _ = learning_curve_figure(falling).axes
    fitted = [line for line in left.get_lines() if len(line.get_xdata()) > 4]
    solid, dashed = sorted(fitted, key=lambda line: line.get_xdata().min())
    assert (solid.get_xdata().min(), solid.get_xdata().max()) == (4, 32)
    assert (dashed.get_xdata().min(), dashed.get_xdata().max()) == (32, 128)
    assert (solid.is_dashed(), dashed.is_dashed()) == (False, True)
    assert lines(left)["its plateau"].get_ydata() == pytest.approx([0.8, 0.8], abs=0.01)
    assert list(lines(left)["cases at hand"].get_xdata()) == [40, 40]


def test_both_panels_name_the_numbers_of_cases(falling):
    left, right = learning_curve_figure(falling).axes
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["4", "8", "16", "32", "80"]
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["4", "8", "16", "32"]
    assert left.get_title() == "Criterion (isotonic)"


def test_without_a_fit_only_what_was_measured_is_drawn():
    left, _ = learning_curve_figure(curve_of([1.0, 0.9, 0.8], sizes=(8, 16, 32))).axes
    assert "its plateau" not in lines(left)
    assert all(len(line.get_xdata()) <= 4 for line in left.get_lines())


def test_it_is_written_and_always_alike_whatever_the_users_settings(falling, tmp_path):
    save_figure(tmp_path / "a.png", learning_curve_figure(falling), dpi=50)
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.facecolor": "red"}):
        save_figure(tmp_path / "b.png", learning_curve_figure(falling), dpi=50)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
