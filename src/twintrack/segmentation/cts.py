"""Finding CTs among what a user names: image files, DICOM series, folders of either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twintrack.errors import InputError
from twintrack.images import Volume, read_volume
from twintrack.images.dicom import choose_series, has_dicom, read_dicom_series
from twintrack.images.folders import images_in, subfolders
from twintrack.images.formats import image_stem, is_image
from twintrack.images.hashing import sha256_of_all
from twintrack.images.packing.metaimage import read_header

_IMAGE = "image"
"""Name of the CT in a CURVAS case folder, which itself has the case's name."""


@dataclass(frozen=True)
class Ct:
    """A CT on disk.

    Attributes:
        case_id: What the case is called: the file's name without ending, or the folder's.
        path: The image file, or the folder of a DICOM series.
        series: Number or UID of the DICOM series, where one was chosen.
    """

    case_id: str
    path: Path
    series: str | None = None

    @property
    def id(self) -> str:
        """The case's id, under the name cases have it."""
        return self.case_id

    @property
    def files(self) -> tuple[Path, ...]:
        """The files its voxels come from.

        Raises:
            InputError: If they cannot be told.
        """
        if self.path.is_dir():
            return tuple(one.path for one in choose_series(self.path, self.series).slices)
        if self.path.suffix.lower() == ".mhd" and (data := read_header(self.path).data_file) is not None:
            return (self.path, data)
        return (self.path,)

    def read(self) -> Volume:
        """Read it; whether it is a CT is checked where it is used.

        Returns:
            The voxels with their grid.

        Raises:
            InputError: If it cannot be read.
        """
        return read_dicom_series(self.path, series=self.series) if self.path.is_dir() else read_volume(self.path)

    def sha256(self) -> str:
        """Hash its files.

        Returns:
            The hash of its file, or of the hashes of its files.

        Raises:
            InputError: If one cannot be read.
        """
        return sha256_of_all(self.files)


def find_cts(paths: Sequence[Path]) -> list[Ct]:
    """Find the CTs that paths name. No voxel is read.

    Args:
        paths: Each an image file (case: its name without ending); a folder of DICOM files (case: the folder's name),
            where ``FOLDER:SERIES`` chooses one of several series by number or UID; a CURVAS case folder with
            ``image.nii.gz`` (case: the folder's name); a folder of image files; or a folder of case folders or DICOM
            folders.

    Returns:
        The CTs in the order of the paths, natural within a folder.

    Raises:
        InputError: If a path does not exist or holds no CT, or two CTs have the same case id.
    """
    found = [ct for path in paths for ct in _cts_of(path)]
    if not found:
        raise InputError("no CT is given")
    first: dict[str, Ct] = {}
    for ct in found:
        # Pitfall: on a file system that does not tell case, two results would share one file.
        other = first.setdefault(ct.case_id.lower(), ct)
        if other is not ct:
            raise InputError(
                f"{other.path} and {ct.path} would both be case {ct.case_id}; give each CT once and under its own name"
            )
    return found


def _cts_of(path: Path) -> list[Ct]:
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return [_image_file(path)]
    # A colon may be part of a name, so it is looked at only where nothing has the whole name.
    folder, colon, series = str(path).rpartition(":")
    if colon and Path(folder).is_dir() and series:
        return [Ct(_name(Path(folder)), Path(folder), series)]
    raise InputError(f"{path}: there is no such file or folder")


def _in_folder(folder: Path) -> list[Ct]:
    here = _cases_at(folder)
    if here:
        return here
    inner = [ct for sub in subfolders(folder) if (ct := _case_folder(sub)) is not None]
    if not inner:
        raise InputError(
            f"{folder}: holds no CT; expected image files, the files of a DICOM series, or one folder per case with "
            f"{_IMAGE}.nii.gz or a DICOM series"
        )
    return inner


def _cases_at(folder: Path) -> list[Ct]:
    """Give what the files directly in a folder make up."""
    case = _case_folder(folder)
    if case is not None:
        return [case]
    return [Ct(stem, path) for stem, path in images_in(folder).items()]


def _case_folder(folder: Path) -> Ct | None:
    """Give the one CT of a CURVAS case folder or DICOM folder."""
    images = images_in(folder)
    if _IMAGE in images:
        return Ct(_name(folder), images[_IMAGE])
    return Ct(_name(folder), folder) if not images and has_dicom(folder) else None


def _image_file(path: Path) -> Ct:
    if not is_image(path):
        raise InputError(
            f"{path}: not a known image format. Name a NIfTI, MHA or NRRD file, or the folder of a DICOM series."
        )
    stem = image_stem(path)
    return Ct(_name(path.parent) if stem == _IMAGE else stem, path)


def _name(folder: Path) -> str:
    """Give a folder's name, also of "." and of a link."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name
