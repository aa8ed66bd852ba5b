"""The optional packages that networks need, and what to say where they are missing."""

from __future__ import annotations

from importlib.util import find_spec

from twintrack.errors import MissingExtraError

_PACKAGES = ("torch", "nnunetv2")


def has_nnunet() -> bool:
    """Say whether networks can be run here, without importing torch."""
    return all(find_spec(package) is not None for package in _PACKAGES)


def require_nnunet() -> None:
    """Raise unless networks can be run here.

    Raises:
        MissingExtraError: If torch or nnunetv2 is not installed; the message says how to install them.
    """
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            f"networks need {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'twintrack[nnunet]' (add -c constraints/cpu.txt for a machine without a GPU; docs/install.md)"
        )
