"""Describes the machine and the software a benchmark ran on, without naming the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "numpy", "scipy", "scikit-learn", "numba", "nibabel", "SimpleITK", "isal",
    "netcal", "betacal", "torchmetrics", "torch",
)  # fmt: skip


def machine() -> dict[str, str]:
    """Give processor, cores, memory, system, Python and the versions of what is compared."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    described = {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} ({platform.machine()})",
        "Python": platform.python_version(),
    }
    return described | {package: version(package) for package in PACKAGES}


def processor() -> str:
    """Give the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
