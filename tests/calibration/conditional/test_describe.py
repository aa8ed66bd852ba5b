"""Descriptions of a case: known answers on simple shapes, and what must not change them."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit

import twintrack as tt
from twintrack.calibration.conditional.describe import CASE_FEATURES, FLOOR, VOXEL_FEATURES, describe

MASKS = st.integers(0, 2**32 - 1).map(lambda seed: random_mask(np.random.default_rng(seed)))


def random_mask(rng):
    shape = rng.integers(2, 8, size=rng.integers(2, 4))
    mask = rng.random(shape) < rng.uniform(0.1, 0.95)
    mask[(0,) * mask.ndim] = True
    return mask


def described(members, *, spacing=None, roi=None):
    """Describe a case made of these members."""
    maps = [np.asarray(member, np.float32) for member in members]
    spacing = (1.0,) * maps[0].ndim if spacing is None else spacing
    data = tt.Case("c", members=maps, roi=roi, spacing=spacing).read(raters=False)
    return describe(data, data.probability())


def feature(found, name):
    """Give one feature on the described box; NaN where nothing is described."""
    out = np.full(found.where.shape, np.nan)
    out[found.where] = found.voxel[:, VOXEL_FEATURES.index(name)]
    return out


def trait(found, name):
    return found.traits.features[CASE_FEATURES.index(name)]


def smooth_members(seed, *, shape=(6, 9, 8), n_members=3):
    """Members that differ, everywhere above `FLOOR`."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    away = np.sqrt(sum(axis**2 for axis in axes))
    return [(1 / (1 + np.exp(6 * (away - 0.7) + rng.normal(size=shape)))).astype(np.float32) for _ in range(n_members)]


def same(one, other, **tolerance):
    """Whether two descriptions of voxels in the same order agree."""
    assert other.probability == pytest.approx(one.probability)
    assert other.voxel == pytest.approx(one.voxel, **(tolerance or {"rel": 1e-5, "abs": 1e-5}))
    assert other.traits.features == pytest.approx(one.traits.features)
    assert other.traits.surface == pytest.approx(one.traits.surface)
    assert other.traits.voxel_volume == pytest.approx(one.traits.voxel_volume)


# --- Known answers ---------------------------------------------------------------------------------------------------


def test_a_box_worked_out_by_hand():
    # Three rows of 2 mm, five columns of 1 mm; 0.9 at the middle three columns of every row, 0.2 beside them.
    row = [0.2, 0.9, 0.9, 0.9, 0.2]
    found = described([[row, row, row]], spacing=(2.0, 1.0))
    # 9 predicted voxels of 2 mm²: the disk of 18 mm² has radius √(18/π) = 2.3937 mm and circumference 15.040 mm.
    assert trait(found, "size") == pytest.approx(np.log(2.3937), abs=1e-4)
    assert found.traits.surface == pytest.approx(15.040, abs=1e-3)
    assert found.traits.voxel_volume == 2.0
    # Σp = 3 (0.4 + 2.7) = 9.3, and Σp(1 − p) = 3 (2 · 0.16 + 3 · 0.09) = 1.77.
    assert trait(found, "unsure") == pytest.approx(1.77 / 9.3, abs=1e-6)
    # Its faces: 3 mm above and below, 3 rows of 2 mm on either side; π/4 of them is the circumference on average.
    assert trait(found, "shape") == pytest.approx(np.log(np.pi / 4 * (2 * 3 + 2 * 6) / 15.040), abs=1e-4)
    # The nearest voxel that is not predicted: of the left and right columns 1 mm away, of the middle 2 mm (to the left,
    # right, above or below the box); outside, 1 mm from the structure.
    distance = np.array([[-1, 1, 2, 1, -1]] * 3)
    assert feature(found, "border") == pytest.approx(np.tanh(distance / 2), abs=1e-6)
    assert feature(found, "depth") == pytest.approx(distance / 2.3937, abs=1e-4)
    assert feature(found, "logit")[0] == pytest.approx([np.log(x / (1 - x)) for x in row], abs=1e-5)
    assert feature(found, "bend")[0] == pytest.approx([np.tanh(np.log(x / (1 - x)) / 4) for x in row], abs=1e-5)


@pytest.mark.parametrize(("spacing", "radius"), [((1.0, 1.0), 9.0), ((0.5, 0.8), 6.0)])
def test_a_disk_has_its_radius_and_its_circumference(spacing, radius):
    y, x = (size * (np.arange(41) - 20) for size in spacing)
    found = described([np.where(np.hypot(y[:, None], x) <= radius, 0.9, 0.1)], spacing=spacing)
    assert np.exp(trait(found, "size")) == pytest.approx(radius, rel=0.01)
    assert found.traits.surface == pytest.approx(2 * np.pi * radius, rel=0.01)
    assert found.traits.voxel_volume == pytest.approx(spacing[0] * spacing[1])
    assert trait(found, "shape") == pytest.approx(0, abs=0.08)
    # At the middle the border is a radius away.
    assert feature(found, "border")[20, 20] == pytest.approx(np.tanh(radius / 2), abs=0.01)
    assert feature(found, "depth")[20, 20] == pytest.approx(1, abs=max(spacing) / radius)
    # In the corner the voxels lie so many radii outside, up to a voxel.
    corner = np.hypot(y[0], x[0])
    assert feature(found, "depth")[0, 0] == pytest.approx(-(corner - radius) / radius, abs=max(spacing) / radius)


def test_a_ball_has_its_radius_and_its_surface():
    z, y, x = (size * (np.arange(n) - n // 2) for size, n in zip((2.0, 1.0, 0.8), (15, 31, 39), strict=True))
    away = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    found = described([np.where(away <= 10, 0.8, 0.3)], spacing=(2.0, 1.0, 0.8))
    assert np.exp(trait(found, "size")) == pytest.approx(10, rel=0.01)
    assert found.traits.surface == pytest.approx(4 * np.pi * 100, rel=0.02)
    assert found.traits.voxel_volume == pytest.approx(1.6)
    assert trait(found, "shape") == pytest.approx(0, abs=0.03)
    assert feature(found, "depth").min() == pytest.approx(1 - away.max() / 10, abs=0.1)


def test_a_ragged_structure_has_more_surface_than_a_smooth_one():
    y, x = np.arange(41)[:, None] - 20, np.arange(41) - 20
    away, angle = np.hypot(y, x), np.arctan2(y, x)
    smooth, ragged = (described([np.where(away <= 10 + 4 * k * np.cos(6 * angle), 0.9, 0.1)]) for k in (0, 1))
    assert trait(ragged, "shape") > trait(smooth, "shape") + 0.2


def test_probabilities_that_are_sure_are_kept_from_infinity():
    assert feature(described([[[1.0, 1.0]]]), "logit")[0] == pytest.approx([np.log(9999)] * 2, abs=1e-4)


def test_the_averages_are_those_of_a_gaussian_cut_at_three_standard_deviations():
    p = np.float32(np.random.default_rng(0).uniform(0.05, 0.95, (14, 25)))
    spacing = (3.0, 0.8)
    found = described([p], spacing=spacing)
    beyond = logit(FLOOR)
    for name, sigma in (("near", 1.5), ("wide", 5.0), ("whole", np.exp(trait(found, "size")))):
        expected = logit(p.astype(float)) - beyond if name == "near" else p.astype(float)
        for axis, (n, size) in enumerate(zip(p.shape, spacing, strict=True)):
            reach = int(3 * sigma / size + 0.5)
            kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * size / sigma) ** 2)
            offset = np.arange(n)[:, None] - np.arange(n) + reach
            inside = (offset >= 0) & (offset <= 2 * reach)
            matrix = np.where(inside, (kernel / kernel.sum())[np.clip(offset, 0, 2 * reach)], 0)
            expected = np.moveaxis(np.tensordot(matrix, expected, (1, axis)), 0, axis)
        expected += beyond if name == "near" else 0
        assert feature(found, name) == pytest.approx(expected, rel=1e-5, abs=1e-6), name


@settings(deadline=None, max_examples=40)
@given(MASKS, st.integers(0, 1000))
def test_the_distance_is_that_to_the_nearest_voxel_on_the_other_side(mask, seed):
    spacing = np.random.default_rng(seed).uniform(0.4, 3, mask.ndim)
    found = described([np.where(mask, 0.7, 0.2)], spacing=spacing)
    radius = np.exp(trait(found, "size"))
    padded = np.pad(mask, 1)
    where = [np.argwhere(padded == side) * spacing for side in (False, True)]
    for index in np.ndindex(mask.shape):
        here = (np.array(index) + 1) * spacing
        nearest = np.sqrt(((where[int(not mask[index])] - here) ** 2).sum(axis=1)).min()
        signed = nearest if mask[index] else -nearest
        assert feature(found, "border")[index] == pytest.approx(np.tanh(signed / 2), abs=1e-6)
        assert feature(found, "depth")[index] == pytest.approx(signed / radius, rel=1e-6)


def test_the_distance_equals_that_of_simpleitk():
    p = np.mean(smooth_members(3, shape=(9, 14, 12)), axis=0)
    spacing = (2.5, 0.7, 1.1)
    found = described([p], spacing=spacing)

    def outside(mask):
        image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
        image.SetSpacing(spacing[::-1])
        away = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
        return sitk.GetArrayFromImage(away)[1:-1, 1:-1, 1:-1]

    predicted = np.float32(p) > 0.5
    mm = np.where(predicted, outside(~predicted), -outside(predicted))
    # Padding the complement by False makes the map's edge no border; there the next voxel outside is nearer.
    for axis, size in enumerate(spacing):
        line = np.arange(p.shape[axis])
        edge = (np.minimum(line, p.shape[axis] - 1 - line) + 1) * size
        mm = np.where(predicted, np.minimum(mm, np.expand_dims(edge, tuple({0, 1, 2} - {axis}))), mm)
    assert found.where.all()
    assert feature(found, "border") == pytest.approx(np.tanh(mm / 2), abs=1e-5)
    assert feature(found, "depth") == pytest.approx(mm / np.exp(trait(found, "size")), abs=1e-5)


# --- What is described -----------------------------------------------------------------------------------------------


def test_what_is_described_lies_in_the_smallest_box_of_all_above_the_floor():
    p = np.zeros((6, 7, 8), np.float32)
    p[1:4, 2, 3] = 0.6
    p[2, 5, 4] = 2 * FLOOR
    p[0, 0, 0] = FLOOR / 2
    found = described([p])
    assert found.box == (slice(1, 4), slice(2, 6), slice(3, 5))
    assert np.count_nonzero(found.where) == found.probability.size == len(found.voxel) == 4
    assert found.probability == pytest.approx(p[found.box][found.where])
    assert found.voxel.dtype == np.float32
    assert found.voxel.shape == (4, len(VOXEL_FEATURES))
    assert found.traits.features.shape == (len(CASE_FEATURES),)


@pytest.mark.parametrize("p", [0.0, FLOOR / 2, np.nextafter(np.float32(FLOOR), np.float32(0))])
def test_nothing_above_the_floor_is_no_description(p):
    assert described([np.full((3, 4), p)]) is None


def test_a_probability_of_exactly_the_floor_is_described():
    # As float32 it lies a little below the float64 number.
    p = np.zeros((3, 4), np.float32)
    p[1, 2] = FLOOR
    found = described([p])
    assert found.box == (slice(1, 2), slice(2, 3))
    assert found.where.all()
    assert found.probability == pytest.approx([FLOOR])


def test_where_nothing_exceeds_one_half_the_half_height_region_is_the_structure():
    row = [0.1, 0.19, 0.2, 0.4, 0.3, 0.1]
    found = described([[row]])
    # 0.2, 0.4 and 0.3 reach half of 0.4; a single row is a line, half as long as three voxels.
    assert feature(found, "border")[0] == pytest.approx(np.tanh(np.array([-2, -1, 1, 2, 1, -1]) / 2), abs=1e-6)
    assert trait(found, "size") == pytest.approx(np.log(1.5))
    assert found.traits.surface == 2
    # The two ends of a line are its surface.
    assert trait(found, "shape") == 0
    # A probability above one half anywhere makes those above it the structure.
    assert trait(described([[[*row, 0.51]]]), "size") == pytest.approx(np.log(0.5))


def test_outside_the_roi_nothing_is_described():
    members = smooth_members(1)
    roi = np.zeros(members[0].shape, np.uint8)
    roi[1:5, 2:7, 1:6] = 1
    roi[3, 4, 3] = 0
    found = described(members, roi=roi)
    assert found.box == (slice(1, 5), slice(2, 7), slice(1, 6))
    assert (found.where == (roi[found.box] == 1)).all()
    # What the members say outside the ROI does not matter.
    loud = [np.where(roi == 1, member, value) for member, value in zip(members, (0.9, 0.99, 0.0), strict=True)]
    same(found, described(loud, roi=roi))
    same(found, described([np.where(roi == 1, member, 0) for member in members], roi=roi))


def test_equal_members_count_as_one():
    [member] = smooth_members(2, n_members=1)
    same(described([member]), described([member] * 3))


def test_the_raters_are_not_looked_at():
    members = smooth_members(4)
    for mask in (np.zeros_like(members[0]), members[0] > 0.3):
        data = tt.Case("c", members=members, raters=[mask.astype(np.uint8)], spacing=(1.0, 1.0, 1.0)).read()
        same(described(members), describe(data, data.probability()))


# --- What must not change it -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=3))
def test_zeros_around_the_case_change_nothing(seed, width):
    members, spacing = smooth_members(seed), (2.0, 1.0, 0.7)
    one, other = (
        described(members, spacing=spacing),
        described([np.pad(member, width) for member in members], spacing=spacing),
    )
    assert (other.voxel == one.voxel).all()
    assert (other.traits.features == one.traits.features).all()
    assert [part.start for part in other.box] == [low for low, _ in width]


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flipped", [(), (0,), (1, 2), (0, 1, 2)])
def test_turning_and_mirroring_a_case_turns_and_mirrors_its_features(axes, flipped):
    members, spacing = smooth_members(5), (2.5, 1.0, 0.7)
    one = described(members, spacing=spacing)
    turned = [np.flip(member.transpose(axes), flipped) for member in members]
    other = described(turned, spacing=tuple(spacing[axis] for axis in axes))
    for name in VOXEL_FEATURES:
        expected = np.flip(feature(one, name).transpose(axes), flipped)
        assert feature(other, name) == pytest.approx(expected, abs=1e-5), name
    assert other.traits.features == pytest.approx(one.traits.features)
    assert other.traits.surface == pytest.approx(one.traits.surface)


def test_the_order_of_the_members_does_not_matter():
    members = smooth_members(6)
    same(described(members), described(members[::-1]))


@pytest.mark.parametrize("thickness", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_is_an_image_in_two_dimensions_whatever_its_thickness(thickness, axis):
    members = smooth_members(7, shape=(12, 10))
    flat = described(members, spacing=(0.9, 1.4))
    spacing = [0.9, 1.4]
    spacing.insert(axis, thickness)
    thick = described([np.expand_dims(member, axis) for member in members], spacing=spacing)
    assert (thick.voxel == flat.voxel).all()
    assert (thick.traits.features == flat.traits.features).all()
    assert (thick.traits.surface, thick.traits.voxel_volume) == (flat.traits.surface, flat.traits.voxel_volume)
    assert thick.where.shape == np.expand_dims(flat.where, axis).shape


def test_a_structure_in_one_slice_of_many_stays_in_three_dimensions():
    members = smooth_members(7, shape=(12, 10))
    volumes = [np.stack([np.zeros_like(member), member, np.zeros_like(member)]) for member in members]
    found = described(volumes, spacing=(5.0, 1.0, 1.0))
    assert found.traits.voxel_volume == 5.0
    n = np.count_nonzero(np.mean(members, axis=0) > 0.5)
    assert trait(found, "size") == pytest.approx(np.log(np.cbrt(0.75 * 5 * n / np.pi)))
    assert feature(found, "border").max() <= np.tanh(5 / 2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1)])
def test_a_single_voxel_can_be_described(shape):
    found = described([np.full(shape, 0.8)], spacing=(2.0,) * len(shape))
    assert trait(found, "size") == pytest.approx(np.log(1.0))  # a line of 2 mm
    assert np.isfinite(found.voxel).all()


def test_in_a_case_twice_as_large_what_is_measured_in_radii_stays():
    members, spacing = smooth_members(8), np.array((2.0, 1.0, 0.7))
    one, other = described(members, spacing=spacing), described(members, spacing=2 * spacing)
    for name in ("logit", "bend", "depth", "whole"):
        assert feature(other, name) == pytest.approx(feature(one, name), abs=1e-6), name
    assert np.arctanh(feature(other, "border")[0]) == pytest.approx(2 * np.arctanh(feature(one, "border")[0]), rel=1e-4)
    assert trait(other, "size") - trait(one, "size") == pytest.approx(np.log(2))
    assert trait(other, "unsure") == trait(one, "unsure")
    assert trait(other, "shape") == pytest.approx(trait(one, "shape"))
    assert other.traits.surface == pytest.approx(4 * one.traits.surface)
    assert other.traits.voxel_volume == pytest.approx(8 * one.traits.voxel_volume)


def test_voxels_cut_into_smaller_ones_tell_the_same():
    y, x = np.arange(24)[:, None] - 11.5, np.arange(28) - 13.5
    coarse = [1 / (1 + np.exp(np.hypot(y, x * stretch) - 7)) for stretch in (1.0, 0.85)]
    one = described(coarse, spacing=(1.0, 1.0))
    other = described([member.repeat(2, axis=0).repeat(2, axis=1) for member in coarse], spacing=(0.5, 0.5))
    assert trait(other, "size") == pytest.approx(trait(one, "size"))
    assert trait(other, "unsure") == pytest.approx(trait(one, "unsure"))
    assert trait(other, "shape") == pytest.approx(trait(one, "shape"))
    assert other.traits.surface == pytest.approx(one.traits.surface)
    assert other.traits.voxel_volume == pytest.approx(one.traits.voxel_volume / 4)
    # Distances are to the middle of a voxel, and so shorter by up to half a voxel along each axis.
    tolerances = dict.fromkeys(("logit", "bend"), 1e-5) | dict.fromkeys(("wide", "whole"), 0.01)
    for name, tolerance in (tolerances | {"near": 0.3, "border": 0.35, "depth": 0.1}).items():
        averaged = feature(other, name).reshape(24, 2, 28, 2).mean(axis=(1, 3))
        assert averaged == pytest.approx(feature(one, name), abs=tolerance, nan_ok=True), name


def test_an_unknown_voxel_size_counts_as_one_mm():
    members = smooth_members(9)
    data = tt.Case("c", members=members).read(raters=False)
    assert not data.grid.known
    same(described(members), describe(data, data.probability()))
