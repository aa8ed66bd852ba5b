"""STAPLE: by hand, against ITK, against the benchmark's figures, and at its edges."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twintrack.errors import InputError
from twintrack.raters import staple, staple_patterns

ENGINES = ("pattern", "simpleitk")
both_engines = pytest.mark.parametrize("engine", ENGINES)


def from_patterns(*rows: tuple[str, int]) -> list[np.ndarray]:
    """Make masks of shape (1, n) that show each vote pattern ("110": raters 1 and 2) so many times."""
    voxels = [pattern for pattern, count in rows for _ in range(count)]
    return [np.array([[int(pattern[rater]) for pattern in voxels]], dtype=np.uint8) for rater in range(len(voxels[0]))]


def assert_same(first, second):
    np.testing.assert_allclose(first.probability, second.probability, rtol=0, atol=1e-6)
    np.testing.assert_allclose(first.sensitivity, second.sensitivity, rtol=0, atol=1e-9)
    np.testing.assert_allclose(first.specificity, second.specificity, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(first.mask, second.mask)
    assert first.iterations == second.iterations


@both_engines
def test_two_nested_raters_worked_by_hand(engine):
    # 2 voxels by both, 2 by the first alone, 4 by none. W = 1, 1/2, 0; prior 6/16 = 3/8.
    # M: sum W = 3, so p = (3/3, 2/3); sum 1 - W = 5, so q = (4/5, 5/5).
    # E, voxels of the first alone: a = 1 * 1/3, b = 1/5 * 1; W = (3/8 * 1/3) / (3/8 * 1/3 + 5/8 * 1/5) = 1/2
    # again: a fixed point, seen to be one in the second iteration. One half is a tie, not in the mask.
    found = staple(from_patterns(("11", 2), ("10", 2), ("00", 4)), engine=engine)
    np.testing.assert_allclose(found.probability, [[1, 1, 0.5, 0.5, 0, 0, 0, 0]], atol=1e-7)
    np.testing.assert_allclose(found.sensitivity, [1, 2 / 3])
    np.testing.assert_allclose(found.specificity, [4 / 5, 1])
    np.testing.assert_array_equal(found.mask, [[1, 1, 0, 0, 0, 0, 0, 0]])
    assert found.iterations == 2


@both_engines
def test_one_iteration_of_three_raters_worked_by_hand(engine):
    # 4 voxels by all, 2 by raters 1 and 2, 2 by rater 3 alone, 8 by none. Each rater drew 6 of 16: prior 3/8.
    # W = 1, 2/3, 1/3, 0: sum W = 4 + 4/3 + 2/3 = 6, sum 1 - W = 10.
    # p1 = p2 = (4 + 4/3) / 6 = 8/9, p3 = (4 + 2/3) / 6 = 7/9; q1 = q2 = (4/3 + 8) / 10 = 14/15, q3 = 13/15.
    p, q, prior = (
        [Fraction(8, 9)] * 2 + [Fraction(7, 9)],
        [Fraction(14, 15)] * 2 + [Fraction(13, 15)],
        Fraction(3, 8),
    )
    expected = {}
    for pattern, a, b in (
        ("111", p[0] * p[1] * p[2], (1 - q[0]) * (1 - q[1]) * (1 - q[2])),
        ("110", p[0] * p[1] * (1 - p[2]), (1 - q[0]) * (1 - q[1]) * q[2]),
        ("001", (1 - p[0]) * (1 - p[1]) * p[2], q[0] * q[1] * (1 - q[2])),
        ("000", (1 - p[0]) * (1 - p[1]) * (1 - p[2]), q[0] * q[1] * q[2]),
    ):
        expected[pattern] = float(prior * a / (prior * a + (1 - prior) * b))
    rows = (("111", 4), ("110", 2), ("001", 2), ("000", 8))
    found = staple(from_patterns(*rows), max_iterations=1, engine=engine)
    np.testing.assert_allclose(
        found.probability, [[expected[pattern] for pattern, count in rows for _ in range(count)]], rtol=1e-6
    )
    np.testing.assert_allclose(found.sensitivity, [8 / 9, 8 / 9, 7 / 9])
    np.testing.assert_allclose(found.specificity, [14 / 15, 14 / 15, 13 / 15])
    assert found.iterations == 1


@pytest.mark.parametrize("raters", [1, 2, 3, 5, 8, 9, 16])
def test_the_engines_give_the_same(raters, simulated_raters):
    masks = simulated_raters(raters=raters, seed=raters)
    assert_same(staple(masks), staple(masks, engine="simpleitk"))


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_the_engines_give_the_same_where_they_are_stopped_early(limit, simulated_raters):
    masks = simulated_raters(raters=4, error=0.1)
    found = staple(masks, max_iterations=limit)
    assert found.iterations == limit
    assert_same(found, staple(masks, max_iterations=limit, engine="simpleitk"))


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_the_engines_give_the_same_on_any_masks(data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=6))
    masks = data.draw(st.lists(hnp.arrays(np.bool_, shape), min_size=1, max_size=6))
    # Few iterations: near a saddle point (exactly symmetric votes) rounding grows with each of them.
    limit = data.draw(st.integers(1, 4))
    found = staple(masks, max_iterations=limit)
    assume(found.iterations > 0)
    assert_same(found, staple(masks, max_iterations=limit, engine="simpleitk"))


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_probability_and_rates_lie_between_0_and_1_and_follow_the_votes_alone(data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=5))
    masks = data.draw(st.lists(hnp.arrays(np.bool_, shape), min_size=1, max_size=16))
    found = staple(masks)
    assert found.probability.dtype == np.float32
    assert found.probability.shape == shape
    assert ((found.probability >= 0) & (found.probability <= 1)).all()
    if found.iterations:
        rates = np.array([found.sensitivity, found.specificity])
        assert ((rates >= 0) & (rates <= 1)).all()
    votes = np.stack(masks).reshape(len(masks), -1).T
    patterns, which = np.unique(votes, axis=0, return_inverse=True)
    for number in range(len(patterns)):
        assert np.unique(found.probability.ravel()[which.ravel() == number]).size == 1


@both_engines
def test_without_foreground_the_probability_is_0(engine):
    found = staple([np.zeros((2, 3, 4), dtype=np.uint8)] * 3, engine=engine)
    np.testing.assert_array_equal(found.probability, np.zeros((2, 3, 4)))
    assert found.probability.dtype == np.float32
    assert found.specificity == (1, 1, 1)
    assert np.isnan(found.sensitivity).tolist() == [True] * 3
    assert (found.iterations, found.mask.sum()) == (0, 0)


@both_engines
def test_without_background_the_probability_is_1(engine):
    found = staple([np.ones((2, 3, 4), dtype=bool)] * 3, engine=engine)
    np.testing.assert_array_equal(found.probability, np.ones((2, 3, 4)))
    assert found.sensitivity == (1, 1, 1)
    assert np.isnan(found.specificity).tolist() == [True] * 3
    assert (found.iterations, found.mask.sum()) == (0, 24)


@both_engines
@pytest.mark.parametrize("raters", [1, 2, 5])
def test_raters_who_agree_are_taken_at_their_word(engine, raters, simulated_raters):
    mask = simulated_raters(raters=1)[0]
    found = staple([mask] * raters, engine=engine)
    np.testing.assert_array_equal(found.probability, mask)
    np.testing.assert_array_equal(found.mask, mask)
    assert found.sensitivity == found.specificity == (1,) * raters
    assert found.iterations == 2


@pytest.mark.parametrize("label", [0, 1])
def test_a_rater_who_drew_nothing_or_everything_makes_no_nan(label, simulated_raters):
    masks = [*simulated_raters(raters=4), np.full((24, 30, 28), label, dtype=np.uint8)]
    found = staple(masks)
    assert (found.sensitivity[-1], found.specificity[-1]) == (label, 1 - label)
    assert np.isfinite(found.probability).all()
    assert_same(found, staple(masks, engine="simpleitk"))


def test_more_background_changes_the_result(simulated_raters):
    masks = simulated_raters(raters=3, error=0.02)
    wide = [np.pad(mask, 10) for mask in masks]
    inside = (slice(10, -10),) * 3
    assert np.abs(staple(wide).probability[inside] - staple(masks).probability).max() > 0.05


def test_the_order_of_the_raters_does_not_matter(simulated_raters):
    masks = simulated_raters(raters=4)
    first, second = staple(masks), staple(masks[::-1])
    np.testing.assert_allclose(first.probability, second.probability, atol=1e-6)
    np.testing.assert_allclose(first.sensitivity, second.sensitivity[::-1], atol=1e-9)


@both_engines
def test_masks_in_any_memory_order_give_the_same(engine, simulated_raters):
    masks = simulated_raters(raters=3)
    apart = np.stack(masks, axis=-1)
    views = [np.asfortranarray(masks[0]), apart[..., 1], masks[2].view(bool)]
    found = staple(views, engine=engine)
    assert_same(found, staple(masks, engine=engine))
    assert found.probability.flags.c_contiguous


def test_the_masks_are_left_as_they_were(simulated_raters):
    masks = simulated_raters(raters=3)
    before = [mask.copy() for mask in masks]
    staple(masks)
    np.testing.assert_array_equal(masks, before)


def test_more_raters_than_a_pattern_holds_are_sent_to_the_other_engine(simulated_raters):
    masks = simulated_raters(raters=17, shape=(12, 14))
    with pytest.raises(InputError, match=r'at most 16 raters; got 17\. Use engine="simpleitk"'):
        staple(masks)
    assert len(staple(masks, engine="simpleitk").sensitivity) == 17


@both_engines
@pytest.mark.parametrize("limit", [0, -1])
def test_fewer_than_one_iteration_is_refused(engine, limit):
    with pytest.raises(InputError, match=f"max_iterations must be at least 1; got {limit}"):
        staple([np.eye(2, dtype=bool)], max_iterations=limit, engine=engine)


def test_an_unknown_engine_is_refused():
    with pytest.raises(InputError, match='"pattern" and "simpleitk"; got \'itk\''):
        staple([np.eye(2, dtype=bool)], engine="itk")


def test_counted_patterns_give_what_the_masks_give():
    labels = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    voxels = np.array([40, 20, 15, 800])
    names = ["".join(str(int(vote)) for vote in row) for row in labels]
    masks = from_patterns(*zip(names, voxels, strict=True))
    expected = staple(masks).probability[0, np.cumsum(voxels) - 1]
    np.testing.assert_array_equal(staple_patterns(labels, voxels), expected)
    # split into repeated patterns, with one that no voxel shows
    labels = np.vstack([labels, labels[:2], [[False, True, False]]])
    voxels = np.array([30, 15, 15, 800, 10, 5, 0])
    np.testing.assert_allclose(staple_patterns(labels, voxels), [*expected, expected[0], expected[1], 0], atol=1e-6)


def test_counted_patterns_of_one_label_alone_are_that_label():
    labels = np.array([[0, 0], [1, 0], [1, 1]], dtype=bool)
    np.testing.assert_array_equal(staple_patterns(labels, np.array([7, 0, 0])), [0, 0, 0])
    np.testing.assert_array_equal(staple_patterns(labels, np.array([0, 0, 7])), [0, 0, 1])


@pytest.mark.parametrize(
    ("labels", "voxels", "message"),
    [
        (np.zeros((2, 3), dtype=np.uint8), np.ones(2, dtype=int), "got uint8 labels"),
        (np.zeros((2, 3), dtype=bool), np.ones(3, dtype=int), r"counts of shape \(3,\)"),
        (np.zeros(2, dtype=bool), np.ones(2, dtype=int), r"labels of shape \(2,\)"),
        (np.zeros((2, 0), dtype=bool), np.ones(2, dtype=int), r"labels of shape \(2, 0\)"),
        (np.zeros((2, 3), dtype=bool), np.array([1, -1]), "must not be negative"),
        (np.zeros((2, 3), dtype=bool), np.array([0, 0]), "must not all be 0"),
    ],
)
def test_bad_counts_of_patterns_are_refused(labels, voxels, message):
    with pytest.raises(InputError, match=message):
        staple_patterns(labels, voxels)


def test_counted_patterns_need_an_iteration():
    with pytest.raises(InputError, match="max_iterations must be at least 1; got 0"):
        staple_patterns(np.eye(2, dtype=bool), np.ones(2, dtype=int), max_iterations=0)


def test_the_benchmark_counts_the_same_voxels(golden_dir):
    official = json.loads((golden_dir / "official.json").read_text(encoding="utf-8"))
    files = sorted(golden_dir.glob("*.npz"))
    assert len(files) >= 10
    for file in files:
        with np.load(file, allow_pickle=False) as arrays:
            masks = list(arrays["raters"])
        found = staple(masks)
        assert found.mask.sum() == official[file.stem]["staple_voxels"], file.stem
        assert np.isfinite(found.probability).all()
        assert_same(found, staple(masks, engine="simpleitk"))


@pytest.mark.parametrize("case", ["case_00004", "case_00013", "case_00072"])
def test_the_engines_give_the_same_for_real_tumours(case, data_dir, read_raters):
    masks = read_raters(data_dir / "kits23_raters" / case, label=2)
    found = staple(masks)
    assert found.mask.any()
    assert_same(found, staple(masks, engine="simpleitk"))


def test_the_engines_give_the_same_for_real_nodules(data_dir, read_raters):
    folders = sorted(path for path in (data_dir / "lidc2d").iterdir() if path.is_dir())[::40]
    raters = set()
    for folder in folders:
        masks = read_raters(folder)
        raters.add(len(masks))
        assert_same(staple(masks), staple(masks, engine="simpleitk"))
    assert raters == {2, 3, 4}
