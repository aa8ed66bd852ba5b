"""The optional packages that DICOM objects need, and what to say where they are missing."""

from __future__ import annotations

from importlib.util import find_spec

from twintrack.errors import MissingExtraError

_PACKAGES = ("pydicom", "highdicom")


def has_dicom_extra() -> bool:
    """Say whether DICOM objects can be written here, without importing what writes them."""
    return all(find_spec(package) is not None for package in _PACKAGES)


def require_dicom_extra() -> None:
    """Raise unless DICOM objects can be written here.

    Raises:
        MissingExtraError: If pydicom or highdicom is not installed; the message says how to install them.
    """
    if not has_dicom_extra():
        raise MissingExtraError(
            "DICOM objects need pydicom and highdicom, which are not installed: pip install 'twintrack[dicom]' "
            "(docs/install.md)"
        )
