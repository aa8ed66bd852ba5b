import csv

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from twintrack.errors import InputError
from twintrack.evaluation.scores.ceiling import leave_one_out, leave_one_out_response
from twintrack.evaluation.scores.overlap import thresholded_dice
from twintrack.evaluation.scores.response_scores import brier
from twintrack.raters import case_agreement, response

A, B, C = np.uint8([[1, 1, 0]]), np.uint8([[1, 0, 0]]), np.uint8([[1, 1, 1]])


def squared(prediction, masks):
    return brier(prediction, response(masks))


def dice(prediction, masks):
    return thresholded_dice(prediction, masks, thresholds=(0.5,))


def test_worked_out_by_hand():
    # Others of A: 1, 1/2, 1/2; of B: 1, 1, 1/2; of C: 1, 1/2, 0.
    assert leave_one_out([A, B, C], squared) == pytest.approx([(1 / 4 + 1 / 4) / 3, (1 + 1 / 4) / 3, (1 / 4 + 1) / 3])
    # The other way round the errors are the same: (mean of the others - own label)².
    assert leave_one_out_response([A, B, C], squared) == pytest.approx([1 / 6, 5 / 12, 5 / 12])


def test_what_the_score_is_given():
    seen = []

    def record(prediction, masks):
        seen.append((prediction.dtype, prediction.tolist(), [mask.tolist() for mask in masks]))
        return 0.0

    leave_one_out([A, B.astype(bool)], record)
    leave_one_out_response([A, B, C], record)
    a, b, c = A.tolist(), B.tolist(), C.tolist()
    assert seen[0] == (np.float32, a, [b])
    assert seen[1] == (np.float32, b, [a])
    assert seen[2] == (np.float32, [[1.0, 0.5, 0.5]], [a])
    assert seen[4] == (np.float32, [[1.0, 0.5, 0.0]], [c])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_a_panel_predicts_a_further_rater_no_worse_than_its_members_do_on_average(seed, k):
    rng = np.random.default_rng(seed)
    masks = [(rng.random((4, 5)) < 0.5).astype(np.uint8) for _ in range(k)]
    # Jensen: squared error of the mean ≤ mean squared error.
    panel = leave_one_out_response(masks, squared)
    for out, mask in enumerate(masks):
        others = [squared(other.astype(np.float32), [mask]) for n, other in enumerate(masks) if n != out]
        assert panel[out] <= np.mean(others) + 1e-9


def test_two_real_raters_score_their_mutual_dice(data_dir):
    with (data_dir / "lidc2d" / "cases.csv").open() as file:
        cases = [row["case"] for row in csv.DictReader(file) if row["raters"] == "2"][:20]
    assert cases
    for case in cases:
        files = sorted((data_dir / "lidc2d" / case).glob("annotation_*.nii.gz"))
        masks = [SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))).astype(np.uint8) for file in files]
        expected = case_agreement(masks, voxel_volume=1).mean_dice
        assert leave_one_out(masks, dice) == pytest.approx([expected] * 2)
        assert leave_one_out_response(masks, dice) == pytest.approx([expected] * 2)


def test_one_rater_has_no_other():
    for function in (leave_one_out, leave_one_out_response):
        with pytest.raises(InputError, match="at least two raters; got one"):
            function([A], squared)
        with pytest.raises(InputError, match="differ in shape"):
            function([A, A[:, :2]], squared)
