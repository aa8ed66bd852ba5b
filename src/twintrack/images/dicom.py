"""Reads a DICOM series of CT slices as one volume, and refuses a series that is not one evenly spaced stack.

Files are read one by one with SimpleITK's GDCM reader and put in order here. SimpleITK's own series reader passes over
missing, doubled, uneven and tilted slices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from twintrack.errors import InputError
from twintrack.images.folders import natural
from twintrack.images.formats import is_image
from twintrack.images.grid import TOLERANCE, Grid
from twintrack.images.packing.quiet import quiet
from twintrack.images.volume import Volume

sitk: Any = SimpleITK  # its functions carry no types

# DICOM PS3.6: the data dictionary.
_SERIES_UID, _SERIES_NUMBER, _DESCRIPTION, _MODALITY = "0020|000e", "0020|0011", "0008|103e", "0008|0060"
_POSITION, _ORIENTATION, _IN_PLANE = "0020|0032", "0020|0037", "0028|0030"
_THICKNESS, _FRAMES = "0018|0050", "0028|0008"
_MAGIC_AT, _MAGIC = 128, b"DICM"  # PS3.10, section 7.1
_STORAGE_CLASS_TAG = b"\x02\x00\x02\x00UI"  # PS3.10, table 7.1-1: (0002,0002), always explicit VR little endian
_CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"  # PS3.4, table B.5-1; enhanced CT begins alike
_HEAD_BYTES = 4096
_SAME_PLACE = 1e-3
"""Slices nearer than this (mm) lie at the same place."""
_SAME_COSINES = 1e-4
_MIN_ORIENTATION = 6


@dataclass(frozen=True)
class Slice:
    """One file of a series.

    Attributes:
        path: The file.
        size: Columns and rows.
        pixel: SimpleITK's pixel type after rescaling to HU.
        tags: Text of the tags that matter, stripped.
    """

    path: Path
    size: tuple[int, ...]
    pixel: int
    tags: dict[str, str]

    def numbers(self, tag: str, n: int) -> NDArray[np.float64]:
        """Give the n numbers of a tag.

        Raises:
            InputError: If the tag is missing or holds something else.
        """
        try:
            values = np.array([float(part) for part in self.tags.get(tag, "").split("\\")])
        except ValueError:
            values = np.empty(0)
        if values.size != n or not np.isfinite(values).all():
            raise InputError(
                f"{self.path}: DICOM tag ({tag.replace('|', ',')}) must hold {n} numbers; found "
                f"{self.tags.get(tag) or 'nothing'}. Without it the slice's place is not known."
            )
        return values


@dataclass(frozen=True)
class Series:
    """The files of a folder that belong to one series.

    Attributes:
        uid: Series instance UID; may be empty in anonymised files.
        number: Series number.
        description: Series description.
        modality: "CT", "MR", …
        slices: The files, in natural order of their names.
    """

    uid: str
    number: str
    description: str
    modality: str
    slices: tuple[Slice, ...]

    def describe(self) -> str:
        """Say the series in one line, for messages."""
        n = len(self.slices)
        what = f"{self.modality or 'modality not said'}, {self.description or 'no description'}"
        return f"series {self.number or self.uid or '(no number)'}: {what}, {n} file{'s' * (n != 1)}"


def is_dicom(path: Path) -> bool:
    """Say whether a file begins as DICOM files do."""
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
    except OSError:
        return False


def has_dicom(folder: Path) -> bool:
    """Say whether a folder directly holds a DICOM file; the catalogue DICOMDIR alone is none."""
    return any(is_dicom(path) for path in _candidates(folder))


def list_series(folder: Path) -> list[Series]:
    """List the series of images whose files lie directly in a folder. Only headers are read.

    Args:
        folder: The folder.

    Returns:
        The series in the order of their numbers. Files that are no DICOM images (reports, structures, DICOMDIR) are
        passed over.

    Raises:
        InputError: If there is no such folder or a DICOM file is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    groups: dict[tuple[str, str, str, str], list[Slice]] = defaultdict(list)
    with quiet():
        for path in _candidates(folder):
            if is_dicom(path) and (found := _read_header(path)) is not None:
                # Pitfall: anonymisers empty the UID of every series, so it alone does not tell them apart.
                key = tuple(found.tags[tag] for tag in (_SERIES_UID, _SERIES_NUMBER, _DESCRIPTION, _MODALITY))
                groups[key].append(found)  # type: ignore[index]  # a tuple of four
    series = [Series(*key, slices=tuple(slices)) for key, slices in groups.items()]
    return sorted(series, key=lambda one: (natural(Path(one.number)), one.uid, one.description))


@dataclass(frozen=True)
class Stack:
    """A series whose slices make up a box.

    Attributes:
        slices: The slices in the order of their positions along the normal of the image plane.
        grid: The box, (z, y, x).
        name: What to call it in messages.
    """

    slices: tuple[Slice, ...]
    grid: Grid
    name: str


def read_dicom_series(folder: Path, *, series: str | None = None) -> Volume:
    """Read a series of CT slices.

    Args:
        folder: The folder that directly holds its files.
        series: Number or UID of the series, where the folder holds several.

    Returns:
        The volume in HU (rescale slope and intercept applied), (z, y, x); slices in the order of their positions along
        the normal of the image plane.

    Raises:
        InputError: If there is no such folder or series, or several to choose from; if the series is not of CT slices
            of one size and orientation; if slices are missing, doubled, unevenly spaced or shifted against each other
            (a tilted gantry); if a file is damaged.
    """
    stack = stack_series(folder, series=series)
    return Volume(_voxels(stack.slices, stack.grid.shape), stack.grid, str(folder))


def stack_series(folder: Path, *, series: str | None = None) -> Stack:
    """Put the slices of a CT series in order and check that they make up a box. Only headers are read.

    Args:
        folder: The folder that directly holds its files.
        series: Number or UID of the series, where the folder holds several.

    Returns:
        The slices and their grid.

    Raises:
        InputError: As `read_dicom_series`, but for voxels that cannot be decoded.
    """
    return _stack(folder, choose_series(folder, series))


def choose_series(folder: Path, series: str | None = None) -> Series:
    """Find the series that is meant.

    Args:
        folder: The folder that directly holds its files.
        series: Number or UID of the series, where the folder holds several.

    Returns:
        The series.

    Raises:
        InputError: If there is none, or several to choose from, or it is not CT.
    """
    found = list_series(folder)
    if not found:
        raise InputError(f"{folder}: holds no DICOM images")
    known = "\n".join(f"  {one.describe()}" for one in found)
    matching = [one for one in found if series is None or series in (one.number, one.uid)]
    if series is None and len(found) > 1:
        # Reports and dose pictures of other modalities lie beside many CTs, and can never be meant.
        matching = [one for one in found if one.modality == "CT"]
    if not matching:
        what = "no CT" if series is None else f"no series {series}"
        raise InputError(f"{folder}: holds {what}; found:\n{known}")
    if len(matching) > 1:
        raise InputError(
            f"{folder}: holds {len(matching)} series; which one is meant?\n{known}\nName it after a colon, as in "
            f"{folder}:{matching[0].number or matching[0].uid or 'NUMBER'}, or put each series into its own folder."
        )
    if matching[0].modality not in ("CT", ""):
        raise InputError(f"{folder}: a CT is expected; {matching[0].describe()}")
    return matching[0]


def _candidates(folder: Path) -> list[Path]:
    """Give the files that may be DICOM: any name, but not hidden, not the catalogue, not one of the image formats."""
    files = (path for path in folder.iterdir() if path.is_file() and path.name[0] != "." and not is_image(path))
    return sorted((path for path in files if path.name.upper() != "DICOMDIR"), key=natural)


def _read_header(path: Path) -> Slice | None:
    """Read a file's header; None where it is no image."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        kind = _storage_class(path)
        # Pitfall: passed over, a last slice that was cut short would be missing without a word.
        if not kind or kind.startswith(_CT_STORAGE):
            raise InputError(f"{path}: the DICOM file is damaged or cut short; export the series again") from error
        return None
    wanted = (_SERIES_UID, _SERIES_NUMBER, _DESCRIPTION, _MODALITY, _POSITION, _ORIENTATION, _IN_PLANE)
    tags = {tag: _text(reader, tag) for tag in (*wanted, _THICKNESS, _FRAMES)}
    if reader.GetNumberOfComponents() != 1:
        # Whatever it calls itself: read as one number per pixel, it would be a CT of its brightness.
        tags[_MODALITY] = "colour picture"
    size = tuple(int(n) for n in reader.GetSize())
    return Slice(path, size, int(reader.GetPixelIDValue()), tags)


def _storage_class(path: Path) -> str:
    """Say what kind of object a file holds, from its first bytes; empty where they do not say."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    at = head.find(_STORAGE_CLASS_TAG)
    if at < 0:
        return ""
    start = at + len(_STORAGE_CLASS_TAG)
    length = int.from_bytes(head[start : start + 2], "little")
    return head[start + 2 : start + 2 + length].decode("ascii", "replace").strip(" \0")


def _text(reader: Any, tag: str) -> str:
    # Pitfall: values are padded to even length, with blanks or NUL, and text may hold bytes that are no UTF-8.
    value = reader.GetMetaData(tag) if reader.HasMetaDataKey(tag) else ""
    return str(value).encode("utf-8", "replace").decode().strip(" \0")


def _stack(folder: Path, series: Series) -> Stack:
    what = f"{folder} ({series.describe()})"
    slices = series.slices
    _require_alike(slices, what)
    cosines = slices[0].numbers(_ORIENTATION, _MIN_ORIENTATION).reshape(2, 3)
    normal = np.cross(*cosines)
    positions = np.array([one.numbers(_POSITION, 3) for one in slices])
    order = np.argsort(positions @ normal, kind="stable")
    row_step, column_step = slices[0].numbers(_IN_PLANE, 2)
    slices, positions = tuple(slices[k] for k in order), positions[order]
    distance = _distance(slices, positions, normal, what)
    _require_straight(positions, normal, min(row_step, column_step), what)
    grid = Grid(
        shape=(len(slices), slices[0].size[1], slices[0].size[0]),
        spacing=(distance, float(row_step), float(column_step)),
        origin=tuple(positions[0].tolist()),
        direction=tuple((np.stack([*cosines, normal], axis=1) + 0.0).ravel().tolist()),
    )
    return Stack(slices, grid, what)


def _require_alike(slices: Sequence[Slice], what: str) -> None:
    """Refuse what is not a stack of slices of one size, orientation and resolution."""
    first = slices[0]
    for one in slices:
        if one.tags[_FRAMES] not in ("", "0", "1"):
            raise InputError(
                f"{one.path}: holds {one.tags[_FRAMES]} frames in one file (enhanced DICOM), which is not read; "
                "convert it to NIfTI first, for instance with dcm2niix"
            )
        if one.size[:2] != first.size[:2]:
            raise InputError(
                f"{what}: the slices differ in size: {first.path.name} has {first.size[0]} × {first.size[1]} pixels, "
                f"{one.path.name} {one.size[0]} × {one.size[1]}. Is a scout among them?"
            )
        for tag, n, name in ((_ORIENTATION, _MIN_ORIENTATION, "orientation"), (_IN_PLANE, 2, "pixel size")):
            if not np.allclose(one.numbers(tag, n), first.numbers(tag, n), rtol=0, atol=_SAME_COSINES):
                raise InputError(
                    f"{what}: the slices differ in {name}: {first.path.name} has {first.tags[tag]}, {one.path.name} "
                    f"{one.tags[tag]}. Is a scout or a reformat among them?"
                )


def _distance(slices: Sequence[Slice], positions: NDArray[np.float64], normal: NDArray[np.float64], what: str) -> float:
    """Give the distance of the slices in mm, after checking that it is one."""
    if len(slices) == 1:
        return float(slices[0].numbers(_THICKNESS, 1)[0])
    along = positions @ normal
    steps = np.diff(along)
    doubled = int(np.count_nonzero(steps < _SAME_PLACE))
    if doubled:
        k = int(np.argmin(steps))
        raise InputError(
            f"{what}: {doubled + 1} or more slices lie where another lies ({slices[k].path.name} and "
            f"{slices[k + 1].path.name} at {along[k]:.6g} mm). Are two phases or reconstructions mixed? Put each "
            "into its own folder."
        )
    usual = float(np.median(steps))
    # One rule for all that Grid compares: no slice may lie further than a tenth of a step from an even stack.
    uneven = np.abs(along - along[0] - np.arange(len(along)) * (along[-1] - along[0]) / len(steps)).max()
    if uneven > TOLERANCE * usual:
        k = int(np.argmax(np.abs(steps - usual)))
        missing = round(float(steps[k]) / usual) - 1
        guess = f"{missing} slice{'s' * (missing != 1)} missing there?" if missing > 0 else "the distances are uneven."
        raise InputError(
            f"{what}: the slices are not evenly spaced: mostly {usual:.4g} mm apart, but {steps[k]:.4g} mm between "
            f"{slices[k].path.name} and {slices[k + 1].path.name}; {guess} Export the whole series again, or resample "
            "it."
        )
    return float((along[-1] - along[0]) / len(steps))


def _require_straight(positions: NDArray[np.float64], normal: NDArray[np.float64], pixel: float, what: str) -> None:
    """Refuse slices that are shifted against each other: their stack is no box."""
    moved = positions - positions[0]
    sideways = np.linalg.norm(moved - np.outer(moved @ normal, normal), axis=1)
    if sideways.max() > TOLERANCE * pixel:
        raise InputError(
            f"{what}: the slices are shifted against each other by up to {sideways.max():.4g} mm, as with a tilted "
            "gantry; resample the series to an upright grid first, for instance with dcm2niix"
        )


def _voxels(slices: Sequence[Slice], shape: tuple[int, ...]) -> NDArray[Any]:
    array: NDArray[Any] | None = None
    # Pitfall: the type follows each file's own rescale slope; all slices are read as the type that holds them all.
    pixel = _common_type({one.pixel for one in slices})
    for k, one in enumerate(slices):
        try:
            with quiet():
                image = sitk.ReadImage(str(one.path), pixel, "GDCMImageIO")
        except RuntimeError as error:
            said = str(error).strip().splitlines()[-1].strip()
            raise InputError(
                f"{one.path}: the slice cannot be read: damaged, or its coding is not known: {said}"
            ) from error
        plane = sitk.GetArrayViewFromImage(image).reshape(shape[1:])
        array = np.empty(shape, plane.dtype) if array is None else array
        array[k] = plane
    assert array is not None
    return array


def _common_type(pixels: set[int]) -> int:
    """Give the one integer type, or else float32: GDCM's float64 would double the memory for nothing."""
    whole = len(pixels) == 1 and min(pixels) < int(sitk.sitkFloat32)
    return min(pixels) if whole else int(sitk.sitkFloat32)
