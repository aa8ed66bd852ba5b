"""Where the small ensemble lies that comes with the package: trained on phantoms, for demonstration only."""

from __future__ import annotations

from pathlib import Path

import twintrack
from twintrack.errors import ModelError

_FOLDER = Path("embedded") / "phantom"


def embedded_bundle() -> Path:
    """Give the folder of the bundle that is installed with the package.

    Returns:
        A folder with ``bundle.json``, four tiny networks trained on the synthetic CT phantom, and their calibration.

    Raises:
        ModelError: If this installation came without it.
    """
    folder = Path(twintrack.__file__).parent / _FOLDER
    if not (folder / "bundle.json").is_file():
        raise ModelError(
            f"this installation has no embedded bundle ({folder}); name one with --models, or install TwinTrack anew"
        )
    return folder
