"""Drawn masks say of vessels what nested ones say, where the raters' masks are nested; each case has its own seed."""

import numpy as np
import pytest

from twintrack.calibration.outlines import RaterField
from twintrack.evaluation.triage.vessels import Vessels, default_vessels


def test_one_threshold_per_rater_is_the_nested_way(make_case):
    data = make_case(5, vessels=True).read(vessels=True)
    response = np.mean(data.members, axis=0)
    nested = default_vessels()
    drawn = Vessels(nested.names, field=RaterField(correlation=1, length_mm=8), n_masks=400)
    assert (nested.way, drawn.way) == ("nested", "drawn")
    contact = nested.contact(data)
    one, other = (way.probabilities(contact, response, data) for way in (nested, drawn))
    assert other == pytest.approx(one, abs=0.08)
    assert 0 < one[0, 0] < 1


def test_the_same_seed_draws_the_same_and_of_nothing_nothing_is_reached(make_case):
    data = make_case(5, vessels=True).read(vessels=True)
    drawn = Vessels(default_vessels().names, field=RaterField(correlation=0.2, length_mm=4), n_masks=20)
    contact = drawn.contact(data)
    response = np.mean(data.members, axis=0)
    assert np.array_equal(*(drawn.probabilities(contact, response, data) for _ in range(2)))
    assert not drawn.probabilities(contact, np.zeros_like(response), data).any()
