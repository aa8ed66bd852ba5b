"""How an ensemble is trained: everything a user can choose, in one place."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace

from twintrack.errors import InputError
from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.training.gate import Gate
from twintrack.segmentation.training.presets import Preset
from twintrack.segmentation.training.split import HELD_OUT

_LABEL = re.compile(r"(?!(?:background|ignore)$)[A-Za-z]\w*")
"""A name a label can have; the two it cannot have mean something else to nnU-Net."""


@dataclass(frozen=True)
class Settings:
    """How an ensemble is trained.

    Attributes:
        preset: How networks are made.
        n_members: How many members.
        coarse: Whether a network that finds the region is trained; needs a preset that has one.
        teach: Which rater(s) members learn from (`twintrack.segmentation.training.teach.parse_teach`).
        structure: Name of the members' label.
        seed: Seeds the held-out patients, random teachers, and each network differently.
        held_out: Fraction of the patients networks are judged on.
        gate: What they must reach there.
        retries: How often a network that does not is trained again, with another seed.
        roi: How the region of interest is made; its margin is also that of the members' crops.
        device: "auto" or a device's name.
        threads: Threads per network on the CPU; None: one for presets made for processors, else torch's choice.
        workers: Networks trained at the same time; None: one per core for presets made for processors, else one.
        half: Whether weights are stored in half precision.
    """

    preset: Preset
    n_members: int = 3
    coarse: bool = True
    teach: str = "random"
    structure: str = "tumour"
    seed: int = 0
    held_out: float = HELD_OUT
    gate: Gate = field(default_factory=Gate)
    retries: int = 1
    roi: RoiSettings = field(default_factory=RoiSettings)
    device: str = "auto"
    threads: int | None = None
    workers: int | None = None
    half: bool = True

    def checked(self) -> Settings:
        """Fill in what follows from the preset.

        Returns:
            The settings with every number set.

        Raises:
            InputError: If they contradict each other.
        """
        if self.n_members < 1 or self.retries < 0 or self.seed < 0:
            raise InputError("an ensemble has at least one member; seed and retries are 0 or more")
        if not _LABEL.fullmatch(self.structure):
            raise InputError(
                f"the structure's name is {self.structure!r}; use letters, digits and '_', but not 'background' or "
                "'ignore'"
            )
        if self.coarse:
            self.preset.of("coarse")
        cores = os.cpu_count() or 1
        return replace(
            self,
            workers=self.workers or (cores if self.preset.on_cpu else 1),
            threads=self.threads or (1 if self.preset.on_cpu else None),
        )
