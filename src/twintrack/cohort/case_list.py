"""A CSV that lists cases: which ones, of which patient and split, and, if it says so, where their files are."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from twintrack.errors import CohortError
from twintrack.images.remote import place_of

SEPARATOR = ";"
"""Between several paths in one cell; nothing between two separators is a missing rater."""

Place: TypeAlias = Path | str
"""Where a file is: its path here or, as text, its address elsewhere."""


@dataclass(frozen=True)
class ListedCase:
    """One row of the CSV.

    Attributes:
        id: The case.
        patient: Whose examination it is.
        split: Which part of the study it belongs to.
        n_raters: How many raters it must have, where the column "raters" holds numbers.
        members: Files of the members, where the CSV names them.
        raters: Files of the raters, None for a missing one, where the CSV names them.
        roi: File of the ROI.
        vessels: File of the vessels' labels.
        image: File of the reference image.
    """

    id: str
    patient: str | None = None
    split: str | None = None
    n_raters: int | None = None
    members: tuple[Place, ...] = ()
    raters: tuple[Place | None, ...] = ()
    roi: Place | None = None
    vessels: Place | None = None
    image: Place | None = None


def read_case_list(path: Path, *, split: str | None = None) -> list[ListedCase]:
    """Read the CSV.

    The column ``case`` is required, and no cell of it may be empty. Known besides: ``patient``, ``split``, ``members``
    (or ``probability``), ``raters`` (paths, or how many there must be), ``roi``, ``vessels``, ``image``. Paths are
    relative to the CSV's folder, or addresses (`twintrack.images.remote`); several are separated by semicolons. Other
    columns are passed over.

    Args:
        path: The CSV, UTF-8, with a header row.
        split: Keep the rows of this split only.

    Returns:
        The rows in their order.

    Raises:
        CohortError: If the file cannot be read, lacks ``case``, lists no case or one twice, or has no row of the
            split.
    """
    rows = _read_rows(path)
    if not rows:
        raise CohortError(f"{path}: the list is empty: no case was found below its header")
    for name, n in Counter(row.id for row in rows).items():
        if n > 1:
            raise CohortError(f"{path}: case {name!r} is listed {n} times; case ids must be unique")
    if split is None:
        return rows
    known = sorted({row.split for row in rows if row.split})
    if split not in known:
        raise CohortError(f"{path}: no case has split {split!r}; its splits are {', '.join(known) or 'none'}")
    return [row for row in rows if row.split == split]


def _read_rows(path: Path) -> list[ListedCase]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names = [name.strip() for name in reader.fieldnames or []]
            if "case" not in names:
                found = ", ".join(names) or "none"
                raise CohortError(f"{path}: there is no column 'case'; its columns, separated by commas, are: {found}")
            reader.fieldnames = names
            return [_row(row, path, reader.line_num) for row in reader if any(row.values())]
    except UnicodeDecodeError as error:
        raise CohortError(f"cannot read the list of cases {path}: it is not text in UTF-8") from error
    except (OSError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CohortError(f"cannot read the list of cases {path}: {why}") from error


def _row(row: dict[str, str | None], path: Path, line: int) -> ListedCase:
    folder = path.parent
    # Under the key None the reader puts what lies beyond the last column.
    cell = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
    if not cell["case"]:
        raise CohortError(f"{path}, line {line}: the cell of column 'case' is empty")

    def place(text: str) -> Place:
        found = place_of(text)
        return folder / found if isinstance(found, Path) else found

    def places(name: str) -> tuple[Place | None, ...]:
        text = cell.get(name, "")
        parts = [part.strip() for part in text.split(SEPARATOR)] if text else []
        return tuple(place(part) if part else None for part in parts)

    def one(name: str) -> Place | None:
        return place(cell[name]) if cell.get(name) else None

    counted = cell.get("raters", "").isdecimal()
    return ListedCase(
        id=cell["case"],
        patient=cell.get("patient") or None,
        split=cell.get("split") or None,
        n_raters=int(cell["raters"]) if counted else None,
        members=tuple(part for part in places("members") or places("probability") if part),
        raters=() if counted else places("raters"),
        roi=one("roi"),
        vessels=one("vessels"),
        image=one("image"),
    )
