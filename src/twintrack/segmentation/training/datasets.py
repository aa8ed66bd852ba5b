"""From cases to nnU-Net's datasets: one of whole CTs for the coarse network, one or more of crops for the members."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twintrack.errors import InputError
from twintrack.images import Volume
from twintrack.segmentation.training.cases import LoadedCase, TrainingCase, load_case
from twintrack.segmentation.training.dataset import DatasetWriter
from twintrack.segmentation.training.teach import Teach

REGION = "region"
"""What the coarse network's label is called."""

CaseProgress = Callable[[Sequence[TrainingCase]], Iterable[TrainingCase]]
"""Wraps the cases of a loop and gives them on one by one."""


@dataclass(frozen=True)
class Written:
    """A dataset on disk.

    Attributes:
        folder: With ``raw/`` and ``preprocessed/`` in it.
        name: nnU-Net's name of it.
        sha256: Hash of all its files.
        cases: What is in it.
    """

    folder: Path
    name: str
    sha256: str
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Lesson:
    """What the members of an ensemble learn from.

    Attributes:
        teach: Which raters.
        everyone: Names of all raters of the study, in order.
        margin: Margin of the crops, mm; None: whole images.
        structure: Name of the label.
        seed: Chooses random teachers.
    """

    teach: Teach
    everyone: tuple[str, ...]
    margin: float | None
    structure: str
    seed: int

    def label(self, member: int, case: LoadedCase) -> np.ndarray | None:
        """Give what a member learns of a case, on the whole image; None where it is left out."""
        return self.teach.label(member, case.raters, everyone=self.everyone, case_id=case.id, seed=self.seed)

    def dataset_of(self, member: int, n_members: int) -> int:
        """Give the number of the dataset a member learns from, from 0: members who learn alike share one."""
        if not self.teach.differs:
            return 0
        return member % len(self.everyone) if self.teach.rule == "each" else member % n_members


def write_datasets(
    cases: Sequence[TrainingCase],
    lesson: Lesson,
    folder: Path,
    *,
    n_members: int,
    coarse: bool,
    held_out: Collection[str],
    progress: CaseProgress | None = None,
) -> tuple[Written | None, list[Written]]:
    """Write all datasets in one walk through the cases, one case in memory at a time.

    Args:
        cases: The cases.
        lesson: What members learn from.
        folder: Where to.
        n_members: How many members there are.
        coarse: Whether there is a coarse network.
        held_out: Cases that are not learnt from.
        progress: Wraps the cases.

    Returns:
        The coarse network's dataset, and the members': `Lesson.dataset_of` says whose is whose.

    Raises:
        InputError: If a case cannot be used, or a member would have nothing to learn from.
        OutputError: If something cannot be written.
    """
    whole = DatasetWriter(folder / "coarse", label=REGION, number=1) if coarse else None
    numbers = sorted({lesson.dataset_of(member, n_members) for member in range(n_members)})
    crops = [DatasetWriter(folder / f"fine_{k + 1}", label=lesson.structure, number=2 + k) for k in numbers]
    for case in progress(cases) if progress else cases:
        loaded = load_case(case)
        if whole is not None:
            whole.add(loaded.id, loaded.ct, loaded.region)
        for number, writer in zip(numbers, crops, strict=True):
            _add_crop(writer, loaded, lesson, number)
    for number, writer in zip(numbers, crops, strict=True):
        _require_lesson(writer, held_out, member=number, lesson=lesson)
    written = [
        Written(writer.folder, writer.name, writer.finish(held_out), writer.cases)
        for writer in [*([whole] if whole else []), *crops]
    ]
    return (written[0], written[1:]) if coarse else (None, written)


def _add_crop(writer: DatasetWriter, case: LoadedCase, lesson: Lesson, member: int) -> None:
    label, box = lesson.label(member, case), case.box(lesson.margin)
    if label is None or box is None:
        return
    ct = Volume(np.ascontiguousarray(case.ct.array[box]), case.ct.grid.crop(box), case.ct.name)
    writer.add(case.id, ct, np.ascontiguousarray(label[box]))


def _require_lesson(writer: DatasetWriter, held_out: Collection[str], *, member: int, lesson: Lesson) -> None:
    if set(writer.cases) - set(held_out):
        return
    rater = lesson.teach.rater or lesson.everyone[member % len(lesson.everyone)]
    raise InputError(
        f"no case is left to learn from: rater {rater} drew none of those that are not held out; choose other teachers "
        "(--teach)"
    )
