"""Writing the details of an evaluation, and reading them back: JSON, and arrays in an npz without pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from twintrack.errors import InputError
from twintrack.evaluation.details.case_details import CaseAbout, CaseDetails
from twintrack.evaluation.details.counts import FIRST_LEVELS, StripCounts
from twintrack.evaluation.details.details import CalibrationAbout, Details
from twintrack.evaluation.details.pictures import Picture, PictureAbout
from twintrack.images.atomic import replacing, write_text
from twintrack.images.hashing import sha256_of
from twintrack.images.npz import array_names, read_member

DETAILS, ARRAYS = "details.json", "details.npz"
"""The two files' names."""

SCHEMA_VERSION = 1
"""Version of the two files; raised when an older TwinTrack could not read newer ones."""

AGAIN = "Make it again with this version: twintrack evaluate … --out {folder}"


class _Content(BaseModel):
    """What `details.json` holds.

    Attributes:
        schema_version: Version of both files.
        sha256: Hashes of the files they belong to, by name: other scores have other details.
        strips: How many strips of probability there are; they are counted in another way if not so many.
        predictions: What was predicted, by name.
        calibrations: Which calibrations were evaluated, by name.
        n_left_out: Cases that could not be used.
        software: Versions of the software that scored.
        cases: The cases.
        pictures: What the pictures show.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: int
    sha256: dict[str, str]
    strips: int
    predictions: tuple[str, ...]
    calibrations: dict[str, CalibrationAbout]
    n_left_out: int
    software: dict[str, str]
    cases: tuple[CaseAbout, ...]
    pictures: tuple[PictureAbout, ...]


def write_details(details: Details, folder: Path, *, beside: tuple[Path, ...]) -> tuple[Path, Path]:
    """Write ``details.json`` and ``details.npz``; the same details give the same bytes.

    ``details.npz`` holds, for each prediction NAME and with cases one after the other, ``counts/NAME/rows`` (how many
    rows each case has), ``…/strip`` and ``…/probability`` (a number for each row), ``…/votes`` (K + 1 numbers for each
    row; K is the case's number of raters); for each calibration ``change/NAME`` (cases, bins, bins); for picture k
    ``pictures/k/votes``, ``pictures/k/ct`` and ``pictures/k/maps/NAME``. `StripCounts`, `change_counts` and `Picture`
    say what they mean.

    Args:
        details: What to write.
        folder: Where; it exists.
        beside: The files of the scores they belong to.

    Returns:
        The two files.

    Raises:
        OutputError: If they cannot be written.
    """
    about, arrays = folder / DETAILS, folder / ARRAYS
    with replacing(arrays) as temporary:
        np.savez_compressed(temporary, **_arrays(details))
    content = _Content(
        schema_version=SCHEMA_VERSION,
        sha256={file.name: sha256_of(file) for file in (*beside, arrays)},
        strips=FIRST_LEVELS.size,
        predictions=details.predictions,
        calibrations=details.calibrations,
        n_left_out=details.n_left_out,
        software=details.software,
        cases=tuple(case.about for case in details.cases),
        pictures=tuple(picture.about for picture in details.pictures),
    )
    write_text(about, content.model_dump_json(indent=1) + "\n")
    return about, arrays


def _arrays(details: Details) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in details.predictions:
        counts = [case.counts[name] for case in details.cases]
        found[f"counts/{name}/rows"] = np.array([one.strip.size for one in counts], np.int64)
        found[f"counts/{name}/strip"] = np.concatenate([one.strip for one in counts]).astype(np.int16)
        found[f"counts/{name}/probability"] = np.concatenate([one.probability for one in counts])
        found[f"counts/{name}/votes"] = np.concatenate([one.votes.ravel() for one in counts])
    for name in details.calibrations:
        found[f"change/{name}"] = np.stack([case.change[name] for case in details.cases])
    for k, picture in enumerate(details.pictures):
        found[f"pictures/{k}/votes"] = picture.votes
        found |= {f"pictures/{k}/maps/{name}": one for name, one in picture.maps.items()}
        if picture.ct is not None:
            found[f"pictures/{k}/ct"] = picture.ct
    return found


def read_details(folder: Path) -> Details | None:
    """Read the details of an evaluation back. The files are data: nothing in them is executed.

    Args:
        folder: A folder that `twintrack evaluate` wrote.

    Returns:
        The details; None where the evaluation has none (an older version, or several structures).

    Raises:
        InputError: If they cannot be read, were altered, are of another evaluation than the scores beside them, or of
            a newer version.
    """
    about = folder / DETAILS
    if not about.exists():
        return None
    content = _parse(about)
    for name, expected in content.sha256.items():
        try:
            found = sha256_of(folder / name)
        except OSError as error:
            raise InputError(f"{folder / name}: {error.strerror}; {about} belongs to it") from error
        if found != expected:
            raise InputError(
                f"{folder / name} is not the file that {about} was written with. {AGAIN.format(folder=folder)}"
            )
    return _details(content, {name: read_member(folder / ARRAYS, name) for name in array_names(folder / ARRAYS)})


def _parse(path: Path) -> _Content:
    again = AGAIN.format(folder=path.parent)
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}). {again}") from error
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{path} does not say its schema_version: `twintrack evaluate` did not write it. {again}")
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version}; this TwinTrack knows versions up to {SCHEMA_VERSION}. "
            "Upgrade TwinTrack."
        )
    try:
        content = _Content.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise InputError(f"{path} is not what `twintrack evaluate` writes: {where}: {first['msg']}. {again}") from error
    if content.strips != FIRST_LEVELS.size:
        raise InputError(f"{path} counts {content.strips} strips of probability, not {FIRST_LEVELS.size}. {again}")
    return content


def _details(content: _Content, arrays: Mapping[str, NDArray[Any]]) -> Details:
    counts = {name: _counts(name, content.cases, arrays) for name in content.predictions}
    change = {name: arrays[f"change/{name}"] for name in content.calibrations}
    cases = tuple(
        CaseDetails(
            about,
            {name: found[k] for name, found in counts.items()},
            {name: found[k] for name, found in change.items()},
        )
        for k, about in enumerate(content.cases)
    )
    pictures = tuple(
        Picture(
            about,
            arrays[f"pictures/{k}/votes"],
            {name: arrays[f"pictures/{k}/maps/{name}"] for name in content.predictions},
            arrays.get(f"pictures/{k}/ct"),
        )
        for k, about in enumerate(content.pictures)
    )
    return Details(cases, content.n_left_out, content.calibrations, content.software, pictures)


def _counts(name: str, cases: tuple[CaseAbout, ...], arrays: Mapping[str, NDArray[Any]]) -> list[StripCounts]:
    rows, strip, probability, votes = (
        arrays[f"counts/{name}/{one}"] for one in ("rows", "strip", "probability", "votes")
    )
    ends = np.cumsum(rows)[:-1]
    widths = np.array([len(case.drawn) + 1 for case in cases])
    return [
        StripCounts(strips, probabilities, vote.reshape(-1, width))
        for strips, probabilities, vote, width in zip(
            np.split(strip.astype(np.int64), ends),
            np.split(probability, ends),
            np.split(votes, np.cumsum(rows * widths)[:-1]),
            widths,
            strict=True,
        )
    ]
