"""Numbers as people read them: three figures that count, a true minus, thin unbroken spaces between thousands."""

from __future__ import annotations

import math

THIN = "\u202f"
MINUS = "\u2212"
DASH = "\u2013"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, figures: int = 3) -> str:
    """Write a number.

    Args:
        value: The number; None (or NaN) is written as a dash.
        figures: How many figures count.

    Returns:
        The words.

    Examples:
        >>> number(0.0123456), number(12345.6), number(-0.5)
        ('0.0123', '12\u202f300', '−0.500')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    # Pitfall: 0.9999 has one figure more before the point once it is rounded.
    rounded = float(f"{value:.{figures - 1}e}")
    digits = figures - 1 - math.floor(math.log10(abs(rounded)))
    if 0 < abs(rounded) < 1e-4:
        mantissa, _, power = f"{rounded:.{figures - 1}e}".partition("e")
        return f"{_signed(mantissa)}·{power_of_ten(int(power))}"
    return _signed(f"{rounded:,.{max(digits, 0)}f}").replace(",", THIN)


def power_of_ten(power: int) -> str:
    """Write a power of ten."""
    return f"10{str(power).translate(_RAISED)}"


def plain(value: float) -> str:
    """Write a round number without the zeros that say how exact it is."""
    return _signed(f"{value:,.10g}").replace(",", THIN)


def interval(low: float | None, high: float | None) -> str:
    """Write the two ends of an interval."""
    return f"{number(low)} to {number(high)}"


def percent(share: float | None) -> str:
    """Write a share as per cent."""
    if share is None or not math.isfinite(share):
        return DASH
    return f"{number(100 * share, 2 if share < 0.995 else 3)}{THIN}%"


def count(n: int, one: str, several: str | None = None) -> str:
    """Write how many there are of something."""
    return f"{n:,}".replace(",", THIN) + f" {one if n == 1 else several or one + 's'}"


def listing(words: list[str]) -> str:
    """Join words as a sentence does."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else ""


def _signed(text: str) -> str:
    return text.replace("-", MINUS, 1) if text.startswith("-") else text
