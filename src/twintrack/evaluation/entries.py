"""Reading evaluations back from disk: the scores of each prediction, case by case."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.evaluation.predictions import RAW, against_all
from twintrack.evaluation.protocols import Score


@dataclass(frozen=True, eq=False)
class Entry:
    """One prediction of a cohort, scored.

    Attributes:
        name: What to call it.
        cases: The cases.
        patients: The patient of each case.
        values: For each score its value for each case, NaN where it has none.
        scores: What the scores are.
        protocol: The protocol they follow.
    """

    name: str
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    values: dict[str, NDArray[np.float64]]
    scores: dict[str, Score]
    protocol: str


def read_entries(folders: Sequence[Path]) -> list[Entry]:
    """Read the predictions of several evaluations of the same cases.

    A prediction is called by its folder and, where the folder holds several, by which it is: "isotonic/calibrated". A
    raw ensemble that has the same scores in all folders is one entry, "raw".

    Args:
        folders: Folders that `twintrack evaluate` wrote.

    Returns:
        The entries in the order of the folders; predictions of the human ceiling are left out.

    Raises:
        InputError: If a folder is not an evaluation, or cases or protocols differ.
    """
    if len({folder.name for folder in folders}) != len(folders):
        raise InputError("the folders' names must differ, since the predictions are called by them")
    entries = [entry for folder in folders for entry in _read(folder)]
    for entry in entries[1:]:
        if entry.protocol != entries[0].protocol:
            raise InputError(
                f"{entries[0].name} follows the protocol {entries[0].protocol}, {entry.name} {entry.protocol}"
            )
        if entry.cases != entries[0].cases:
            unlike = sorted(set(entry.cases) ^ set(entries[0].cases)) or ["their order differs"]
            raise InputError(
                f"{entries[0].name} and {entry.name} do not score the same cases: {', '.join(unlike[:5])}"
                + (f", … ({len(unlike)} in all)" if len(unlike) > 5 else "")
            )
    return _join_raw(entries)


def _read(folder: Path) -> list[Entry]:
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        with (folder / "scores.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        names = list(dict.fromkeys(against_all(row["prediction"] for row in rows)))
        if not names:
            raise InputError(f"{folder} holds no scores of a prediction (raw or calibrated) to compare")
        return [_entry(folder.name, name, rows, summary) for name in names]
    except OSError as error:
        raise InputError(f"{folder} is not an evaluation: {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is not an evaluation that `twintrack evaluate` wrote: {error!r}") from error


def _entry(folder: str, prediction: str, rows: list[dict[str, str]], summary: dict[str, Any]) -> Entry:
    chosen = [row for row in rows if row["prediction"] == prediction]
    columns = [name for name in summary["scores"] if name in chosen[0]]
    about = {name: summary["scores"][name] for name in columns}
    return Entry(
        name=f"{folder}/{prediction}",
        cases=tuple(row["case"] for row in chosen),
        patients=tuple(row["patient"] for row in chosen),
        values={name: np.array([float(row[name] or math.nan) for row in chosen]) for name in columns},
        scores={
            name: Score(name, one["label"], one["meaning"], one["better"], one["unit"]) for name, one in about.items()
        },
        protocol=summary["protocol"],
    )


def _join_raw(entries: list[Entry]) -> list[Entry]:
    raw = [entry for entry in entries if entry.name.endswith(f"/{RAW}")]
    same = len(raw) > 1 and all(
        one.values.keys() == raw[0].values.keys()
        and all(np.array_equal(one.values[key], raw[0].values[key], equal_nan=True) for key in one.values)
        for one in raw
    )
    if not same:
        return entries
    first = Entry(RAW, raw[0].cases, raw[0].patients, raw[0].values, raw[0].scores, raw[0].protocol)
    return [first, *(entry for entry in entries if not entry.name.endswith(f"/{RAW}"))]
