"""One network to be trained: what it is for, what it learns from, and how a later run knows that it is finished."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twintrack.segmentation.training.datasets import Written
from twintrack.segmentation.training.presets import Role
from twintrack.segmentation.training.settings import Settings

DONE = "done.json"
"""In a network's folder, the key it was trained with; written last."""


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        name: "coarse", "member_1", ….
        role: What it is for.
        data: What it learns from.
        number: 0 for the coarse network, else the member's number from 1.
        folder: Its result folder.
        seed: Its seed.
        attempt: How often its training was tried before.
    """

    name: str
    role: Role
    data: Written
    number: int
    folder: Path
    seed: int = 0
    attempt: int = 0

    def tried(self, attempt: int, *, settings: Settings, folder: Path) -> Network:
        """Give the network with the seed and the folder of an attempt.

        Args:
            attempt: From 0.
            settings: With the seed all others follow from.
            folder: The folder of all networks.

        Returns:
            The network.
        """
        state = np.random.SeedSequence([settings.seed, self.number, attempt]).generate_state(1)
        suffix = f"_retry_{attempt}" if attempt else ""
        return replace(self, attempt=attempt, seed=int(state[0]), folder=folder / f"{self.name}{suffix}")

    def data_key(self, settings: Settings) -> str:
        """Hash everything its preprocessed data depend on."""
        preset = settings.preset
        own = preset.of(self.role)
        tiny = None if own.tiny is None else own.tiny.model_dump()
        return _hash([self.data.sha256, self.role, preset.planner, preset.plans_name, own.configurations, tiny])

    def key(self, settings: Settings) -> str:
        """Hash everything its weights depend on; but the number of threads, which changes the last digits."""
        preset = settings.preset.of(self.role).model_dump(mode="json")
        return _hash([self.data_key(settings), preset, self.seed, settings.half])

    def is_done(self, settings: Settings) -> bool:
        """Say whether an earlier run trained just this."""
        return bool(read_key(self.folder / DONE) == self.key(settings))


def read_key(path: Path) -> Any:
    """Read a key; None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
