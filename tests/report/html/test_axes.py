import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twintrack.report.html.axes import linear_axis, log_axis, share_axis

AMOUNT = st.floats(min_value=1e-3, max_value=1e7)


@given(st.lists(AMOUNT | st.just(0.0), min_size=1, max_size=20))
def test_a_logarithmic_axis_holds_every_value(values):
    axis = log_axis("volume", np.array(values))
    places = axis.place(values)
    assert ((places >= 0) & (places <= 1)).all()
    assert all(place == 0 for place, value in zip(places, values, strict=True) if value == 0)
    assert len(axis.marks()) <= 9
    assert all(0 <= place <= 1 for place, _ in axis.marks())


def test_a_logarithmic_axis_says_0_where_it_shows_0():
    assert log_axis("volume", np.array([0.0, 10.0, 1000.0])).marks()[0] == (0.0, "0")
    assert log_axis("volume", np.array([10.0, 1000.0])).marks()[0][0] > 0


@given(AMOUNT, AMOUNT)
def test_a_linear_axis_reaches_round_values_around(a, b):
    axis = linear_axis("loss", min(a, b), max(a, b))
    assert axis.low <= min(a, b) + 1e-6
    assert axis.high >= max(a, b) - 1e-6
    assert 2 <= len(axis.ticks) <= 8


def test_shares_are_spaced_evenly_or_by_log_odds():
    assert share_axis("p", "linear").place([0, 0.25, 1]).tolist() == [0, 0.25, 1]
    places = share_axis("p", "logit").place([0, 0.001, 0.5, 0.999, 1])
    assert places == pytest.approx([0, 0, 0.5, 1, 1])
