"""What the page says of a case in words and numbers: plain data that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twintrack.report.said import SaidInterval, SaidOfCase
from twintrack.report.viewer.cases import ViewedCase
from twintrack.report.viewer.maps import CT, NAMES, grid_of, maps_of

_STEPS = 20
"""Where the number of experts is not known, the contour moves in steps of one twentieth of the response."""

_MEDIAN = 0.5
_LARGE = 100.0  # from here on mm³ are said as ml, and ml without decimals


def describe(case: ViewedCase) -> dict[str, Any]:
    """Describe a case for the page.

    Keys: ``id``; ``volumes``, the names of the volumes to ask for by what they are called, the first being the CT (or
    what stands for it); ``has_ct``; ``flat`` (2-D); ``known`` (whether the files say where the voxels lie); ``levels``,
    as from `levels`; ``facts``, pairs of words; ``flags`` and ``notes``, sentences.

    Args:
        case: The case.

    Returns:
        Plain data.

    Raises:
        InputError: If its files cannot be read, or lie outside the folders that were named.
    """
    grid = grid_of(case)
    return {
        "id": case.id,
        "volumes": [[CT, "CT"], *([name, NAMES[name]] for name in maps_of(case))],
        "has_ct": case.ct is not None,
        "flat": len(grid.shape) == 2,
        "known": grid.known,
        "n_raters": None if case.drawn is None else len(case.drawn.raters),
        "levels": levels(case.n_raters),
        "facts": [list(pair) for pair in _facts(case.said, flat=len(grid.shape) == 2)],
        "flags": list(case.said.flags),
        "notes": list(case.said.notes),
    }


def levels(n_raters: int | None) -> list[dict[str, Any]]:
    """Give the positions of the slider that moves the contour.

    "At least k of K experts" is where the response is nearest to k/K or above, that is at least (k − ½)/K, as in the
    agreement levels that `twintrack predict` writes.

    Args:
        n_raters: K; None where it is not known.

    Returns:
        For each position ``label`` and ``threshold``, from few to many.
    """
    if n_raters is None:
        return [{"label": f"response at least {k / _STEPS:.2f}", "threshold": k / _STEPS} for k in range(1, _STEPS)]
    experts = "expert" if n_raters == 1 else "experts"
    return [
        {"label": f"at least {k} of {n_raters} {experts}", "threshold": (k - 0.5) / n_raters}
        for k in range(1, n_raters + 1)
    ]


def _facts(said: SaidOfCase, *, flat: bool) -> Iterator[tuple[str, str]]:
    """Say the volume as it was written down."""
    what = "area" if flat else "volume"
    expected = said.expected_volume_mm3
    yield f"expected {what}", "not written" if expected is None else _size(expected, flat=flat)
    if sureness := said.expected_interval:
        share = f"with {sureness.level:.0%} of other draws of the calibration patients"
        yield f"{what}, {share}", _range(sureness, flat=flat)
    if interval := said.interval:
        promise = "" if interval.promised is None else f" ({interval.promised:.0%} promised)"
        yield f"a further rater's {what}{promise}", _range(interval, flat=flat)
    elif said.no_interval:
        yield f"a further rater's {what}", f"not known: {said.no_interval}"
    if said.distribution is not None and _MEDIAN in said.distribution.quantiles_mm3:
        yield f"a further rater's median {what}", _size(said.distribution.quantiles_mm3[_MEDIAN], flat=flat)


def _range(interval: SaidInterval, *, flat: bool) -> str:
    return f"{_size(interval.low_mm3, flat=flat)} to {_size(interval.high_mm3, flat=flat)}"


def _size(mm3: float, *, flat: bool) -> str:
    if flat:
        return f"{mm3:.1f} mm²"
    if mm3 < _LARGE:
        return f"{mm3:.1f} mm³"
    return f"{mm3 / 1000:#.3g} ml" if mm3 < 1000 * _LARGE else f"{mm3 / 1000:.0f} ml"
