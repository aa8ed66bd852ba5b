"""What the tests let workers do: a module that workers can import."""

from __future__ import annotations

import os
import signal
import time
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import twintrack as tt
from twintrack.errors import InputError, TwinTrackWarning
from twintrack.segmentation.cts import Ct


def double(number):
    return 2 * number


def process_id(_):
    time.sleep(0.05)
    return os.getpid()


def threads(_):
    return os.environ["NUMBA_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]


def refuse_three(number):
    if number == 3:
        raise InputError("three is refused")
    return number


def divide_by_zero(number):
    return number / 0


def fail_for_a_reason(number):
    try:
        divide_by_zero(number)
    except ZeroDivisionError as error:
        raise InputError("not by zero") from error


def run_out_of_memory(_):
    return len(np.ones(1 << 60, np.uint8))


def eat_memory_at_three(number):
    """Take more and more memory, slowly, up to 4 GB."""
    eaten = [np.ones(32 << 20, np.uint8)]
    while number == 3 and len(eaten) < 128:
        eaten.append(np.ones(32 << 20, np.uint8))
        time.sleep(0.05)
    return number


class PeculiarError(Exception):
    """Can be pickled but not unpickled."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def fail_peculiarly(_):
    raise PeculiarError("one", "other")


def return_what_cannot_be_sent(_):
    return lambda: None


def warn_twice(number):
    for _ in range(2):
        warnings.warn(f"number {number} is odd in its way", TwinTrackWarning, stacklevel=1)
    return number


def concatenate(one, other):
    return one + other


def as_list(number):
    return [number]


@dataclass(frozen=True)
class Visits:
    """Notes in a folder that an item was worked on, and says how often it has been."""

    folder: Path

    def __call__(self, number):
        (self.folder / f"{number}-{os.getpid()}-{time.monotonic_ns()}").touch()
        return len(list(self.folder.glob(f"{number}-*")))


@dataclass(frozen=True)
class Deadly:
    """Kills its worker at some items, the first times it works on them.

    Attributes:
        visits: Notes visits.
        items: At which items.
        times: How often.
    """

    visits: Visits
    items: tuple[int, ...]
    times: int = 1

    def __call__(self, number):
        if self.visits(number) <= self.times and number in self.items:
            os.kill(os.getpid(), signal.SIGKILL)
        return [number]


@dataclass(frozen=True)
class DeadlyCase:
    """Kills its worker at one case."""

    case_id: str

    def __call__(self, case, data):
        if case.id == self.case_id:
            os.kill(os.getpid(), signal.SIGKILL)
        return case.id, float(data.probability().sum())


@dataclass(frozen=True)
class Slow:
    """Says by a file that it has begun, and takes a while."""

    folder: Path
    seconds: float = 60

    def __call__(self, number):
        (self.folder / f"begun-{os.getpid()}").touch()
        time.sleep(self.seconds)


@dataclass(frozen=True)
class DeadlySource:
    """Kills its reader the first time it is read.

    Attributes:
        source: What it gives afterwards.
        mark: A file that says that it has happened.
    """

    source: Any
    mark: Path

    @property
    def name(self):
        return self.source.name

    @property
    def files(self):
        return self.source.files

    def read(self):
        if not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.source.read()

    def read_grid(self):
        return self.source.read_grid()


class KeepsWhatItLoads:
    """Notes each time that it loads what it needs, and keeps it."""

    def __init__(self, folder):
        self.folder = folder

    @cached_property
    def loaded(self):
        (self.folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
        return 2

    def __call__(self, number):
        time.sleep(0.02)
        return self.loaded * number


class Member:
    """A network that says what the voxels say, and notes that it was loaded."""

    foreground = ("tumour",)

    def __init__(self, name, shift, folder=None):
        self.name = name
        self.shift = shift
        if folder is not None:
            (folder / f"{os.getpid()}-{name}-{time.monotonic_ns()}").touch()

    def probability(self, view):
        image = view.image.astype(np.float32)
        return np.where(image < 0, 0, 1 / (1 + np.exp(-(image - 40 - self.shift) / 30))).astype(np.float32)


class Ensemble:
    """Two such networks, loaded when they are first needed."""

    coarse = None

    def __init__(self, folder=None):
        self.folder = folder

    @cached_property
    def members(self):
        return (Member("0", 0, self.folder), Member("1", 20, self.folder))


class Finder:
    """A coarse network that finds the middle; no members."""

    members = ()
    name = "coarse"

    @property
    def coarse(self):
        return self

    def locate(self, ct):
        lattice = np.zeros((2, 7, 8), np.bool_)
        lattice[:, 2:5, 2:6] = True
        return lattice


@dataclass(frozen=True)
class DeadlyCt(Ct):
    """Kills its reader, always or the first time only.

    Attributes:
        mark: A file that says that it has happened, where it happens once.
    """

    mark: Path | None = None

    def read(self):
        if self.mark is None or not self.mark.exists():
            if self.mark is not None:
                self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read()


@dataclass(frozen=True)
class WriteAgain:
    """Writes one and the same image, many times."""

    path: Path

    def __call__(self, number):
        image = tt.Volume.from_array(np.full((8, 64, 64), 7, np.uint8), spacing=(1.0, 1.0, 1.0))
        for _ in range(20):
            tt.write_volume(self.path, image)
            assert (tt.read_volume(self.path).array == 7).all()
        return number
