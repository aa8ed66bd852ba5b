import numpy as np

from twintrack.compute.blocks import BLOCK, blocks, flat, mean_of, sum_of


def test_blocks_cover_every_element_once():
    size = 2 * BLOCK + 17
    seen = np.zeros(size, int)
    for part in blocks(size):
        seen[part] += 1
    assert (seen == 1).all()
    assert list(blocks(0)) == []


def test_mean_of_one_row_is_a_view():
    row = np.arange(10, dtype=np.float32)
    assert np.shares_memory(mean_of([row], slice(2, 5)), row)


def test_mean_is_rounded_once():
    # In float32 0.1 + 0.2 + 0.3 is rounded twice before the division.
    rows = [np.full(4, value, np.float32) for value in (0.1, 0.2, 0.3)]
    exact = np.float32(sum(np.float64(np.float32(v)) for v in (0.1, 0.2, 0.3)) / 3)
    assert (mean_of(rows, slice(0, 4)) == exact).all()


def test_sum_counts_votes():
    rows = [np.array(votes, np.uint8) for votes in ([1, 0, 1], [1, 0, 0], [1, 1, 0])]
    assert sum_of(rows, slice(0, 3)).tolist() == [3, 1, 1]
    assert rows[0].tolist() == [1, 0, 1]


def test_flat_follows_c_order_also_for_transposed_arrays():
    array = np.arange(6).reshape(2, 3).T
    assert flat(array).tolist() == [0, 3, 1, 4, 2, 5]
