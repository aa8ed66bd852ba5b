"""What a step of a benchmark adds to the process's resident memory (Linux)."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident(field: str) -> int:
    """Give the resident memory in bytes: now ("VmRSS") or at its peak ("VmHWM").

    Not `ru_maxrss`: a process inherits that from the one that started it.
    """
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def peak_growth(call: Callable[[], object]) -> int:
    """Run something and give by how many bytes the peak exceeds the memory before.

    What was freed before is given back to the system first (glibc keeps it), or using it again would not show.
    """
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    before = resident("VmRSS")
    call()
    return resident("VmHWM") - before
