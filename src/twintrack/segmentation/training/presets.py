"""How networks are trained: every preset with its numbers, in this one place. Needs no torch.

`nnunet-default` and `resenc-m`, `resenc-l`, `resenc-xl` are nnU-Net's own planners and its own trainer with nothing
changed but the seed: days of GPU time for a coarse network and three members. The `tiny-cpu` presets train small
networks on a processor in minutes, to try the way from scans to a bundle, and for small images.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from twintrack.errors import InputError

Role = Literal["coarse", "fine"]
"""What a network is for: to find the region on the whole CT, or to segment the structure in it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TinyPlan(_Frozen):
    """What the small planner makes a network of, instead of what fits a GPU's memory.

    Attributes:
        patch_voxels: The patch has about so many voxels, as cubic in mm as the images allow.
        least_spacing: Images are not resampled finer than this (mm), so that a small patch sees enough.
        features: Feature maps at the first resolution; doubled at each coarser one.
        most_features: And never more.
        stages: At most so many resolutions.
        batch_size: Patches per iteration.
    """

    patch_voxels: int = Field(gt=0)
    least_spacing: float = Field(default=0.0, ge=0)
    features: int = Field(default=8, gt=0)
    most_features: int = Field(default=64, gt=0)
    stages: int = Field(default=4, ge=2)
    batch_size: int = Field(default=2, ge=2)


class Schedule(_Frozen):
    """How long and how fast a small network learns; AdamW with nnU-Net's polynomial decay, nnU-Net's loss.

    Attributes:
        epochs: Epochs of `iterations` each; the learning rate changes between epochs only.
        iterations: Iterations per epoch.
        learning_rate: At the start.
        foreground: Fraction of the patches that are sure to hold foreground.
    """

    epochs: int = Field(gt=0)
    iterations: int = Field(gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    foreground: float = Field(default=0.67, ge=0, le=1)


class NetworkPreset(_Frozen):
    """How one kind of network is made.

    Attributes:
        configurations: Configurations of the plans; the first there is is trained.
        tiny: The small plan; None leaves planning to nnU-Net.
        schedule: The small trainer's; None leaves all to nnU-Net's trainer.
        epochs: For nnU-Net's trainer, another number of epochs than its own (1000).
    """

    configurations: tuple[str, ...]
    tiny: TinyPlan | None = None
    schedule: Schedule | None = None
    epochs: int | None = Field(default=None, gt=0)


class Preset(_Frozen):
    """How the networks of a bundle are made.

    Attributes:
        name: What `--preset` calls it.
        summary: In a line.
        planner: The planner's class: nnU-Net's, or `TinyPlanner`.
        plans_name: What the planner calls its plans.
        fine: The members.
        coarse: The network that finds the region; None: a bundle of this preset has none.
        on_cpu: Whether it is made for processors: one thread per network, networks side by side.
        mirroring: Whether predictions are averaged over mirrored images (networks that never saw one must not).
    """

    name: str
    summary: str
    planner: str
    plans_name: str
    fine: NetworkPreset
    coarse: NetworkPreset | None
    on_cpu: bool = False
    mirroring: bool = True

    def of(self, role: Role) -> NetworkPreset:
        """Give what a kind of network is made of.

        Raises:
            InputError: If the preset has none.
        """
        if role == "fine":
            return self.fine
        if self.coarse is None:
            raise InputError(f"the preset {self.name} has no coarse network; choose another one, or --no-coarse")
        return self.coarse

    def with_epochs(self, epochs: int | None) -> Preset:
        """Give the preset with another number of epochs for every network; None changes nothing."""
        if epochs is None:
            return self
        coarse = None if self.coarse is None else _with_epochs(self.coarse, epochs)
        return self.model_copy(update={"fine": _with_epochs(self.fine, epochs), "coarse": coarse})


def _with_epochs(network: NetworkPreset, epochs: int) -> NetworkPreset:
    if network.schedule is None:
        return NetworkPreset.model_validate({**network.model_dump(), "epochs": epochs})
    schedule = Schedule.model_validate({**network.schedule.model_dump(), "epochs": epochs})
    return network.model_copy(update={"schedule": schedule})


def _of_nnunet(name: str, summary: str, planner: str, plans_name: str) -> Preset:
    return Preset(
        name=name,
        summary=summary,
        planner=planner,
        plans_name=plans_name,
        fine=NetworkPreset(configurations=("3d_fullres", "2d")),
        # nnU-Net plans 3d_lowres only where a patch at full resolution sees too little of the image.
        coarse=NetworkPreset(configurations=("3d_lowres", "3d_fullres")),
    )


def presets() -> dict[str, Preset]:
    """Give the presets by name."""
    known = (
        _of_nnunet(
            "nnunet-default",
            "nnU-Net's default planner and trainer; a GPU of about 8 GB",
            "ExperimentPlanner",
            "nnUNetPlans",
        ),
        _of_nnunet(
            "resenc-m",
            "nnU-Net's residual encoder, size M; a GPU of about 10 GB",
            "nnUNetPlannerResEncM",
            "nnUNetResEncUNetMPlans",
        ),
        _of_nnunet(
            "resenc-l",
            "nnU-Net's residual encoder, size L; a GPU of 24 GB",
            "nnUNetPlannerResEncL",
            "nnUNetResEncUNetLPlans",
        ),
        _of_nnunet(
            "resenc-xl",
            "nnU-Net's residual encoder, size XL; a GPU of 40 GB",
            "nnUNetPlannerResEncXL",
            "nnUNetResEncUNetXLPlans",
        ),
        Preset(
            name="tiny-cpu",
            summary="a small 3-D network on a processor, minutes for each",
            planner="TinyPlanner",
            plans_name="TwinTrackTinyPlans",
            fine=NetworkPreset(
                configurations=("3d_fullres",),
                tiny=TinyPlan(patch_voxels=32 * 32 * 48, least_spacing=1.5),
                schedule=Schedule(epochs=60, iterations=30),
            ),
            coarse=NetworkPreset(
                configurations=("3d_fullres",),
                tiny=TinyPlan(patch_voxels=32 * 48 * 48, least_spacing=5.0),
                schedule=Schedule(epochs=15, iterations=20),
            ),
            on_cpu=True,
            mirroring=False,
        ),
        Preset(
            name="tiny-cpu-2d",
            summary="a small 2-D network on a processor, for slices and crops; no coarse network",
            planner="TinyPlanner",
            plans_name="TwinTrackTinyPlans",
            fine=NetworkPreset(
                configurations=("2d",),
                tiny=TinyPlan(patch_voxels=64 * 64, features=16, most_features=128, batch_size=12),
                schedule=Schedule(epochs=40, iterations=50),
            ),
            coarse=None,
            on_cpu=True,
            mirroring=False,
        ),
    )
    return {preset.name: preset for preset in known}


def preset_named(name: str) -> Preset:
    """Give a preset.

    Args:
        name: Its name.

    Returns:
        The preset.

    Raises:
        InputError: If there is none of this name.
    """
    known = presets()
    if name not in known:
        raise InputError(f"there is no preset {name!r}; choose one of {', '.join(known)}")
    return known[name]
