"""What a worker process does: wait for an item, do the task to it, send the outcome, until the pipe is closed.

Imports nothing heavy, so that what limits threads is set before the libraries that look at it are imported.
"""

from __future__ import annotations

import pickle
import signal
import sys
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

READY = b""
"""What a worker sends once, when it waits for its first item."""


def serve(pipe: Connection, task: bytes) -> None:
    """Do a task to the items that come through a pipe.

    Args:
        pipe: Gives pickled items and takes pickled outcomes.
        task: The task, pickled.
    """
    # Ctrl-C reaches every process of a terminal; who started this one decides, and says SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    do = pickle.loads(task)  # noqa: S301  (from the process that started this one)
    try:
        pipe.send_bytes(READY)
        while True:
            pipe.send_bytes(_outcome(do, pipe.recv_bytes()))
    except (EOFError, OSError):
        return  # whoever started this process is gone, or wants nothing more


def _leave(*_: int | FrameType | None) -> None:
    """End as an interrupt would, so that temporaries are deleted."""
    sys.exit(0)


def _outcome(task: Any, item: bytes) -> bytes:
    from twintrack.compute.executors.apart import attempt_apart  # noqa: PLC0415  (see the module's first lines)
    from twintrack.compute.executors.base import Outcome  # noqa: PLC0415

    outcome = attempt_apart(task, pickle.loads(item))  # noqa: S301  (from the process that started this one)
    try:
        return pickle.dumps(outcome, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001  (whatever cannot be pickled says so in its own way)
        reason = TypeError(f"what the task returned cannot be sent back: {error}")
        return pickle.dumps(Outcome(error=reason))
