from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from . import maker


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``scores`` and ``calibration.json``; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    maker.write_scores(folder, maker.make_cases())
    return folder


@pytest.fixture
def evaluated(made: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "evaluated"))
