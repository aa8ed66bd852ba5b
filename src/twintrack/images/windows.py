"""Windows: which range of CT values is shown from black to white."""

from __future__ import annotations

from typing import TypeAlias

Window: TypeAlias = tuple[float, float]
"""The HU shown black and white."""

ABDOMEN: Window = (-110.0, 220.0)
LUNG: Window = (-1250.0, 250.0)
