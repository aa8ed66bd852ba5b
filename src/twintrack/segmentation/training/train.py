"""Training a coarse network and the members of an ensemble, and judging each on cases it did not learn from."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from twintrack.errors import InputError, ModelError
from twintrack.images.atomic import make_folder, write_text
from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.extra import require_nnunet
from twintrack.segmentation.training.cases import TrainingCase, load_case
from twintrack.segmentation.training.crew import Crew, OnEvent
from twintrack.segmentation.training.datasets import REGION, CaseProgress, Lesson, Written, write_datasets
from twintrack.segmentation.training.gate import Gate, member_dice, region_recall, summary
from twintrack.segmentation.training.job import PrepareJob, TrainJob
from twintrack.segmentation.training.presets import Preset, Role, preset_named
from twintrack.segmentation.training.split import HELD_OUT, held_out_ids
from twintrack.segmentation.training.teach import Teach, parse_teach

_LABEL = re.compile(r"[A-Za-z]\w*")


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
            raise InputError(f"the structure's name is {self.structure!r}; use letters, digits and '_'")
        if self.coarse:
            self.preset.of("coarse")
        cores = os.cpu_count() or 1
        return replace(
            self,
            workers=self.workers or (cores if self.preset.on_cpu else 1),
            threads=self.threads or (1 if self.preset.on_cpu else None),
        )


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


@dataclass(frozen=True)
class _Network:
    """One network to be trained."""

    name: str
    role: Role
    data: Written
    number: int
    seed: int
    attempt: int
    folder: Path


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
    training = _Training(
        cases, wanted.checked(), work, on_event=on_event, say=say or (lambda _: None), progress=progress
    )
    return training.run()


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
        progress: CaseProgress | None,
    ) -> None:
        self.cases = _unique(cases)
        self.settings = settings
        self.work = work
        self.say = say
        self.progress = progress
        self.everyone = tuple(sorted({name for case in cases for name in case.raters}))
        self.teach: Teach = parse_teach(settings.teach, self.everyone)
        self.held_out = held_out_ids(cases, fraction=settings.held_out, seed=settings.seed)
        self.lesson = Lesson(
            self.teach,
            self.everyone,
            settings.roi.margin if settings.coarse else None,
            settings.structure,
            settings.seed,
        )
        self.crew = Crew(work / "jobs", at_once=settings.workers or 1, on_event=on_event)
        self.figures: dict[str, dict[str, Any]] = {}

    def run(self) -> TrainedNetworks:
        began = perf_counter()
        make_folder(self.work)
        self.say(f"writing nnU-Net's datasets of {len(self.cases)} cases")
        coarse_data, fine_data = write_datasets(
            self.cases,
            self.lesson,
            self.work / "data",
            n_members=self.settings.n_members,
            coarse=self.settings.coarse,
            held_out=self.held_out,
            progress=self.progress,
        )
        networks = self._networks(coarse_data, fine_data)
        failed: dict[str, str] = {}
        for attempt in range(self.settings.retries + 1):
            again = [self._attempt(network, attempt) for network in networks if attempt == 0 or network.name in failed]
            if not again:
                break
            self._prepare(again)
            self._train(again)
            self._judge(again)
            networks = [next((new for new in again if new.name == network.name), network) for network in networks]
            failed = self._failed(networks)
            for name, reason in failed.items():
                self.say(f"network {name}: {reason}")
        return self._result(networks, failed, perf_counter() - began)

    def _networks(self, coarse: Written | None, fine: list[Written]) -> list[_Network]:
        n = self.settings.n_members
        found = [] if coarse is None else [_Network("coarse", "coarse", coarse, 0, 0, 0, self.work)]
        for member in range(n):
            data = fine[self.lesson.dataset_of(member, n)]
            found.append(_Network(f"member_{member + 1}", "fine", data, member + 1, 0, 0, self.work))
        return found

    def _attempt(self, network: _Network, attempt: int) -> _Network:
        state = np.random.SeedSequence([self.settings.seed, network.number, attempt]).generate_state(1)
        suffix = f"_retry_{attempt}" if attempt else ""
        return replace(
            network,
            attempt=attempt,
            seed=int(state[0]),
            folder=self.work / "networks" / f"{network.name}{suffix}",
        )

    def _prepare(self, networks: list[_Network]) -> None:
        jobs: dict[Path, PrepareJob] = {}
        for network in networks:
            if _is_done(network.folder, self._key(network)) or network.data.folder in jobs:
                continue
            mark = network.data.folder / "prepared.json"
            if _reads(mark) == self._data_key(network):
                continue
            jobs[network.data.folder] = PrepareJob(
                name=network.data.folder.name,
                data=network.data.folder,
                dataset=network.data.name,
                role=network.role,
                preset=self.settings.preset,
                processes=1 if self.settings.preset.on_cpu else max(1, (os.cpu_count() or 1) // 2),
            )
        if jobs:
            self.say(f"preparing {len(jobs)} of nnU-Net's datasets")
            self.crew.run(list(jobs.values()))
        for network in networks:
            if network.data.folder in jobs:
                write_text(network.data.folder / "prepared.json", json.dumps(self._data_key(network)))

    def _train(self, networks: list[_Network]) -> None:
        left = [network for network in networks if not _is_done(network.folder, self._key(network))]
        if not left:
            return
        self.say(f"training {', '.join(network.name for network in left)}")
        jobs = [
            TrainJob(
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
                key=self._key(network),
            )
            for network in left
        ]
        self.crew.run(jobs)

    def _judge(self, networks: list[_Network]) -> None:
        """Run the networks on the held-out cases, each case read once."""
        from twintrack.segmentation.nets.nnunet import NnunetModel  # noqa: PLC0415  (imports torch)

        self.say(f"judging {', '.join(network.name for network in networks)} on the cases held out")
        models = {
            network.name: NnunetModel(
                network.folder,
                name=network.name,
                foreground=(REGION if network.role == "coarse" else self.settings.structure,),
                device=self.settings.device,
                threads=self.settings.threads,
                mirroring=self.settings.preset.mirroring,
            )
            for network in networks
        }
        found: dict[str, dict[str, float]] = {network.name: {} for network in networks}
        for case in self.cases:
            if case.id not in self.held_out:
                continue
            loaded = load_case(case)
            for network in networks:
                model = models[network.name]
                if network.role == "coarse":
                    figure = region_recall(model, loaded, self.settings.roi)
                else:
                    truth = self.lesson.label(network.number - 1, loaded)
                    figure = None if truth is None else member_dice(model, loaded, truth, margin=self.lesson.margin)
                if figure is not None:
                    found[network.name][case.id] = round(figure, 4)
        for network in networks:
            self.figures[network.name] = {
                "seed": network.seed,
                "attempt": network.attempt + 1,
                "measured": "recall in the ROI" if network.role == "coarse" else "Dice",
                "held_out": summary(list(found[network.name].values())),
                "cases": found[network.name],
            }

    def _failed(self, networks: list[_Network]) -> dict[str, str]:
        means = {network.name: self.figures[network.name]["held_out"]["mean"] for network in networks}
        # Nothing to judge by (no held-out case was drawn by its teacher) is not passing.
        scores = {name: float("nan") if mean is None else mean for name, mean in means.items()}
        members = {network.name: scores[network.name] for network in networks if network.role == "fine"}
        failed = self.settings.gate.failed(members)
        coarse = scores.get("coarse")
        if coarse is not None and not coarse >= self.settings.gate.recall:
            failed["coarse"] = (
                f"mean recall {coarse:.3f} in the region of interest on the held-out cases is below "
                f"{self.settings.gate.recall:g}"
            )
        return failed

    def _result(self, networks: list[_Network], failed: dict[str, str], seconds: float) -> TrainedNetworks:
        if "coarse" in failed:
            raise ModelError(
                f"the coarse network is not good enough, and nothing is bundled: {failed['coarse']}. Train longer "
                "(--epochs), on more cases, give --regions, or a larger --margin."
            )
        members = {
            network.name: network.folder
            for network in networks
            if network.role == "fine" and network.name not in failed
        }
        if not members:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            raise ModelError(
                f"no member is good enough, and nothing is bundled: {reasons}. Train longer, or on more cases."
            )
        coarse = next((network.folder for network in networks if network.role == "coarse"), None)
        return TrainedNetworks(coarse, members, failed, self._report(networks, failed, seconds))

    def _report(self, networks: list[_Network], failed: dict[str, str], seconds: float) -> dict[str, Any]:
        return {
            "preset": self.settings.preset.model_dump(mode="json"),
            "teach": self.teach.describe(),
            "raters": list(self.everyone),
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

    def _data_key(self, network: _Network) -> str:
        preset = self.settings.preset.model_dump(mode="json")
        # How long a network learns does not change what it learns from.
        for role in ("fine", "coarse"):
            if preset[role] is not None:
                preset[role] = {key: preset[role][key] for key in ("configurations", "tiny")}
        return _hash([network.data.sha256, network.role, preset])

    def _key(self, network: _Network) -> str:
        settings = self.settings
        return _hash([self._data_key(network), settings.preset.model_dump(mode="json"), network.seed, settings.half])


def _unique(cases: Sequence[TrainingCase]) -> list[TrainingCase]:
    names = [case.id for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"case {twice[0]} is given more than once; case ids must be unique")
    return list(cases)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _is_done(folder: Path, key: str) -> bool:
    return _reads(folder / "done.json") == key


def _reads(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
