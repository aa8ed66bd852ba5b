"""Worker processes of this machine, each with a pipe of its own, so that of a worker that dies the item is known.

A pool of `concurrent.futures` breaks as a whole when a worker dies, and does not say at which item.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from twintrack.compute.executors.base import Executor, Item, Outcome, Task
from twintrack.compute.executors.child import serve
from twintrack.errors import InputError, WorkerError

TRIES = 2
"""How often an item is tried whose worker dies."""

_AHEAD = 4  # items per worker that may be done before an earlier one is: bounds what waits to be asked for
_LOOK_UP = 0.5  # seconds
_PATIENCE = 10.0  # seconds a worker has to end after it was asked to
_THREADS = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


@dataclass(frozen=True)
class Processes(Executor):
    """Worker processes, started for every walk over the items and ended with it; each works on one item at a time.

    An item whose worker dies is tried once more by a new worker while the others rest, since the most frequent reason
    is that memory was short for several items at once. If that worker dies too, its outcome is a `WorkerError`.

    Attributes:
        n: How many.

    Raises:
        InputError: If that is less than one.
    """

    n: int

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"the number of workers is a whole number from 1, not {self.n} (--workers)")

    def map(
        self,
        task: Task[Item, Any],
        items: Sequence[Item],
        *,
        gather: bool = True,  # noqa: ARG002
    ) -> Generator[Outcome, None, None]:
        """Do a task to every item; see `Executor.map`."""
        crew = _Crew(_pickled(task, "what is to be done"), min(self.n, len(items)))
        try:
            yield from crew.run(items)
        finally:
            crew.stop()


class _Worker:
    """One worker process, and what it works on."""

    def __init__(self, task: bytes) -> None:
        # Forking would copy threads' locks in whatever state they are.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=serve, args=(theirs, task), daemon=True)
        with _one_thread():
            self.process.start()
        theirs.close()
        self.ready = False
        self.item: int | None = None

    @property
    def idle(self) -> bool:
        """Whether it waits for an item."""
        return self.ready and self.item is None

    def give(self, number: int, item: bytes) -> None:
        """Send an item; if the worker has just died, its pipe will say so when it is listened to."""
        self.item = number
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(item)

    def how_it_died(self) -> str:
        """Say how it ended, once its pipe is closed."""
        self.pipe.close()
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            self.process.join()
            return "it closed its pipe"
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
        return f"killed by signal {-code}, {name}" + ("; out of memory?" if name == "SIGKILL" else "")


@dataclass
class _Crew:
    """The workers of one walk."""

    task: bytes
    size: int
    workers: list[_Worker] = field(default_factory=list)
    todo: deque[int] = field(default_factory=deque)
    again: deque[int] = field(default_factory=deque)
    done: dict[int, Outcome] = field(default_factory=dict)
    deaths: dict[int, int] = field(default_factory=dict)

    def run(self, items: Sequence[Any]) -> Iterator[Outcome]:
        """Give the outcomes in the order of the items."""
        self.todo.extend(range(len(items)))
        for _ in range(self.size):
            self.workers.append(_Worker(self.task))
        for number in range(len(items)):
            while number not in self.done:
                self._hand_out(items, before=number + _AHEAD * self.size)
                self._listen()
            yield self.done.pop(number)

    def _hand_out(self, items: Sequence[Any], *, before: int) -> None:
        for worker in self.workers:
            number = self._next(before) if worker.idle else None
            if number is not None:
                worker.give(number, _pickled(items[number], f"item {number + 1}"))

    def _next(self, before: int) -> int | None:
        """Choose what is done next: first what killed its worker, alone."""
        busy = [worker.item for worker in self.workers if worker.item is not None]
        if self.again:
            return None if busy else self.again.popleft()
        if any(item in self.deaths for item in busy):
            return None
        return self.todo.popleft() if self.todo and self.todo[0] < before else None

    def _listen(self) -> None:
        pipes = {worker.pipe: worker for worker in self.workers}
        # Pitfall: without a limit a wait does not see every interrupt (Windows, signals to other threads).
        for pipe in wait(list(pipes), timeout=_LOOK_UP):
            assert isinstance(pipe, Connection)
            worker = pipes[pipe]
            try:
                message = pipe.recv_bytes()
            except (EOFError, OSError):
                self._replace(worker)
                continue
            if not worker.ready:
                worker.ready = True
            elif worker.item is not None:
                self.done[worker.item], worker.item = pickle.loads(message), None  # noqa: S301  (from our own child)

    def _replace(self, worker: _Worker) -> None:
        how, number = worker.how_it_died(), worker.item
        self.workers.remove(worker)
        if not worker.ready:
            raise WorkerError(
                f"a worker could not be started ({how}). In a script of your own, what starts workers stands below "
                "`if __name__ == '__main__':`, because every worker imports the script"
            )
        if number is not None:
            self.deaths[number] = self.deaths.get(number, 0) + 1
            if self.deaths[number] < TRIES:
                self.again.append(number)
            else:
                reason = f"the worker that worked on it died ({how}), and so did the next one, which worked on it alone"
                self.done[number] = Outcome(error=WorkerError(reason))
        self.workers.append(_Worker(self.task))

    def stop(self) -> None:
        """End all workers: those that rest by closing their pipes, those at work by a signal."""
        for worker in self.workers:
            worker.pipe.close()
            if not worker.idle:
                worker.process.terminate()
        deadline = time.monotonic() + _PATIENCE
        for worker in self.workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.join()
            worker.process.close()


def _pickled(what: object, name: str) -> bytes:
    try:
        return pickle.dumps(what, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise InputError(
            f"{name} cannot be sent to a worker: {error}. Functions and classes must stand at the top of a module, and "
            "sources must be files or arrays; or work without workers"
        ) from error


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let a process that is started here use one thread, unless the user said otherwise: workers share the cores."""
    missing = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(missing, "1"))
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)
