"""Training a coarse network and the members of an ensemble, and judging each on cases it did not learn from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from twintrack.errors import InputError, ModelError
from twintrack.images.atomic import make_folder, write_text
from twintrack.segmentation.extra import require_nnunet
from twintrack.segmentation.training.cases import TrainingCase
from twintrack.segmentation.training.crew import Crew, OnEvent
from twintrack.segmentation.training.datasets import CaseProgress, Lesson, Written, write_datasets
from twintrack.segmentation.training.job import PrepareJob, TrainJob
from twintrack.segmentation.training.judge import failures, judge
from twintrack.segmentation.training.network import Network, read_key
from twintrack.segmentation.training.presets import preset_named
from twintrack.segmentation.training.settings import Settings
from twintrack.segmentation.training.split import held_out_ids
from twintrack.segmentation.training.teach import parse_teach

__all__ = ["Settings", "TrainedNetworks", "train_networks"]

_PREPARED = "prepared.json"


@dataclass(frozen=True)
class TrainedNetworks:
    """What training left.

    Attributes:
        coarse: The coarse network's result folder.
        members: The result folders of the members that passed, by name.
        rejected: Why members did not pass, by name.
        report: How it was done and what was measured, as plain data.
    """

    coarse: Path | None
    members: dict[str, Path]
    rejected: dict[str, str]
    report: dict[str, Any]


def train_networks(
    cases: Sequence[TrainingCase],
    settings: Settings | str,
    *,
    work: Path,
    on_event: OnEvent | None = None,
    say: Callable[[str], None] | None = None,
    progress: CaseProgress | None = None,
) -> TrainedNetworks:
    """Train the networks of an ensemble with nnU-Net's own code.

    The patients are split by the seed. CTs are turned to LPS. The coarse network learns the region on whole CTs;
    members learn the structure on the box of the region grown by the ROI's margin, each with a seed of its own. Every
    network is then judged on the held-out patients; one that fails is trained again with another seed, and rejected if
    it fails again.

    Args:
        cases: The cases, of at least two patients.
        settings: How; or the name of a preset.
        work: Folder for datasets, logs and networks. A later call with the same cases and settings goes on from what is
            there: finished networks are not trained again.
        on_event: Told what the child processes say.
        say: Told in words what begins.
        progress: Wraps the cases while they are read.

    Returns:
        The networks that passed.

    Raises:
        InputError: If settings or cases cannot be used.
        ModelError: If a training fails, no member passes, or the coarse network does not.
        OutputError: If something cannot be written.
        MissingExtraError: If torch or nnU-Net is not installed.
    """
    require_nnunet()
    wanted = Settings(preset_named(settings)) if isinstance(settings, str) else settings
    training = _Training(cases, wanted.checked(), work, on_event=on_event, say=say or (lambda _: None))
    return training.run(progress)


class _Training:
    """One call of `train_networks`."""

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        settings: Settings,
        work: Path,
        *,
        on_event: OnEvent | None,
        say: Callable[[str], None],
    ) -> None:
        everyone = tuple(sorted({name for case in cases for name in case.raters}))
        self.cases = _unique(cases)
        self.settings = settings
        self.work = work
        self.say = say
        self.held_out = held_out_ids(cases, fraction=settings.held_out, seed=settings.seed)
        self.lesson = Lesson(
            teach=parse_teach(settings.teach, everyone),
            everyone=everyone,
            margin=settings.roi.margin if settings.coarse else None,
            structure=settings.structure,
            seed=settings.seed,
        )
        self.crew = Crew(work / "jobs", at_once=settings.workers or 1, on_event=on_event)
        self.figures: dict[str, dict[str, Any]] = {}

    def run(self, progress: CaseProgress | None) -> TrainedNetworks:
        began = perf_counter()
        make_folder(self.work)
        self.say(f"writing nnU-Net's datasets of {len(self.cases)} cases")
        coarse, fine = write_datasets(
            self.cases,
            self.lesson,
            self.work / "data",
            n_members=self.settings.n_members,
            coarse=self.settings.coarse,
            held_out=self.held_out,
            progress=progress,
        )
        networks = self._networks(coarse, fine)
        failed = {network.name: "not trained yet" for network in networks}
        for attempt in range(self.settings.retries + 1):
            again = [
                network.tried(attempt, settings=self.settings, folder=self.work / "networks")
                for network in networks
                if network.name in failed
            ]
            if again:
                self._attempt(again)
                latest = {network.name: network for network in again}
                networks = [latest.get(network.name, network) for network in networks]
                failed = failures(networks, self.figures, self.settings)
                for name, reason in failed.items():
                    self.say(f"network {name}: {reason}")
        return self._result(networks, failed, perf_counter() - began)

    def _networks(self, coarse: Written | None, fine: list[Written]) -> list[Network]:
        n = self.settings.n_members
        found = [] if coarse is None else [Network("coarse", "coarse", coarse, 0, self.work)]
        for member in range(n):
            data = fine[self.lesson.dataset_of(member, n)]
            found.append(Network(f"member_{member + 1}", "fine", data, member + 1, self.work))
        return found

    def _attempt(self, networks: list[Network]) -> None:
        left = [network for network in networks if not network.is_done(self.settings)]
        self._prepare({network.data.folder: network for network in left})
        if left:
            self.say(f"training {', '.join(network.name for network in left)}")
            self.crew.run([self._training_of(network) for network in left])
        self.say(f"judging {', '.join(network.name for network in networks)} on the cases held out")
        self.figures |= judge(networks, self.cases, self.held_out, lesson=self.lesson, settings=self.settings)

    def _prepare(self, by_data: dict[Path, Network]) -> None:
        """Prepare each dataset once, for one of the networks that learn from it."""
        keys = {folder: network.data_key(self.settings) for folder, network in by_data.items()}
        left = [folder for folder in by_data if read_key(folder / _PREPARED) != keys[folder]]
        if not left:
            return
        self.say(f"preparing {len(left)} of nnU-Net's datasets")
        preset = self.settings.preset
        self.crew.run(
            [
                PrepareJob(
                    name=folder.name,
                    data=folder,
                    dataset=by_data[folder].data.name,
                    role=by_data[folder].role,
                    preset=preset,
                    processes=1 if preset.on_cpu else max(1, (os.cpu_count() or 1) // 2),
                )
                for folder in left
            ]
        )
        for folder in left:
            write_text(folder / _PREPARED, json.dumps(keys[folder]) + "\n")

    def _training_of(self, network: Network) -> TrainJob:
        return TrainJob(
            name=network.folder.name,
            data=network.data.folder,
            dataset=network.data.name,
            role=network.role,
            preset=self.settings.preset,
            results=self.work / "running" / network.folder.name,
            out=network.folder,
            seed=network.seed,
            device=self.settings.device,
            threads=self.settings.threads,
            half=self.settings.half,
            key=network.key(self.settings),
        )

    def _result(self, networks: list[Network], failed: dict[str, str], seconds: float) -> TrainedNetworks:
        if "coarse" in failed:
            raise ModelError(
                f"the coarse network is not good enough, and nothing is bundled: {failed['coarse']}. Train longer "
                "(--epochs), on more cases, give --regions, or a larger --margin."
            )
        fine = [network for network in networks if network.role == "fine"]
        members = {network.name: network.folder for network in fine if network.name not in failed}
        if not members:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            raise ModelError(f"no member is good enough, and nothing is bundled: {reasons}. Train longer (--epochs).")
        coarse = next((network.folder for network in networks if network.role == "coarse"), None)
        return TrainedNetworks(coarse, members, failed, self._report(networks, failed, seconds))

    def _report(self, networks: list[Network], failed: dict[str, str], seconds: float) -> dict[str, Any]:
        return {
            "preset": self.settings.preset.model_dump(mode="json"),
            "teach": self.lesson.teach.describe(),
            "raters": list(self.lesson.everyone),
            "seed": self.settings.seed,
            "n_cases": len(self.cases),
            "held_out_cases": sorted(self.held_out),
            "gate": self.settings.gate.model_dump(),
            "margin_mm": self.lesson.margin,
            "networks": {
                network.name: {
                    **self.figures[network.name],
                    "cases_learnt_from": len(set(network.data.cases) - self.held_out),
                    "passed": network.name not in failed,
                }
                for network in networks
            },
            "rejected": failed,
            "seconds": round(seconds, 1),
        }


def _unique(cases: Sequence[TrainingCase]) -> list[TrainingCase]:
    names = [case.id for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"case {twice[0]} is given more than once; case ids must be unique")
    return list(cases)
