"""Which software made a result: versions, for the record."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version


def versions(*packages: str) -> dict[str, str]:
    """Give the versions of Python and of the packages that are installed.

    Args:
        packages: Names as pip knows them; one that is not installed is left out.

    Returns:
        Version by name, "python" first.
    """
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # noqa: PERF203  (a handful of packages)
            continue
    return found
