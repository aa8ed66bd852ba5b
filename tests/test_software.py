"""Versions for the record."""

from __future__ import annotations

import platform

import numpy as np

from twintrack.software import versions


def test_versions_are_those_installed_and_what_is_not_installed_is_passed_over():
    assert versions("numpy", "no-such-package") == {"python": platform.python_version(), "numpy": np.__version__}
