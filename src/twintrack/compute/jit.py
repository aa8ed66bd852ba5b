"""The one place that decides who runs the innermost loops: numba, or NumPy where numba cannot run.

A kernel is written for numba and named with its twin, a function of NumPy that takes the same arguments and leaves the
same result. Numba cannot run where it or its llvmlite is missing or broken (a platform without wheels, a mended
environment), or where NUMBA_DISABLE_JIT is set.
"""

from __future__ import annotations

import importlib
import multiprocessing
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from twintrack.errors import TwinTrackWarning

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def _load_numba() -> tuple[Any, str]:
    """Give numba, or None and what is wrong with it."""
    try:
        numba: Any = importlib.import_module("numba")
    except Exception as error:  # noqa: BLE001  (a broken llvmlite raises OSError, RuntimeError, AttributeError, …)
        return None, f"it cannot be imported: {error!r}"
    if numba.config.DISABLE_JIT:
        return None, "NUMBA_DISABLE_JIT is set"
    return numba, ""


_numba, _reason = _load_numba()
if _numba is None and multiprocessing.parent_process() is None:  # a worker's parent has said it
    warnings.warn(
        f"numba cannot be used ({_reason}); NumPy does its work, with the same results but several times slower",
        TwinTrackWarning,
        stacklevel=1,
    )


def njit(*, nogil: bool = False, twin: Callable[..., Any] | None = None) -> Callable[[Kernel], Kernel]:
    """Compile a kernel with numba when it is first called, and keep what was compiled on disk.

    Args:
        nogil: Whether other threads may run meanwhile.
        twin: What takes the kernel's place where numba cannot run. None: the kernel itself in plain Python, for the
            small functions that only other kernels call.

    Returns:
        The decorator.
    """

    def compiled(kernel: Kernel) -> Kernel:
        if _numba is None:
            return kernel if twin is None else twin  # type: ignore[return-value]  # same arguments
        made: Kernel = _numba.njit(cache=True, nogil=nogil)(kernel)
        return made

    return compiled
