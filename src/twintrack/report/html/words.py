"""Numbers as people read them: three figures that count, a true minus, thin spaces between thousands."""

from __future__ import annotations

import math

THIN = "\u2009"
MINUS = "\u2212"
DASH = "\u2013"


def number(value: float | None, figures: int = 3) -> str:
    """Write a number.

    Args:
        value: The number; None (or NaN) is written as a dash.
        figures: How many figures count.

    Returns:
        The words.

    Examples:
        >>> number(0.0123456), number(12345.6), number(-0.5)
        ('0.0123', '12\u2009300', '−0.5')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    digits = figures - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    if 0 < abs(rounded) < 1e-4:
        return _signed(f"{rounded:.{figures - 1}e}").replace("e-0", "e-").replace("e-", f"·10{MINUS}")
    text = f"{rounded:,.{max(digits, 0)}f}"
    return _signed(text.rstrip("0").rstrip(".") if "." in text else text).replace(",", THIN)


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
