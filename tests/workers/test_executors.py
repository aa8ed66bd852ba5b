"""Executors do a task to every item, once, and give the outcomes in order, also where workers die."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
import worker_tasks as tasks

from twintrack.compute.executors import DaskCluster, Outcome, Processes, Serial
from twintrack.compute.executors.apart import attempt_apart
from twintrack.compute.executors.cluster import _Carried
from twintrack.errors import InputError, WorkerError

from .conftest import cluster

# Where all workers of the cluster have just died, those that take their place are waited for.
pytestmark = pytest.mark.filterwarnings("ignore:the Dask scheduler has no worker")
NUMBERS = list(range(9))


def values(outcomes):
    found = list(outcomes)
    assert [one.error for one in found] == [None] * len(found)
    return [one.value for one in found]


def test_every_item_is_done_and_outcomes_are_in_order(executor):
    assert values(executor.map(tasks.double, NUMBERS)) == [2 * number for number in NUMBERS]


def test_nothing_to_do_is_done(executor):
    assert list(executor.map(tasks.double, [])) == []


def test_values_are_joined_in_order(executor):
    for n in (0, 1, 5):
        total = executor.total(tasks.concatenate)
        for outcome in executor.map(tasks.as_list, range(n), gather=False):
            total.add(outcome.value)
        assert total.result() == (list(range(n)) or None)


def test_an_error_is_an_outcome_and_the_others_go_on(executor):
    found = list(executor.map(tasks.refuse_three, NUMBERS))
    assert [one.value for one in found] == [0, 1, 2, None, *range(4, 9)]
    assert [(type(one.error), str(one.error)) for one in found if one.error] == [(InputError, "three is refused")]


def test_an_error_in_a_worker_brings_its_traceback(workers):
    (found,) = workers.map(tasks.divide_by_zero, [1])
    assert isinstance(found.error, ZeroDivisionError)
    assert "in divide_by_zero" in found.trace


def test_an_error_that_cannot_be_sent_is_told(workers):
    (found,) = workers.map(tasks.fail_peculiarly, [1])
    assert (type(found.error), str(found.error)) == (RuntimeError, "PeculiarError: one and other")


def test_an_error_that_a_worker_keeps_keeps_nothing_else():
    error = attempt_apart(tasks.fail_for_a_reason, 1).error
    assert str(error) == "not by zero"
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


def test_no_memory_in_a_worker_is_told(workers):
    (found,) = workers.map(tasks.run_out_of_memory, [1])
    assert isinstance(found.error, WorkerError)
    assert "not enough memory" in str(found.error)


def test_warnings_of_a_worker_come_back_each_once(workers):
    said = [[str(one.message) for one in found.said] for found in workers.map(tasks.warn_twice, [1, 2])]
    assert said == [["number 1 is odd in its way"], ["number 2 is odd in its way"]]


def test_what_cannot_be_sent_to_a_worker_is_refused_before_any_work(workers):
    with pytest.raises(InputError, match=r"^what is to be done cannot be sent to a worker: .*top of a module"):
        list(workers.map(lambda number: number, NUMBERS))


def test_what_cannot_be_sent_to_a_worker_process_is_named():
    with pytest.raises(InputError, match=r"^item 2 cannot be sent to a worker"):
        list(Processes(1).map(tasks.double, [1, lambda: None]))


def test_what_cannot_be_sent_back_is_told():
    (found,) = Processes(1).map(tasks.return_what_cannot_be_sent, [1])
    assert "cannot be sent back" in str(found.error)


def test_several_processes_work_and_none_is_this_one():
    found = values(Processes(2).map(tasks.process_id, range(20)))
    assert len(set(found)) == 2
    assert os.getpid() not in found


def test_a_worker_keeps_what_a_task_loads(workers, tmp_path):
    task = tasks.KeepsWhatItLoads(tmp_path)
    assert task.loaded == 2
    (mine,) = tmp_path.iterdir()
    mine.unlink()
    del task.__dict__["loaded"]
    assert values(workers.map(task, range(20))) == [2 * number for number in range(20)]
    processes = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert len(set(processes)) == len(processes) <= 2


def test_a_task_travels_without_what_it_has_loaded(tmp_path):
    carried = _Carried(pickle.dumps(tasks.KeepsWhatItLoads(tmp_path)))
    assert carried.task(3) == 6
    other = pickle.loads(pickle.dumps(carried))
    assert "loaded" in vars(carried.task)
    assert "loaded" not in vars(other.task)


def test_a_file_that_two_workers_write_at_once_is_whole(workers, tmp_path):
    assert values(workers.map(tasks.WriteAgain(tmp_path / "same.nii.gz"), range(2))) == [0, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["same.nii.gz"]


def test_a_worker_process_has_one_thread_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert values(Processes(1).map(tasks.threads, [0])) == [("1", "2")]
    assert "NUMBA_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("n", [0, -1])
def test_less_than_one_worker_is_refused(n):
    with pytest.raises(InputError, match=f"from 1, not {n}"):
        Processes(n)


def test_a_slow_item_does_not_let_results_pile_up(tmp_path):
    visits = tasks.Visits(tmp_path)
    outcomes = Processes(2).map(visits, range(40))
    next(outcomes)
    done = len(list(tmp_path.iterdir()))
    outcomes.close()
    assert done <= 10


# Dying workers


def test_a_worker_killed_in_the_middle_loses_nothing(workers, tmp_path):
    deadly = tasks.Deadly(tasks.Visits(tmp_path), items=(3,))
    total = workers.total(tasks.concatenate)
    for outcome in workers.map(deadly, NUMBERS, gather=False):
        assert outcome.error is None
        total.add(outcome.value)
    assert total.result() == NUMBERS
    assert len(list(tmp_path.glob("3-*"))) == 2


def test_several_deaths_lose_nothing(workers, tmp_path):
    deadly = tasks.Deadly(tasks.Visits(tmp_path), items=(0, 1, 8))
    assert values(workers.map(deadly, NUMBERS)) == [[number] for number in NUMBERS]


def test_what_always_kills_its_worker_is_told_and_the_others_go_on(workers, tmp_path):
    deadly = tasks.Deadly(tasks.Visits(tmp_path), items=(3,), times=99)
    found = list(workers.map(deadly, NUMBERS))
    assert [one.value for one in found if one.error is None] == [[number] for number in NUMBERS if number != 3]
    assert isinstance(found[3].error, WorkerError)
    assert "died" in str(found[3].error)
    assert "out of memory?" in str(found[3].error)


def test_a_worker_process_is_said_to_be_killed_and_the_item_is_tried_twice(tmp_path):
    deadly = tasks.Deadly(tasks.Visits(tmp_path), items=(1,), times=99)
    found = list(Processes(2).map(deadly, range(3)))
    assert "killed by signal 9, SIGKILL; out of memory?" in str(found[1].error)
    assert len(list(tmp_path.glob("1-*"))) == 2


def test_a_result_whose_holder_dies_is_made_again(dask, tmp_path):
    """A value that stays in the cluster is lost with its worker; what is made again counts once."""
    total = dask.total(tasks.concatenate)
    outcomes = dask.map(tasks.as_list, NUMBERS, gather=False)
    for outcome in itertools.islice(outcomes, 5):
        total.add(outcome.value)
    for process in dask.client.run(os.getpid).values():
        os.kill(process, signal.SIGKILL)
    for outcome in outcomes:
        total.add(outcome.value)
    assert total.result() == NUMBERS


# The end


def children_of_this_process():
    return {child.pid for child in multiprocessing.active_children()}


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_no_worker_process_outlives_the_work():
    before = children_of_this_process()
    values(Processes(2).map(tasks.double, NUMBERS))
    assert children_of_this_process() == before


def test_who_stops_asking_ends_the_workers(tmp_path):
    outcomes = Processes(2).map(tasks.process_id, range(100))
    process = next(outcomes).value
    outcomes.close()
    assert not alive(process)


INTERRUPTED = """
import signal
import sys
sys.path.insert(0, sys.argv[1])
import worker_tasks
from pathlib import Path
from twintrack.compute.executors import Processes
if __name__ == "__main__":
    # A process started in the background ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    list(Processes(2).map(worker_tasks.Slow(Path(sys.argv[2]), float(sys.argv[3])), range(4)))
"""


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGINT, 60), (signal.SIGKILL, 3)])
def test_workers_end_with_who_started_them(tmp_path, number, seconds):
    """Also where that one is killed and can do nothing: a closed pipe ends the worker when its item is done."""
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    folder = tmp_path / "visits"
    folder.mkdir()
    command = [sys.executable, str(script), os.path.dirname(tasks.__file__), str(folder), str(seconds)]  # noqa: PTH120
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 60
        while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        processes = [int(path.name.partition("-")[2]) for path in folder.iterdir()]
        assert len(processes) == 2
        running.send_signal(number)
        _, err = running.communicate(timeout=30)
    assert running.returncode != 0
    if number == signal.SIGINT:
        assert b"KeyboardInterrupt" in err
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, processes))


# Dask


def test_an_unreachable_scheduler_is_told_within_seconds():
    pytest.importorskip("distributed")
    start = time.monotonic()
    with (
        pytest.raises(WorkerError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 in 1 s"),
        DaskCluster.connect("tcp://127.0.0.1:9", timeout=1),
    ):
        pass
    assert time.monotonic() - start < 20


def test_what_is_no_address_is_told():
    pytest.importorskip("distributed")
    with (
        pytest.raises(WorkerError, match="no Dask scheduler answers at nonsense://"),
        DaskCluster.connect("nonsense://x", timeout=1),
    ):
        pass


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch):
    from twintrack.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'twintrack\[dask\]'"), DaskCluster.connect("tcp://x:1"):
        pass


def test_a_worker_beyond_its_memory_limit_is_ended_and_the_item_told(tmp_path):
    """With a scheduler of its own, whose worker is given little."""
    pytest.importorskip("distributed")
    with (
        cluster(tmp_path, "--nworkers", "1", "--memory-limit", "700MB", failures=0) as address,
        DaskCluster.connect(address, timeout=60) as small,
    ):
        small.client.wait_for_workers(1, timeout=60)
        found = list(small.map(tasks.eat_memory_at_three, range(5)))
    assert [one.value for one in found] == [0, 1, 2, None, 4]
    assert isinstance(found[3].error, WorkerError)
    assert "out of memory?" in str(found[3].error)


def test_serial_outcomes_are_made_when_they_are_asked_for():
    done = []
    outcomes = Serial().map(done.append, NUMBERS)
    assert isinstance(next(outcomes), Outcome)
    assert done == [0]
