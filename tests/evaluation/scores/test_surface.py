import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from twintrack.errors import InputError
from twintrack.evaluation.scores.surface import agreement_surface_scores, surface_scores


def ball(shape, centre, radius):
    where = np.indices(shape) - np.reshape(centre, (-1, *[1] * len(shape)))
    return (np.sqrt((where**2).sum(axis=0)) <= radius).astype(np.uint8)


def test_worked_out_by_hand():
    a, b = np.zeros((3, 12), np.uint8), np.zeros((3, 12), np.uint8)
    a[1, 0:3] = 1
    b[1, 2:5] = 1
    # Nothing above or below: every pixel is on the surface. 2 mm steps: a to b 4, 2, 0; b to a 0, 2, 4.
    found = surface_scores(a, b, spacing=(5, 2), tolerance=2)
    assert found.assd == pytest.approx(2)
    # 95th percentile of 0, 2, 4 is 1.9 steps of rank up: 3.8
    assert found.hd95 == pytest.approx(3.8)
    assert found.surface_dice == pytest.approx(4 / 6)
    assert surface_scores(a, b, spacing=(5, 2), tolerance=1.9).surface_dice == pytest.approx(2 / 6)


def test_the_inside_is_no_surface_and_the_edge_of_the_image_is():
    a, b = np.ones((5, 5), np.uint8), np.ones((5, 5), np.uint8)
    b[2, 2] = 0
    # The hole adds four surface pixels to b's ring of 16; each is 1 mm from a's ring.
    found = surface_scores(a, b, spacing=(1, 1), tolerance=0)
    assert found.assd == pytest.approx(4 / (16 + 20))
    assert found.surface_dice == pytest.approx(32 / 36)


def test_a_volume_of_one_slice_is_an_image():
    a, b = ball((20, 22), (9, 10), 6), ball((20, 22), (10, 12), 5)
    expected = surface_scores(a, b, spacing=(0.7, 0.9), tolerance=1)
    assert expected.assd > 0.5
    assert surface_scores(a[None], b[None], spacing=(5, 0.7, 0.9), tolerance=1) == expected
    # A mask one slice thick in a volume of more is a sheet: all of it is surface.
    sheets = [np.pad(mask[None], ((1, 1), (0, 0), (0, 0))) for mask in (a, b)]
    assert surface_scores(*sheets, spacing=(5, 0.7, 0.9), tolerance=1).assd < expected.assd
    one = np.ones((1, 1, 1), np.uint8)
    assert surface_scores(one, one, spacing=(1, 1, 1), tolerance=0).surface_dice == 1


def test_tolerance_survives_rounding():
    a, b = np.zeros((1, 20), np.uint8), np.zeros((1, 20), np.uint8)
    a[0, 0] = b[0, 3] = 1
    assert surface_scores(a, b, spacing=(1, 0.1), tolerance=0.3).surface_dice == 1  # 3 × 0.1 is more than 0.3


def test_empty_masks():
    full, empty = np.ones((3, 3), np.uint8), np.zeros((3, 3), np.uint8)
    both = surface_scores(empty, empty, spacing=(1, 1), tolerance=1)
    assert (both.assd, both.hd95, both.surface_dice) == (0, 0, 1)
    for a, b in ((full, empty), (empty, full)):
        one = surface_scores(a, b, spacing=(1, 1), tolerance=1)
        assert (one.assd, one.hd95, one.surface_dice) == (np.inf, np.inf, 0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_equals_all_pairs_of_surface_voxels(seed):
    rng = np.random.default_rng(seed)
    spacing = tuple(rng.uniform(0.5, 3, size=3))
    masks = [ball((7, 8, 9), rng.uniform(2, 6, size=3), rng.uniform(0.5, 3)) for _ in range(2)]
    points = []
    for mask in masks:
        padded = np.pad(mask, 1)
        neighbours = np.array([np.roll(padded, step, axis) for axis in range(3) for step in (1, -1)])
        surface = (padded & (neighbours.min(axis=0) == 0))[1:-1, 1:-1, 1:-1]
        points.append(np.argwhere(surface) * spacing)
    found = surface_scores(*masks, spacing=spacing, tolerance=1)
    if not (len(points[0]) and len(points[1])):
        assert found.assd == (np.inf if len(points[0]) or len(points[1]) else 0)
        return
    pairs = cdist(*points)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    both = np.concatenate([there, back])
    assert found.assd == pytest.approx(both.mean())
    assert found.hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert found.surface_dice == pytest.approx((both <= 1).mean())
    back = surface_scores(*masks[::-1], spacing=spacing, tolerance=1)
    assert (back.assd, back.hd95, back.surface_dice) == pytest.approx((found.assd, found.hd95, found.surface_dice))
    same = surface_scores(masks[0], masks[0], spacing=spacing, tolerance=0)
    assert (same.assd, same.hd95, same.surface_dice) == (0, 0, 1)


def test_equals_simpleitk():
    spacing = (2.5, 0.8, 0.7)
    a, b = ball((24, 30, 32), (11, 14, 15), 6), ball((24, 30, 32), (12, 16, 15), 7)
    contours = []
    for mask in (a, b):
        image = SimpleITK.GetImageFromArray(mask)
        image.SetSpacing(spacing[::-1])
        contours.append(SimpleITK.LabelContour(image, fullyConnected=False))
    distances = []
    for start, target in (contours, contours[::-1]):
        field = SimpleITK.Abs(SimpleITK.SignedMaurerDistanceMap(target, squaredDistance=False, useImageSpacing=True))
        distances.append(SimpleITK.GetArrayFromImage(field)[SimpleITK.GetArrayFromImage(start) > 0])
    both = np.concatenate(distances)
    found = surface_scores(a, b, spacing=spacing, tolerance=1.5)
    assert found.assd == pytest.approx(both.mean(), rel=1e-5)
    assert found.hd95 == pytest.approx(max(np.percentile(one, 95) for one in distances), rel=1e-5)
    assert found.surface_dice == pytest.approx((both <= 1.5).mean())


def test_the_response_matches_at_every_level():
    masks = [ball((9, 10, 11), (4, 5, 5), radius) for radius in (1, 2, 2.5, 3, 4)]
    response = np.mean(masks, axis=0).astype(np.float32)
    found = agreement_surface_scores(response, masks, spacing=(1, 1, 1), tolerance=0)
    assert [(one.assd, one.surface_dice) for one in found] == [(0, 1)] * 5


def test_levels_run_from_any_rater_to_all():
    masks = [np.uint8([[1, 1, 1, 1], [0, 0, 0, 0]]), np.uint8([[1, 1, 0, 0], [0, 0, 0, 0]])]
    p = np.float32([[0.9, 0.7, 0.3, 0.1], [0, 0, 0, 0]])
    # p > 1/4 is the first three pixels, p > 3/4 the first; at least 1 rater: four, 2: two. A whole row is surface.
    found = agreement_surface_scores(p, masks, spacing=(1, 1), tolerance=0)
    assert [one.assd for one in found] == pytest.approx([1 / 7, 1 / 3])


def test_bad_input_is_refused():
    mask = np.ones((2, 2), np.uint8)
    with pytest.raises(InputError, match="tolerance"):
        surface_scores(mask, mask, spacing=(1, 1), tolerance=-1)
    with pytest.raises(InputError, match="2 spacings"):
        surface_scores(mask, mask, spacing=(1, 1, 1), tolerance=1)
    with pytest.raises(InputError, match="differ in shape"):
        surface_scores(mask, np.ones((3, 2), np.uint8), spacing=(1, 1), tolerance=1)
