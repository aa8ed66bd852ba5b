import numpy as np
import pytest

from twintrack.evaluation.scores.top_label import top_label_calibration_error


def test_worked_out_by_hand():
    p = np.float32([0.92, 0.81, 0.28, 0.5])
    rater = np.uint8([1, 0, 0, 1])
    # confidences .92 .81 .72 .5; right: yes, no, yes, no (1/2 counts as label 0). Two bins: all in the upper one.
    assert top_label_calibration_error(p, [rater], bins=2) == pytest.approx([abs(2.95 - 2) / 4])
    # Ten bins keep them apart: |.92-1| + |.81-0| + |.72-1| + |.5-0| over 4.
    assert top_label_calibration_error(p, [rater], bins=10) == pytest.approx([(0.08 + 0.81 + 0.28 + 0.5) / 4])


def test_each_rater_has_an_error_and_order_is_kept():
    p = np.float32([[1.0, 0.0]])
    same, opposite = np.uint8([[1, 0]]), np.uint8([[0, 1]])
    assert top_label_calibration_error(p, [same, opposite]) == [0.0, 1.0]


def test_symmetric_in_foreground_and_background():
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    p = np.where(np.abs(p - 0.5) < 1e-3, 0.7, p).astype(np.float32)
    mask = (rng.random(2000) < 0.4).astype(np.uint8)
    # 41 bins: no confidence lies on an edge up to rounding of 1 - p
    a = top_label_calibration_error(p, [mask], bins=41)
    b = top_label_calibration_error((1 - p.astype(float)).astype(np.float32), [1 - mask], bins=41)
    assert a == pytest.approx(b, abs=2e-3)


def test_equals_a_plain_implementation():
    rng = np.random.default_rng(3)
    p = rng.random((4, 20, 20), dtype=np.float32)
    masks = [(rng.random(p.shape) < 0.3).astype(np.uint8) for _ in range(3)]
    confidence = np.maximum(p.astype(float), 1 - p.astype(float))
    index = np.minimum((confidence * 50).astype(int), 49)
    expected = []
    for mask in masks:
        right = (p > 0.5) == mask
        gaps = [
            abs(confidence[index == b].mean() - right[index == b].mean()) * (index == b).sum() for b in set(index.flat)
        ]
        expected.append(sum(gaps) / p.size)
    assert top_label_calibration_error(p, masks) == pytest.approx(expected, abs=1e-12)
