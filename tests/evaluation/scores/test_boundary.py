import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.evaluation.scores.boundary import (
    boundary_aware_calibration_error,
    boundary_bands,
    boundary_region_calibration_error,
)
from twintrack.evaluation.scores.reliability import mhr_calibration_error

MM = (1.0, 1.0)


def line(*values):
    return np.array([values])


def drawn(seed, *, raters=3, shape=(6, 7, 8)):
    rng = np.random.default_rng(seed)
    centre = np.array(shape) / 2
    distance = np.linalg.norm((np.indices(shape).T - centre[::1]).T, axis=0)
    masks = [(distance < rng.uniform(1, 3)).astype(np.uint8) for _ in range(raters)]
    return rng.random(shape, dtype=np.float32), masks


def test_worked_out_by_hand():
    mask = line(0, 0, 0, 0, 1, 1, 1, 1).astype(np.uint8)
    p = line(0.0, 0.0, 0.1, 0.4, 0.4, 0.8, 1.0, 1.0).astype(np.float32)
    # Boundary voxels are 3 and 4: distances 3 2 1 0 0 1 2 3. Labels 0 0 0 0 0 1 1 1: only voxel 4 is wrong.
    bands = boundary_bands(p, [mask], spacing=MM, edges=(0, 1, 3))
    assert bands.count.tolist() == [2, 4]
    assert bands.uncertainty == pytest.approx([0.8, 0.3])
    assert bands.error == pytest.approx([1.0, 0.0])
    assert bands.distance == pytest.approx([0, 6])
    # gaps |.4 - .5| and |.075 - 0|, weights 1/(0 + 1) and 1/(1.5 + 1), normalised
    expected = (0.1 * 1 + 0.075 * 0.4) / 1.4
    assert bands.calibration_error() == pytest.approx(expected)
    assert boundary_aware_calibration_error(p, [mask], spacing=MM, edges=(0, 1, 3)) == pytest.approx(expected)
    assert bands.calibration_error(offset=2) == pytest.approx((0.1 / 2 + 0.075 / 3.5) / (1 / 2 + 1 / 3.5))


def test_region_worked_out_by_hand():
    mask = line(0, 0, 0, 0, 1, 1, 1, 1).astype(np.uint8)
    p = line(0.9, 0.9, 0.1, 0.4, 0.6, 0.8, 0.1, 0.1).astype(np.float32)
    # Within 1 mm: voxels 2 to 5, of which .1 and .4 should be 0, .6 and .8 should be 1.
    error = boundary_region_calibration_error(p, [mask], spacing=MM, distance=1, bins=2)
    assert error == pytest.approx((0.5 + 0.6) / 4)
    assert boundary_region_calibration_error(p, [mask], spacing=MM, distance=0, bins=2) == pytest.approx(0.4)


def test_distance_is_in_mm_along_each_axis():
    mask = np.zeros((9, 9), np.uint8)
    mask[4:, :] = 1
    p = np.zeros((9, 9), np.float32)
    # Rows are 2 mm apart: within 3 mm are the two boundary rows and one on either side.
    bands = boundary_bands(p, [mask], spacing=(2, 0.5), edges=(0, 3))
    assert bands.count.tolist() == [4 * 9]


def test_edge_of_the_image_is_no_boundary():
    full = np.ones((4, 4), np.uint8)
    p = np.full((4, 4), 0.3, np.float32)
    assert boundary_bands(p, [full], spacing=MM).count.tolist() == [0, 0, 0]
    assert boundary_bands(p, [full], spacing=MM, edges=(0, np.inf)).count.tolist() == [0]
    assert np.isnan(boundary_aware_calibration_error(p, [0 * full], spacing=MM))
    assert np.isnan(boundary_region_calibration_error(p, [0 * full], spacing=MM, distance=5))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_the_response_scores_zero(seed):
    _, masks = drawn(seed)
    response = np.mean(masks, axis=0).astype(np.float32)
    spacing = (2.0, 1.0, 1.5)
    edges = (0, 1, 3, np.inf)
    assert boundary_aware_calibration_error(response, masks, spacing=spacing, edges=edges) == pytest.approx(0, abs=1e-7)
    assert boundary_region_calibration_error(response, masks, spacing=spacing, distance=3) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_the_box_loses_nothing_and_agrees_with_simpleitk(seed):
    p, masks = drawn(seed, shape=(14, 15, 16))
    masks[1][:, :, 9:] = 0  # raters whose boxes differ
    spacing = (2.0, 1.0, 1.5)
    edges = np.zeros(p.shape, bool)
    for mask in masks:
        # Greatest and least value of the face neighbours and of the voxel itself.
        image = SimpleITK.GetImageFromArray(mask)
        radius, cross = (1, 1, 1), SimpleITK.sitkCross
        grown, shrunk = SimpleITK.GrayscaleDilate(image, radius, cross), SimpleITK.GrayscaleErode(image, radius, cross)
        edges |= SimpleITK.GetArrayFromImage(grown) != SimpleITK.GetArrayFromImage(shrunk)
    edge_image = SimpleITK.GetImageFromArray(edges.astype(np.uint8))
    edge_image.SetSpacing(spacing[::-1])
    distance = SimpleITK.GetArrayFromImage(
        SimpleITK.DanielssonDistanceMap(edge_image, True, squaredDistance=False, useImageSpacing=True)
    )
    bands = boundary_bands(p, masks, spacing=spacing, edges=(0, 1.2, 4.1))
    inside = [distance < 1.2, (distance >= 1.2) & (distance < 4.1)]
    assert bands.count.tolist() == [int(part.sum()) for part in inside]
    assert bands.uncertainty == pytest.approx([np.minimum(p, 1 - p)[part].sum(dtype=float) for part in inside])
    disagree = np.mean([mask != (p > 0.5) for mask in masks], axis=0)
    assert bands.error == pytest.approx([disagree[part].sum() for part in inside])
    assert bands.distance == pytest.approx([distance[part].sum(dtype=float) for part in inside], rel=1e-5)
    whole = boundary_bands(p, masks, spacing=spacing, edges=(0, 1.2, 4.1, np.inf))
    assert whole.count.sum() == p.size
    assert whole.count[:2].tolist() == bands.count.tolist()
    near = distance <= 4.1
    response = np.mean(masks, axis=0).astype(np.float32)
    assert boundary_region_calibration_error(p, masks, spacing=spacing, distance=4.1) == pytest.approx(
        mhr_calibration_error(p[near], response[near])
    )


def test_bands_of_cases_add():
    (p, masks), (q, others) = drawn(1), drawn(2)
    first = boundary_bands(p, masks, spacing=(1, 1, 1))
    total = first + boundary_bands(q, others, spacing=(1, 1, 1))
    assert total.count.sum() > first.count.sum()
    with pytest.raises(InputError, match="different edges"):
        first + boundary_bands(p, masks, spacing=(1, 1, 1), edges=(0, 1))


def test_bad_input_is_refused():
    p, masks = drawn(0)
    for edges in ((0,), (0, 0), (3, 1), (-1, 2), (0, np.nan)):
        with pytest.raises(InputError, match="edges"):
            boundary_bands(p, masks, spacing=(1, 1, 1), edges=edges)
    with pytest.raises(InputError, match="3 spacings"):
        boundary_bands(p, masks, spacing=(1, 1))
    with pytest.raises(InputError, match="distance"):
        boundary_region_calibration_error(p, masks, spacing=(1, 1, 1), distance=-1)
    with pytest.raises(InputError, match="offset"):
        boundary_aware_calibration_error(p, masks, spacing=(1, 1, 1), offset=0)
