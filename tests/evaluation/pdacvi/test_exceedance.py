"""How likely a vessel is reached: by hand, against the protocol's own degrees, and by both ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import GeometryError, InputError
from twintrack.evaluation.pdacvi import score
from twintrack.evaluation.pdacvi.exceedance import (
    VesselContact,
    axial_axis,
    brier_of_shares,
    shares_above,
)
from twintrack.evaluation.scores.arrays import bounding_box
from twintrack.images import Grid

NAMES = {1: "PORTA", 2: "SMV", 3: "AORTA"}


def plain(shape):
    return Grid.plain(shape, spacing=(1, 1, 1))


@pytest.fixture
def square():
    """A vessel of 3 × 3 pixels in one slice of seven, 8 pixels at its edge, and values around it."""
    vessels = np.zeros((7, 9, 9), np.uint8)
    vessels[:, 3:6, 3:6] = 1
    values = np.zeros(vessels.shape, np.float32)
    values[3, :, 7] = 0.3  # a column two pixels to the right of the edge: it touches 3 of 8
    values[3, 7, :] = 0.7  # and a row below: another 3, one shared
    return vessels, values


def test_degrees_and_probabilities_by_hand(square):
    vessels, values = square
    contact = VesselContact(vessels, grid=plain(vessels.shape), names={1: "PORTA"})
    masks = [values >= level for level in (0.2, 0.5, 0.9)]
    # Both: 5 of 8 edge pixels, 225°; the row alone 3, 135°.
    assert contact.degrees(masks, (slice(0, 7), slice(0, 9), slice(0, 9))).tolist() == [[225, 135, 0]]
    # Above 90° from level 0.7 on, above 180° from 0.3 on.
    assert contact.nested(values, n_levels=50)[0] == pytest.approx([0.7, 0.3])
    assert contact.at_least(values, n_raters=5).tolist() == [[225, 225, 135, 135, 0]]


def test_a_finer_number_of_thresholds_changes_little(square):
    vessels, values = square
    contact = VesselContact(vessels, grid=plain(vessels.shape), names={1: "PORTA"})
    for n in (10, 55, 70):
        assert contact.nested(values, n_levels=n)[0] == pytest.approx([0.7, 0.3], abs=0.5 / n + 1e-9)


def test_of_nothing_no_vessel_is_reached_and_a_vessel_that_is_not_there_never(square):
    vessels, values = square
    contact = VesselContact(vessels, grid=plain(vessels.shape), names=NAMES)
    assert contact.names == ("PORTA", "SMV", "AORTA")
    assert contact.present.tolist() == [True, False, False]
    assert contact.nested(np.zeros_like(values)).tolist() == [[0, 0]] * 3
    assert contact.of_raters([np.zeros(vessels.shape, np.uint8)] * 2).tolist() == [[0, 0]] * 3
    assert contact.nested(values)[1:].tolist() == [[0, 0]] * 2


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_degrees_are_those_of_the_protocol(random_case, seed):
    case = random_case(seed)
    given_by_protocol = score(
        case["raters"], case["probability"], vessels=case["vessels"], vessel_names=NAMES, variant="corrected"
    )["vi_degrees"]
    contact = VesselContact(case["vessels"], grid=plain(case["vessels"].shape), names=NAMES)
    found = contact.of_raters(list(case["raters"]))
    for v, name in enumerate(contact.names):
        if contact.present[v]:
            assert found[v].tolist() == given_by_protocol[name]["cor"]["raters"]


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_contact_grows_with_the_mask_so_that_shares_of_levels_are_probabilities(random_case, seed):
    case = random_case(seed)
    contact = VesselContact(case["vessels"], grid=plain(case["vessels"].shape), names=NAMES)
    degrees = contact.at_least(case["probability"], n_raters=20)
    assert (np.diff(degrees, axis=1) <= 0).all()
    above = contact.nested(case["probability"], n_levels=20)
    assert (above[:, 0] >= above[:, 1]).all()
    assert above == pytest.approx(shares_above(degrees))


def test_more_masks_than_bits_are_counted_in_turns(square):
    vessels, values = square
    contact = VesselContact(vessels, grid=plain(vessels.shape), names={1: "PORTA"})
    box = bounding_box([values])
    masks = [values[box] >= 0.2, values[box] >= 0.5] * 70
    assert contact.degrees(iter(masks), box).tolist() == [[225, 135] * 70]


def test_nested_raters_are_met_exactly(square):
    vessels, values = square
    raters = [(values > threshold).astype(np.uint8) for threshold in (0.1, 0.2, 0.4, 0.6, 0.8)]
    contact = VesselContact(vessels, grid=plain(vessels.shape), names={1: "PORTA"})
    share = shares_above(contact.of_raters(raters))
    mean = np.mean(raters, axis=0, dtype=np.float32)
    assert contact.nested(mean, n_levels=50)[0] == pytest.approx(share[0])


def test_axial_slices_are_found_by_the_direction():
    def grid(direction, **more):
        return Grid(shape=(2, 3, 4), spacing=(1, 1, 1), origin=(0, 0, 0), direction=direction, **more)

    assert axial_axis(grid((1, 0, 0, 0, 1, 0, 0, 0, 1))) == 0
    assert axial_axis(grid((1, 0, 0, 0, 0, 1, 0, -1, 0))) == 1  # coronal slices: y of the image runs down
    assert axial_axis(grid((0, 0, 1, 1, 0, 0, 0, 1, 0))) == 1
    assert axial_axis(grid((0, 1, 0, 0, 0, 1, 1, 0, 0))) == 2
    assert axial_axis(grid((0, 1, 0, 0, 0, 1, 1, 0, 0), known=False)) == 0


def test_a_turned_volume_has_the_same_degrees(square):
    vessels, values = square
    turned = Grid(shape=(9, 7, 9), spacing=(1, 1, 1), origin=(0, 0, 0), direction=(1, 0, 0, 0, 0, 1, 0, -1, 0))
    contact = VesselContact(np.ascontiguousarray(vessels.swapaxes(0, 1)), grid=turned, names={1: "PORTA"})
    found = contact.nested(np.ascontiguousarray(values.swapaxes(0, 1)))
    assert found[0] == pytest.approx([0.7, 0.3])


def test_brier_by_hand():
    # Three of four raters exceed, forecast 1/2: each is a quarter off. Forecast 1: one of four is wrong.
    assert brier_of_shares(np.array([0.5, 1, 0.75]), np.array([0.75] * 3)) == pytest.approx([0.25, 0.25, 0.75 * 0.25])
    outcomes = np.array([1, 1, 1, 0])
    assert brier_of_shares(np.array(0.3), outcomes.mean()) == pytest.approx(np.mean((0.3 - outcomes) ** 2))


def test_what_is_no_vessel_map_is_refused(square):
    vessels, _ = square
    with pytest.raises(InputError, match="measured in volumes"):
        VesselContact(vessels[0], grid=Grid.plain((9, 9)))
    with pytest.raises(GeometryError, match="both must agree"):
        VesselContact(vessels, grid=plain((7, 9, 8)))
    with pytest.raises(InputError, match="label 1, which has no name"):
        VesselContact(vessels, grid=plain(vessels.shape), names={2: "SMV"})
    with pytest.raises(InputError, match="whole numbers"):
        VesselContact(vessels + 0.5, grid=plain(vessels.shape))
