"""What the scored predictions are called, in rows, files and tables alike, and which are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twintrack.errors import InputError

RAW = "raw"
"""The ensemble's probability."""
CALIBRATED = "calibrated"
"""The response made of it, where one calibration is scored that was given no name."""
HUMAN = "human"
"""The human ceiling: one rater's mask against the other raters."""

_VS_OTHERS = "_vs_others"


def vs_others(prediction: str) -> str:
    """Call a prediction that is scored against all raters but one, for each one left out, as `HUMAN` is."""
    return f"{prediction}{_VS_OTHERS}"


def scored_as(name: str) -> str:
    """Give the prediction that a name is of, also where it is scored against all raters but one."""
    return name.removesuffix(_VS_OTHERS)


def against_all(names: Iterable[str]) -> list[str]:
    """Choose what is scored against all raters."""
    return [name for name in names if name != HUMAN and not name.endswith(_VS_OTHERS)]


def ceiling(names: Iterable[str]) -> list[str]:
    """Choose what is scored against all raters but one."""
    return [name for name in names if name == HUMAN or name.endswith(_VS_OTHERS)]


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Say which are compared, the first with the second: each with the raw ensemble, and with the human ceiling."""
    with_raw = [(name, RAW) for name in against_all(names) if name != RAW and RAW in names]
    return with_raw + [(name, HUMAN) for name in ceiling(names) if name != HUMAN]


def require_names(names: Iterable[str]) -> None:
    """Refuse names that a prediction cannot have.

    Raises:
        InputError: If a name is empty, taken, or holds a slash, by which comparisons tell folder and prediction apart.
    """
    for name in names:
        if not name.strip() or name in (RAW, HUMAN) or name.endswith(_VS_OTHERS) or "/" in name:
            raise InputError(
                f"a prediction cannot be called {name!r}: a name is not empty, holds no slash, is not {RAW!r} or "
                f"{HUMAN!r}, and does not end with {_VS_OTHERS!r}"
            )
