"""The workers of a Dask cluster (extra `dask`): on this machine, on others, or started by a batch system."""

from __future__ import annotations

import os
import pickle
import threading
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from twintrack.compute.executors.apart import attempt_apart
from twintrack.compute.executors.base import Executor, Item, Merge, Outcome, Task, Total
from twintrack.errors import InputError, MissingExtraError, TwinTrackWarning, WorkerError

if TYPE_CHECKING:
    from distributed import Client, Future

TIMEOUT = 10.0
"""Seconds to wait for a scheduler to answer."""

_LOOK_UP = 5.0  # seconds
_ONE_AT_A_TIME = threading.Lock()
"""Held in a worker while an item is worked on: memory is meant for one, and Python keeps warnings for all threads."""


@dataclass(frozen=True)
class DaskCluster(Executor):
    """A Dask cluster, given by its client, which stays open.

    A worker that dies is the cluster's to replace; what it worked on is done again by others, as often as the scheduler
    allows (`distributed.scheduler.allowed-failures`). An item that is given up is tried once more, since Dask blames
    those that merely waited at a worker that died, too; then its outcome is a `WorkerError`.

    Attributes:
        client: A `distributed.Client`.
    """

    client: Client

    @classmethod
    @contextmanager
    def connect(cls, address: str, *, timeout: float = TIMEOUT) -> Iterator[Self]:
        """Connect to a scheduler for the time of a block.

        Args:
            address: Where it listens, as in tcp://host:8786.
            timeout: Seconds to wait for it.

        Yields:
            The executor.

        Raises:
            MissingExtraError: If distributed is not installed.
            WorkerError: If no scheduler answers there.
        """
        try:
            from distributed import Client  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise MissingExtraError(
                "working on a Dask cluster needs distributed, which is not installed: pip install 'twintrack[dask]'"
            ) from error
        try:
            client = Client(address, timeout=timeout, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise WorkerError(
                f"no Dask scheduler answers at {address} in {timeout:g} s: {error}. Is it running (dask scheduler), "
                "and is this the address that it prints, as in tcp://host:8786?"
            ) from error
        with client:
            yield cls(client)

    def map(
        self, task: Task[Item, Any], items: Sequence[Item], *, gather: bool = True
    ) -> Generator[Outcome, None, None]:
        """Do a task to every item; see `Executor.map`."""
        _warn_without_workers(self.client)
        work = _Work(self.client, self._send(task), gather=gather)
        try:
            work.hand_out(items)
            for number, item in enumerate(items):
                yield work.outcome(number, item)
        finally:
            work.cancel()

    def _send(self, task: object) -> Future[_Carried]:
        """Send a task once. Not scattered: that would be lost with the worker that holds it, and this is made again."""
        try:
            return self.client.submit(_Carried, pickle.dumps(task), pure=False)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                f"what is to be done cannot be sent to a worker: {error}. Functions and classes must stand at the top "
                "of a module that the workers can import"
            ) from error

    def total(self, merge: Merge[Any]) -> Total:
        """Join values where they are, in a tree: of n values no worker waits for more than log n joins."""
        return _Tree(self.client, merge)


class _Work:
    """What the cluster does for one walk over the items."""

    def __init__(self, client: Client, task: Future[_Carried], *, gather: bool) -> None:
        self._client = client
        self._task = task
        self._gather = gather
        self._folder = str(Path.cwd())
        self._bodies: list[Future[Outcome] | None] = []
        self._heads: list[Future[Outcome] | None] = []

    def hand_out(self, items: Sequence[Any]) -> None:
        """Send all items at once: from how many wait a cluster decides how many workers to start."""
        n = len(items)
        self._bodies[:] = self._client.map(_do, [self._task] * n, [self._folder] * n, list(items), pure=False)
        self._heads[:] = self._bodies if self._gather else self._client.map(_head, self._bodies, pure=False)

    def outcome(self, number: int, item: Any) -> Outcome:
        """Wait for the outcome of an item, and let go of it."""
        from distributed.scheduler import KilledWorker  # noqa: PLC0415  (an extra)

        try:
            found = self._take(number)
        except KilledWorker:
            self._again(number, item)
            try:
                found = self._take(number)
            except KilledWorker as error:
                times = 2 * (error.allowed_failures + 1)
                reason = f"{times} times the worker died that worked on it or was about to; out of memory?"
                found = Outcome(error=WorkerError(reason))
        self._bodies[number] = self._heads[number] = None
        return found

    def _again(self, number: int, item: Any) -> None:
        body = self._client.submit(_do, self._task, self._folder, item, pure=False)
        self._bodies[number] = body
        self._heads[number] = body if self._gather else self._client.submit(_head, body, pure=False)

    def _take(self, number: int) -> Outcome:
        head, body = self._heads[number], self._bodies[number]
        assert head is not None
        outcome = _result(self._client, head)
        if self._gather or outcome.error is not None:
            return outcome
        return Outcome(body, said=outcome.said)

    def cancel(self) -> None:
        """Take back what no worker has begun; what one has begun it ends."""
        left = [future for future in (*self._heads, *self._bodies) if future is not None]
        if left:
            self._client.cancel(left)


class _Tree(Total):
    """Joins futures of outcomes: two of one size become one of twice that, as digits are carried in counting."""

    def __init__(self, client: Client, merge: Merge[Any]) -> None:
        self._client = client
        self._merge = merge
        self._parts: list[tuple[int, Future[Outcome]]] = []

    def add(self, value: Any) -> None:
        """Join a future to those before it."""
        size = 1
        while self._parts and self._parts[-1][0] == size:
            value, size = self._join(self._parts.pop()[1], value), 2 * size
        self._parts.append((size, value))

    def result(self) -> Any:
        """Wait for all joined; None where none was added."""
        if not self._parts:
            return None
        _, whole = self._parts.pop()
        while self._parts:
            whole = self._join(self._parts.pop()[1], whole)
        return _result(self._client, whole).value

    def _join(self, before: Future[Outcome], after: Future[Outcome]) -> Future[Outcome]:
        return self._client.submit(_joined, self._merge, before, after, pure=False)


def _result(client: Client, future: Future[Outcome]) -> Outcome:
    """Wait for a future, for workers too if there are none.

    Raises:
        WorkerError: If the cluster fails, other than by giving up a task whose workers died.
    """
    from distributed import TimeoutError as NotYetError  # noqa: PLC0415  (an extra)
    from distributed.scheduler import KilledWorker  # noqa: PLC0415

    while True:
        try:
            outcome = future.result(timeout=_LOOK_UP)
        except NotYetError:  # noqa: PERF203  (a loop of seconds)
            _warn_without_workers(client)
        except KilledWorker:
            raise
        except Exception as error:
            raise WorkerError(
                f"the Dask cluster could not do its part: {type(error).__name__}: {error}. The scheduler and all "
                "workers need the same TwinTrack and packages as this process, and the scheduler must live to the end"
            ) from error
        else:
            assert isinstance(outcome, Outcome)
            return outcome


def _warn_without_workers(client: Client) -> None:
    """Say what is waited for where a cluster has no worker: one that a batch system starts may come hours later."""
    if not client.nthreads():
        warnings.warn("the Dask scheduler has no worker; waiting for one", TwinTrackWarning, stacklevel=2)


class _Carried:
    """A task on its way: unpacked once in each worker, which keeps it, with all that it has loaded, to the last item.

    It lies in the cluster as the result that every item waits for, so it is Dask that copies it to the workers (packed,
    whatever it has loaded) and lets it go when the client does.

    Args:
        packed: The task, pickled.
    """

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __reduce__(self) -> tuple[type[_Carried], tuple[bytes]]:
        return type(self), (self._packed,)

    @cached_property
    def task(self) -> Task[Any, Any]:
        """The task itself."""
        found: Task[Any, Any] = pickle.loads(self._packed)  # noqa: S301  (from the client)
        return found


def _do(carried: _Carried, folder: str, item: Any) -> Outcome:
    with _ONE_AT_A_TIME, _working_in(folder):
        return attempt_apart(carried.task, item)


@contextmanager
def _working_in(folder: str) -> Iterator[None]:
    """Let relative paths mean what they mean to the client; where there is no such folder they mean nothing."""
    before = Path.cwd()
    with suppress(OSError):
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _head(outcome: Outcome) -> Outcome:
    """Give an outcome without its value, which stays where it is."""
    return Outcome(None, outcome.error, outcome.said, outcome.trace)


def _joined(merge: Merge[Any], before: Outcome, after: Outcome) -> Outcome:
    return Outcome(merge(before.value, after.value))
