"""Reading ahead: the same items, order and errors as without it, and nothing goes on once the reader has left."""

import contextlib
import threading

import pytest

from twintrack.compute.ahead import ahead

pytestmark = pytest.mark.parametrize("n", [1, 2])


@pytest.fixture(autouse=True)
def threads(monkeypatch, n):
    monkeypatch.setenv("OMP_NUM_THREADS", str(n))


def counting(count, log, *, fail_at=None):
    try:
        for k in range(count):
            if k == fail_at:
                raise ValueError(f"broken at {k}")
            log.append(k)
            yield k
    finally:
        log.append("closed")


@pytest.mark.parametrize("count", [0, 1, 4, 50])
def test_items_come_in_order_and_the_generator_is_closed(count):
    log = []
    with ahead(counting(count, log)) as items:
        assert list(items) == list(range(count))
    assert log == [*range(count), "closed"]


def test_an_error_comes_in_its_place():
    log, seen = [], []

    with ahead(counting(9, log, fail_at=7)) as items, pytest.raises(ValueError, match="broken at 7"):
        [seen.append(item) for item in items]
    assert seen == list(range(7))
    assert log == [*range(7), "closed"]


def test_who_leaves_early_leaves_nothing_behind():
    log, before = [], threading.active_count()
    with contextlib.suppress(KeyError), ahead(counting(10**9, log)) as items:
        assert next(items) == 0
        raise KeyError
    assert log[-1] == "closed"
    assert len(log) < 20
    assert threading.active_count() == before


def test_fetching_begins_before_anything_is_asked_for_where_there_are_threads(n):
    begun = threading.Event()

    def items():
        begun.set()
        yield threading.current_thread() is threading.main_thread()

    with ahead(items()) as found:
        assert begun.wait(timeout=30 if n > 1 else 0) == (n > 1)
        assert list(found) == [n == 1]


def test_several_can_stand_in_a_row():
    def doubled(items):
        yield from (2 * k for k in items)

    with ahead(counting(30, [])) as first, ahead(doubled(first)) as second:
        assert list(second) == list(range(0, 60, 2))
