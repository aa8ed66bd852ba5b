"""The two ways in which a challenge's scores are given."""

from __future__ import annotations

from typing import Literal, get_args

Variant = Literal["official", "corrected"]
"""`official` reproduces the challenge's figures, quirks included; `corrected` repairs each quirk."""

VARIANTS: tuple[Variant, ...] = get_args(Variant)
