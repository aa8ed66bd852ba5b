"""Keeps SimpleITK from printing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import SimpleITK

_ONE_AT_A_TIME = threading.RLock()
"""Held while the switch is off: a thread that put it back would do so for the others."""

_PROCESS_OBJECT: Any = SimpleITK.ProcessObject  # its functions carry no types


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Switch off SimpleITK's warnings, which it prints from C++ past `warnings` and `logging`.

    The switch is SimpleITK's own and holds for the whole process, so it is put back afterwards.
    """
    with _ONE_AT_A_TIME:
        shown = _PROCESS_OBJECT.GetGlobalWarningDisplay()
        _PROCESS_OBJECT.SetGlobalWarningDisplay(False)
        try:
            yield
        finally:
            _PROCESS_OBJECT.SetGlobalWarningDisplay(shown)
