"""Finding raters' masks on disk: a folder per case, or a folder per rater."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twintrack.cohort.sources import ImageSource, MaskSource
from twintrack.errors import CohortError, InputError
from twintrack.images import folders as folder_lists
from twintrack.images.folders import natural, subfolders

__all__ = [
    "ANNOTATION",
    "RaterFiles",
    "find_raters",
    "images_in",
    "natural",
    "require_each_once",
    "require_folder",
    "subfolders",
]

ANNOTATION = re.compile(r"annotation_(?P<rater>.+)")


@dataclass
class RaterFiles:
    """What was found of one case on the raters' side.

    Attributes:
        folder: The case's own folder, where it has one.
        masks: The masks by rater.
        image: The reference image.
        vessels: The vessels' label map.
        roi: The ROI.
    """

    folder: Path | None = None
    masks: dict[str, MaskSource] = field(default_factory=dict)
    image: ImageSource | None = None
    vessels: ImageSource | None = None
    roi: ImageSource | None = None


def find_raters(folders: Sequence[Path], *, labels: tuple[int, ...] | None = None) -> dict[str, RaterFiles]:
    """Find raters' masks.

    Known layouts, told apart by looking:

    * a folder per case with ``annotation_1.nii.gz`` … ``annotation_K.nii.gz`` (CURVAS), where
      ``image``, ``vessels`` and ``roi`` may lie beside them;
    * a folder per rater with ``<case>.nii.gz`` in each, given one by one or by their common parent.

    A file that is not there is a missing rater. Where one folder holds an ``annotation_…``, all are folders of cases;
    one without is a case that nobody drew.

    Args:
        folders: One folder of either layout, or several folders of one rater each.
        labels: Values that count as the structure, merged; None where masks hold 0 and 1 only.

    Returns:
        What was found, by case.

    Raises:
        CohortError: If a folder is missing, given twice or holds no image of either layout, or two folders of cases
            or of raters have the same name.
    """
    found: dict[str, RaterFiles] = {}
    chosen = {folder: images_in(folder) for folder in _rater_or_case_folders(folders)}
    by_case = any(ANNOTATION.fullmatch(stem) for files in chosen.values() for stem in files)
    add = _add_case_folder if by_case else _add_rater_folder
    for folder, files in chosen.items():
        add(found, folder, files, labels)
    return found


def _add_rater_folder(
    found: dict[str, RaterFiles], folder: Path, files: dict[str, Path], labels: tuple[int, ...] | None
) -> None:
    for case_id, path in files.items():
        masks = found.setdefault(case_id, RaterFiles()).masks
        if folder.name in masks:
            raise CohortError(
                f"{masks[folder.name].path} and {path} are both of case {case_id} and rater {folder.name}; folders of "
                "different raters must have different names"
            )
        masks[folder.name] = MaskSource(path, labels)


def _add_case_folder(
    found: dict[str, RaterFiles], folder: Path, files: dict[str, Path], labels: tuple[int, ...] | None
) -> None:
    case_id = folder.name
    if case_id in found:
        raise CohortError(
            f"case {case_id} is found in two folders, {found[case_id].folder} and {folder}; case ids must be unique"
        )
    entry = RaterFiles(folder)
    for stem, path in files.items():
        if match := ANNOTATION.fullmatch(stem):
            entry.masks[match["rater"]] = MaskSource(path, labels)
        elif stem in ("image", "vessels", "roi"):
            setattr(entry, stem, ImageSource(path))
    found[case_id] = entry


def _rater_or_case_folders(folders: Sequence[Path]) -> list[Path]:
    chosen = []
    for folder in folders:
        require_folder(folder)
        inner = [sub for sub in subfolders(folder) if images_in(sub)]
        if images_in(folder):
            chosen.append(folder)
        elif inner:
            chosen += inner
        else:
            raise CohortError(
                f"{folder}: no masks found. Expected a folder per case with annotation_1, annotation_2, …, "
                "or a folder per rater with one image per case."
            )
    require_each_once(chosen)
    return chosen


def require_folder(folder: Path) -> None:
    """Raise a `CohortError` unless the folder exists."""
    if not folder.is_dir():
        raise CohortError(f"{folder}: there is no such folder")


def require_each_once(folders: Sequence[Path]) -> None:
    """Raise a `CohortError` if a folder is among them twice: what it holds would count twice."""
    seen = set()
    for folder in folders:
        real = folder.resolve()
        if real in seen:
            raise CohortError(f"{folder}: this folder is given twice; give each once")
        seen.add(real)


def images_in(folder: Path) -> dict[str, Path]:
    """Give the images directly inside a folder by their name without ending, in natural order.

    Raises:
        CohortError: If two files differ in their ending only: which one is meant cannot be told.
    """
    try:
        return folder_lists.images_in(folder)
    except InputError as error:
        raise CohortError(str(error)) from error
