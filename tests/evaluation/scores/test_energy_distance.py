import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score

from twintrack.errors import InputError
from twintrack.evaluation.scores.energy_distance import binarise, energy_distance

A, B, EMPTY = np.uint8([[1, 1, 0, 0]]), np.uint8([[0, 1, 1, 0]]), np.uint8([[0, 0, 0, 0]])


def random_masks(rng, count, shape=(3, 4, 5), share=0.4):
    return [(rng.random(shape) < share).astype(np.uint8) for _ in range(count)]


def test_worked_out_by_hand():
    # One sample A, raters A and B: IoU(A, B) = 1/3. Between (0 + 2/3)/2, raters (0 + 2/3 + 2/3 + 0)/4, samples 0.
    found = energy_distance([A], [A, B])
    assert found.between == pytest.approx(1 / 3)
    assert found.raters == pytest.approx(1 / 3)
    assert found.samples == 0
    assert found.value == pytest.approx(1 / 3)
    # Dice(A, B) = 1/2
    assert energy_distance([A], [A, B], overlap="dice").value == pytest.approx(2 * 0.25 - 0.25)


def test_unbiased_worked_out_by_hand():
    # Samples and raters A, B: between 1/3, within 2/3 each when no mask meets itself.
    found = energy_distance([A, B], [A, B], unbiased=True)
    assert (found.samples, found.raters) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert found.value == pytest.approx(2 / 3 - 4 / 3)
    assert energy_distance([A, B], [A, B]).value == pytest.approx(0)


def test_two_empty_masks_are_equal_and_an_empty_one_is_far_from_any_other():
    assert energy_distance([EMPTY], [EMPTY]).value == 0
    assert energy_distance([EMPTY], [A]).value == pytest.approx(2)


@pytest.mark.parametrize(("overlap", "score"), [("iou", jaccard_score), ("dice", f1_score)])
def test_equals_scikit_learn_pair_by_pair(overlap, score):
    rng = np.random.default_rng(0)
    samples, raters = random_masks(rng, 3), [*random_masks(rng, 3), np.zeros((3, 4, 5), np.uint8)]

    def distance(a, b):
        return 1 - score(a.ravel(), b.ravel(), zero_division=1)

    def mean(one, other):
        return np.mean([[distance(a, b) for b in other] for a in one])

    expected = 2 * mean(samples, raters) - mean(samples, samples) - mean(raters, raters)
    assert energy_distance(samples, raters, overlap=overlap).value == pytest.approx(expected)


def test_equals_simpleitk_over_several_blocks():
    rng = np.random.default_rng(1)
    sample, rater = random_masks(rng, 2, shape=(60, 60, 60))
    sample[:40] = rater[:40] = 0  # blocks without a label are passed over
    measure = SimpleITK.LabelOverlapMeasuresImageFilter()
    measure.Execute(SimpleITK.GetImageFromArray(sample), SimpleITK.GetImageFromArray(rater))
    assert energy_distance([sample], [rater]).value == pytest.approx(2 * (1 - measure.GetJaccardCoefficient()))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 5), st.sampled_from(["iou", "dice"]))
def test_biased_distance_is_a_squared_distance(seed, m, k, overlap):
    rng = np.random.default_rng(seed)
    samples, raters = random_masks(rng, m, share=rng.random()), random_masks(rng, k, share=rng.random())
    found = energy_distance(samples, raters, overlap=overlap).value
    assert found >= -1e-12
    assert energy_distance(raters, samples, overlap=overlap).value == pytest.approx(found)
    assert energy_distance(samples, samples * 2, overlap=overlap).value == pytest.approx(0, abs=1e-12)


def test_unbiased_distance_is_right_on_average():
    rng = np.random.default_rng(2)
    population = random_masks(rng, 6)
    # Samples and raters drawn alike: the true distance is 0.
    draws = [
        [population[i] for i in rng.integers(0, 6, size=4)] + [population[i] for i in rng.integers(0, 6, size=3)]
        for _ in range(600)
    ]
    unbiased = [energy_distance(one[:4], one[4:], unbiased=True).value for one in draws]
    biased = [energy_distance(one[:4], one[4:]).value for one in draws]
    assert np.mean(unbiased) == pytest.approx(0, abs=4 * np.std(unbiased) / np.sqrt(600))
    assert np.mean(biased) > 0.1


def test_members_are_cut_strictly_above_the_threshold():
    members = [np.float32([[0.5, 0.6, 0.1]])]
    assert binarise(members)[0].tolist() == [[0, 1, 0]]
    assert binarise(members, threshold=0.1)[0].tolist() == [[1, 1, 1]]  # float32 0.1 exceeds 0.1
    assert binarise(members)[0].dtype == np.uint8


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"samples have shape \(1, 4\), a mask \(2, 2\)"):
        energy_distance([A], [np.zeros((2, 2), np.uint8)])
    with pytest.raises(InputError, match="model's samples.*float"):
        energy_distance([A.astype(float)], [A])
    with pytest.raises(InputError, match="needs two samples and two raters; got 1 and 2"):
        energy_distance([A], [A, B], unbiased=True)
    with pytest.raises(InputError, match="overlap"):
        energy_distance([A], [A], overlap="hausdorff")
    with pytest.raises(InputError, match="member 1"):
        binarise([A * 2])
