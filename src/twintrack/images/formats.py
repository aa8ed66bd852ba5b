"""Which file names are images, and what a case is called once the ending is taken off."""

from __future__ import annotations

from pathlib import Path

from twintrack.errors import InputError

_ENDINGS = (
    ".seg.nrrd",
    ".nii.gz",
    ".nii",
    ".mha",
    ".mhd",
    ".nrrd",
    ".npy",
    ".npz",
    ".b2nd",
    ".tiff",
    ".tif",
)

ARRAY_ENDINGS = (".npy", ".npz", ".b2nd")
"""Arrays that SimpleITK does not read: the geometry is not in the file, or need not be."""

IMAGE_ENDINGS = tuple(ending for ending in _ENDINGS if ending not in ARRAY_ENDINGS)
"""Formats read through SimpleITK."""

WRITABLE_ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd", ".seg.nrrd", ".npy", ".npz", ".b2nd")


def image_ending(path: Path) -> str | None:
    """Give the ending that says an image's format.

    Args:
        path: A file name; the file need not exist.

    Returns:
        The known ending in lower case, such as ``".nii.gz"``, or None.
    """
    name = path.name.lower()
    for ending in _ENDINGS:
        if name.endswith(ending) and len(name) > len(ending):
            return ending
    return None


def require_ending(path: Path) -> str:
    """Give the ending that says an image's format, or say that there is none.

    Args:
        path: A file name; the file need not exist.

    Returns:
        The known ending in lower case.

    Raises:
        InputError: If the name has no known ending.
    """
    ending = image_ending(path)
    if ending is None:
        raise InputError(f"{path}: not a known image format; the known endings are {', '.join(_ENDINGS)}")
    return ending


def image_stem(path: Path) -> str:
    """Take the image ending off a file name.

    Args:
        path: A file name with a known ending; the file need not exist.

    Returns:
        The name without folder and ending: ``"a.b"`` for ``a.b.nii.gz``.

    Raises:
        InputError: If the name has no known ending.
    """
    return path.name[: -len(require_ending(path))]


def is_image(path: Path) -> bool:
    """Say whether a file name is that of an image.

    Hidden names are not images: they are temporaries of a write under way, or what macOS leaves beside a
    file on foreign disks (``._case.nii.gz``), which holds no image.

    Args:
        path: A file name; the file is not opened.

    Returns:
        True for a name that has a known ending and does not begin with a dot.
    """
    return image_ending(path) is not None and not path.name.startswith(".")
