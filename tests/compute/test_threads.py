"""Threads: how many, and that every block is worked on once, in order, whatever their number."""

import os

import pytest

from twintrack.compute import threads
from twintrack.compute.blocks import BLOCK, blocks
from twintrack.compute.threads import each, n_threads, share_blocks


@pytest.mark.parametrize(("wanted", "given"), [("1", 1), (" 3 ", 3), ("99", 8)])
def test_as_many_as_the_environment_says_up_to_eight(monkeypatch, wanted, given):
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert n_threads() == given


@pytest.mark.parametrize("wanted", ["", "0", "many", "-2"])
def test_else_one_for_each_core_of_this_process(monkeypatch, wanted):
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    monkeypatch.setattr(threads, "_cores", lambda: 5)
    assert n_threads() == 5


def test_cores_are_counted_where_affinity_is_not_known(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert n_threads() == 1


@pytest.mark.parametrize("size", [0, 5, BLOCK * 8, BLOCK * 16, BLOCK * 41 + 3])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_block_comes_once_and_in_order(monkeypatch, size, n):
    monkeypatch.setenv("OMP_NUM_THREADS", str(n))
    runs = share_blocks(list, size)
    assert [part for run in runs for part in run] == list(blocks(size))
    assert len(runs) == max(1, min(n, size // BLOCK // 8))


def test_an_error_in_a_thread_is_raised(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")

    def fail(parts):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        share_blocks(fail, BLOCK * 40)


@pytest.mark.parametrize("n", ["1", "3"])
def test_each_item_is_done_and_the_first_error_raised(monkeypatch, n):
    monkeypatch.setenv("OMP_NUM_THREADS", n)
    assert each(lambda k: k * k, range(9)) == [k * k for k in range(9)]
    assert each(lambda k: k, ()) == []
    with pytest.raises(ZeroDivisionError, match="division"):
        each(lambda k: 1 // k, [1, 0, "no number"])
