"""What the tests share: the folder of real data, where it is present, and a locale that no test leaves changed."""

from __future__ import annotations

import locale
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real multi-rater data; `TWINTRACK_DATA` names the folder."""
    folder = Path(os.environ.get("TWINTRACK_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set TWINTRACK_DATA to the folder that holds lidc2d")
    return folder


@pytest.fixture(scope="session")
def golden_dir(data_dir: Path) -> Path:
    """The reference figures of the benchmark's own evaluator, beside the real data."""
    folder = data_dir.parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"no reference figures at {folder}")
    return folder


@pytest.fixture(autouse=True)
def _same_locale() -> Iterator[None]:
    """Pitfall: GDCM's writer leaves the process in the locale "C", in which Python reads text as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)
