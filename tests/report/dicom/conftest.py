"""What the tests of DICOM objects share: a phantom as a valid CT series with a response map, and its result."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from twintrack.calibration.agreement import agreement_levels, level_thresholds
from twintrack.synthetic import make_phantom

pytest.importorskip("highdicom", reason="the extra dicom is not installed")

from twintrack.report.dicom.result import Interval, Result, VolumeStatement
from twintrack.report.dicom.series import read_ct_series
from twintrack.report.dicom.structure import structure_of

from . import ct_series

STEP, PIXEL = 4.0, (3.0, 2.5)
SAID = VolumeStatement(
    expected_interval=Interval(30_000.0, 42_000.0, 0.9),
    rater_interval=Interval(20_000.0, 60_000.0, 0.8),
    rater_quantiles={0.05: 21_000.0, 0.25: 30_000.0, 0.5: 34_000.0, 0.75: 41_000.0, 0.95: 58_000.0},
)


@dataclass(frozen=True)
class Phantom:
    """A CT and a response map of it, (z, y, x)."""

    ct: NDArray[np.int16]
    response: NDArray[np.float32]


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """A tumour that lies in 12 of 24 slices; its response takes every value up to 1."""
    made = make_phantom(3, shape=(24, 48, 52), spacing=(STEP, PIXEL[0], PIXEL[1]))
    response = made.fuzzy.copy()
    response[response < 0.01] = 0
    return Phantom(made.ct, response)


@pytest.fixture(scope="session")
def write_series() -> Callable[..., Path]:
    """Give the maker of CT series."""
    return ct_series.write_series


@pytest.fixture(scope="session")
def upright(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom as a series."""
    folder = tmp_path_factory.mktemp("upright") / "ct"
    return ct_series.write_series(folder, phantom.ct, step=STEP, pixel=PIXEL)


@pytest.fixture(scope="session")
def oblique(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom as a series whose slices lie askew."""
    folder = tmp_path_factory.mktemp("oblique") / "ct"
    return ct_series.write_series(folder, phantom.ct, step=STEP, pixel=PIXEL, cosines=ct_series.OBLIQUE)


def result_of(folder: Path, response: NDArray[np.float32], *, n_raters: int = 5, **options: Any) -> Result:
    """Make the result of a response map of a series."""
    given = {"structure": structure_of("pancreatic tumour"), "volume": SAID, **options}
    levels = agreement_levels(response, n_raters=n_raters)
    return Result(read_ct_series(folder), response, levels, tuple(level_thresholds(n_raters).tolist()), **given)


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    """Give `result_of`."""
    return result_of


@pytest.fixture(scope="session")
def result(oblique: Path, phantom: Phantom) -> Result:
    """The phantom's result, on the oblique series."""
    return result_of(oblique, phantom.response, parameters={"bundle": "b", "calibration_method": "isotonic"})


@pytest.fixture(scope="session")
def errors_of() -> Callable[[Sequence[Path]], list[str]]:
    """Give the errors that dciodvfy finds in files."""
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dciodvfy is not installed (Debian's package dicom3tools)")

    def errors(paths: Sequence[Path]) -> list[str]:
        found = []
        for path in paths:
            done = subprocess.run([validator, str(path)], capture_output=True, check=False)
            lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
            assert lines, path  # it names at least the kind of object
            found += [f"{path.name}: {line}" for line in lines if line.startswith("Error")]
        return found

    return errors
