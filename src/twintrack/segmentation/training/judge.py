"""Runs networks on the held-out cases and says which are good enough."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from twintrack.segmentation.training.cases import LoadedCase, TrainingCase, load_case
from twintrack.segmentation.training.datasets import REGION, Lesson
from twintrack.segmentation.training.gate import member_dice, region_recall, summary
from twintrack.segmentation.training.network import Network
from twintrack.segmentation.training.settings import Settings


def judge(
    networks: Sequence[Network],
    cases: Sequence[TrainingCase],
    held_out: Collection[str],
    *,
    lesson: Lesson,
    settings: Settings,
) -> dict[str, dict[str, Any]]:
    """Measure networks on the held-out cases; each case is read once.

    Args:
        networks: The networks, trained.
        cases: All cases.
        held_out: Ids of those that no network learnt from.
        lesson: What members learn from: each is measured against its own teachers.
        settings: How they were trained.

    Returns:
        For each network its seed, the number of its attempt, what was measured, the mean, least and number of figures,
        and the figure of each case.

    Raises:
        ModelError: If a network cannot be loaded or run.
    """
    from twintrack.segmentation.nets.nnunet import NnunetModel  # noqa: PLC0415  (imports torch)

    models = {
        network.name: NnunetModel(
            network.folder,
            name=network.name,
            foreground=(REGION if network.role == "coarse" else settings.structure,),
            device=settings.device,
            threads=settings.threads,
            mirroring=settings.preset.mirroring,
        )
        for network in networks
    }

    def figure(network: Network, case: LoadedCase) -> float | None:
        if network.role == "coarse":
            return region_recall(models[network.name], case, settings.roi)
        truth = lesson.label(network.number - 1, case)
        return None if truth is None else member_dice(models[network.name], case, truth, margin=lesson.margin)

    found: dict[str, dict[str, float]] = {network.name: {} for network in networks}
    for case in cases:
        if case.id not in held_out:
            continue
        loaded = load_case(case)
        for network in networks:
            value = figure(network, loaded)
            if value is not None:
                found[network.name][case.id] = round(value, 4)
    return {
        network.name: {
            "seed": network.seed,
            "attempt": network.attempt + 1,
            "measured": "recall in the ROI" if network.role == "coarse" else "Dice",
            "held_out": summary(list(found[network.name].values())),
            "cases": found[network.name],
        }
        for network in networks
    }


def failures(networks: Sequence[Network], figures: dict[str, dict[str, Any]], settings: Settings) -> dict[str, str]:
    """Say which networks are not good enough, and why.

    Args:
        networks: The networks.
        figures: What `judge` found.
        settings: With the gate.

    Returns:
        The reason by network, for those that fail.
    """
    means = {network.name: figures[network.name]["held_out"]["mean"] for network in networks}
    # Nothing to judge by (no held-out case was drawn by its teacher) is not passing.
    scores = {name: float("nan") if mean is None else mean for name, mean in means.items()}
    failed = settings.gate.failed(
        {network.name: scores[network.name] for network in networks if network.role == "fine"}
    )
    coarse = scores.get("coarse")
    if coarse is not None and not coarse >= settings.gate.recall:
        failed["coarse"] = (
            f"mean recall {coarse:.3f} in the region of interest on the held-out cases is below "
            f"{settings.gate.recall:g}"
        )
    return failed
