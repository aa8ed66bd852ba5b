import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.evaluation.scores.lesions import lesion_scores

MM = (1.0, 1.0)


def row(*values):
    return np.array([values])


def test_worked_out_by_hand():
    mask = row(1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0).astype(np.uint8)
    p = row(0, 0.9, 0.9, 0, 0, 0, 0.5, 0.5, 0.5, 0, 0.8).astype(np.float32)
    # Reference: 2, 1 and 3 pixels of 2 mm²; predicted: 2 (meets the first), 3 (is the third), 1 (invented).
    found = lesion_scores(p, [mask], spacing=(4, 0.5))
    assert found.reference_volumes == (4, 2, 6)
    assert found.predicted_volumes == (4, 6, 2)
    assert found.found == (True, False, True)
    assert found.true == (True, True, False)
    assert found.volume_errors == (0, -2, 0)
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.false_positives == 1
    assert found.mean_absolute_volume_error == pytest.approx(2 / 3)


def test_matching_by_iou_is_strict():
    mask, p = row(1, 1, 0, 0).astype(np.uint8), row(0, 1, 1, 0).astype(np.float32)
    # intersection 1, union 3
    assert lesion_scores(p, [mask], spacing=MM, min_iou=0.33).sensitivity == 1
    assert lesion_scores(p, [mask], spacing=MM, min_iou=1 / 3).sensitivity == 0
    missed = lesion_scores(p, [mask], spacing=MM, min_iou=0.5)
    assert (missed.f1, missed.false_positives, missed.volume_errors) == (0, 1, (-2,))


def test_one_prediction_over_two_lesions_finds_both_and_counts_for_both():
    mask, p = row(1, 1, 0, 1).astype(np.uint8), row(1, 1, 1, 1).astype(np.float32)
    found = lesion_scores(p, [mask], spacing=MM)
    assert found.found == (True, True)
    assert found.true == (True,)
    assert found.volume_errors == (2, 3)
    assert found.f1 == 1


def test_level_counts_raters_and_a_tie_reaches_one_half():
    masks = [row(1, 0, 1).astype(np.uint8), row(1, 0, 0).astype(np.uint8)]
    p = np.zeros((1, 3), np.float32)
    assert len(lesion_scores(p, masks, spacing=MM, level=0.5).found) == 2
    assert len(lesion_scores(p, masks, spacing=MM, level=0.51).found) == 1
    # 0.28 of 25 raters are 7, though 0.28 × 25 is more than 7 in floating point.
    many = [np.full((1, 1), number < 7, np.uint8) for number in range(25)]
    assert len(lesion_scores(np.zeros((1, 1)), many, spacing=MM, level=0.28).found) == 1


def test_connectivity_joins_or_parts_what_touches_at_a_corner():
    mask = np.eye(3, dtype=np.uint8)
    p = np.zeros((3, 3), np.float32)
    assert len(lesion_scores(p, [mask], spacing=MM).found) == 1
    assert len(lesion_scores(p, [mask], spacing=MM, full_connectivity=False).found) == 3


def test_empty_sides():
    mask, empty = row(0, 1).astype(np.uint8), row(0, 0).astype(np.uint8)
    nothing = lesion_scores(empty, [empty], spacing=MM)
    assert (nothing.f1, nothing.false_positives) == (1, 0)
    assert np.isnan(nothing.sensitivity)
    assert np.isnan(nothing.precision)
    assert np.isnan(nothing.mean_absolute_volume_error)
    missed = lesion_scores(empty, [mask], spacing=MM)
    assert (missed.f1, missed.sensitivity, missed.volume_errors) == (0, 0, (-1,))
    invented = lesion_scores(mask, [empty], spacing=MM)
    assert (invented.f1, invented.precision, invented.false_positives) == (0, 0, 1)


@pytest.mark.parametrize("full", [True, False])
def test_components_and_overlaps_are_those_of_simpleitk(full):
    rng = np.random.default_rng(0)
    p = rng.random((9, 10, 11), dtype=np.float32)
    mask = (rng.random(p.shape) < 0.15).astype(np.uint8)
    found = lesion_scores(p, [mask], spacing=(1, 1, 1), threshold=0.9, full_connectivity=full)
    reference, predicted = (
        SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(one), full))
        for one in (mask, (p >= 0.9).astype(np.uint8))
    )
    sizes = [int((reference == n).sum()) for n in range(1, reference.max() + 1)]
    assert sorted(found.reference_volumes) == sorted(sizes)
    assert sum(found.found) == len(np.unique(reference[(predicted > 0) & (reference > 0)]))
    assert sum(found.true) == len(np.unique(predicted[(predicted > 0) & (reference > 0)]))
    assert sum(found.predicted_volumes) == (p >= 0.9).sum()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.7]))
def test_from_an_iou_of_one_half_on_matches_are_one_to_one(seed, min_iou):
    rng = np.random.default_rng(seed)
    mask = (rng.random((8, 8)) < 0.3).astype(np.uint8)
    p = np.where(rng.random((8, 8)) < 0.15, 1 - mask, mask).astype(np.float32)
    found = lesion_scores(p, [mask], spacing=MM, min_iou=min_iou)
    hits = sum(found.found)
    assert hits == sum(found.true)
    if found.found or found.true:
        misses = len(found.found) - hits
        assert found.f1 == pytest.approx(2 * hits / (2 * hits + found.false_positives + misses))


def test_bad_input_is_refused():
    mask = np.ones((2, 2), np.uint8)
    for options in ({"level": 0}, {"level": 1.1}, {"threshold": 0}, {"min_iou": 1}, {"min_iou": -0.1}):
        with pytest.raises(InputError, match="expected level and threshold"):
            lesion_scores(mask, [mask], spacing=MM, **options)
    with pytest.raises(InputError, match="2 spacings"):
        lesion_scores(mask, [mask], spacing=(1, 1, 1))
