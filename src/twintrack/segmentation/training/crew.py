"""Runs jobs in child processes, several at once, passes on what they say, and stops them all on an interrupt."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from twintrack.errors import ModelError
from twintrack.images.atomic import make_folder
from twintrack.segmentation.training.job import Event, PrepareJob, TrainJob, write_job

OnEvent = Callable[[Event], None]
"""Called with what the children say; from several threads, one call at a time."""

_LINES_SHOWN = 12
_LOOK_UP = 0.5  # seconds
_PATIENCE = 10.0  # seconds a child has to end after it was asked to


class Crew:
    """Child processes at work.

    Args:
        folder: Where each job's file and log are kept.
        at_once: How many jobs run at the same time.
        on_event: Told what they say.
    """

    def __init__(self, folder: Path, *, at_once: int = 1, on_event: OnEvent | None = None) -> None:
        self._folder = folder
        self._at_once = at_once
        self._on_event = on_event or (lambda _: None)
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(self, jobs: Sequence[PrepareJob | TrainJob]) -> None:
        """Do jobs; returns when all are done.

        Args:
            jobs: The jobs, each with a name of its own.

        Raises:
            ModelError: If one fails; those already running come to their end first.
            OutputError: If the folder cannot be written to.
        """
        make_folder(self._folder)
        with ThreadPoolExecutor(self._at_once) as pool:
            futures = [pool.submit(self._one, job) for job in jobs]
            try:
                # Pitfall: without a limit a wait does not see every interrupt (Windows, signals to other threads).
                while wait(futures, timeout=_LOOK_UP).not_done:
                    pass
            except BaseException:
                # KeyboardInterrupt reaches this thread only: no child may go on alone.
                for future in futures:
                    future.cancel()
                self._stop()
                raise
        for future in futures:
            future.result()

    def _one(self, job: PrepareJob | TrainJob) -> None:
        if self._stopped:
            return
        stem = f"{job.kind}-{job.name}"
        file, log = self._folder / f"{stem}.json", self._folder / f"{stem}.log"
        write_job(file, job)
        command = [sys.executable, "-m", "twintrack.segmentation.training.worker", str(file)]
        with log.open("w", encoding="utf-8") as errors:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603  (our own)
            with self._lock:
                self._children.add(child)
            try:
                self._listen(child)
            finally:
                child.wait()
                with self._lock:
                    self._children.discard(child)
        if child.returncode != 0 and not self._stopped:
            raise ModelError(_failure(job, child.returncode, log))

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        with child.stdout as lines:
            for line in lines:
                event = Event.of(line)
                if event is not None:
                    with self._lock:
                        self._on_event(event)

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            children = list(self._children)
        for child in children:
            child.terminate()
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_PATIENCE)
            child.kill()


def _failure(job: PrepareJob | TrainJob, code: int, log: Path) -> str:
    """Say that a child failed, with the last lines it wrote."""
    what = "its data could not be prepared" if isinstance(job, PrepareJob) else "its training failed"
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    killed = " It was ended from outside; is there enough memory?" if code < 0 else ""
    if code == 2 and lines:
        return f"network {job.name}: {what}: {lines[-1]}"
    shown = "\n".join(f"  {line}" for line in lines[-_LINES_SHOWN:])
    return f"network {job.name}: {what} (exit code {code}).{killed} The end of {log}:\n{shown}"
