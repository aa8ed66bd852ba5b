"""What a model bundle says of itself: the content of `bundle.json`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

_AXIS_CODE = re.compile(r"(?=.*[RL])(?=.*[AP])(?=.*[SI])[RLAPSI]{3}")
_MEMBER_NAME = re.compile(r"\w[\w.-]*")


def _inside(path: str) -> str:
    """Refuse a path that could lead out of the bundle."""
    posix = PurePosixPath(path)
    if not path or "\\" in path or ".." in posix.parts or posix.is_absolute() or PureWindowsPath(path).drive:
        raise ValueError(
            f"{path!r} leads out of the bundle; write a path relative to bundle.json, with / and without .."
        )
    return path


InsidePath = Annotated[str, AfterValidator(_inside)]
Fold = int | Literal["all"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RoiSettings(_Frozen):
    """How a region of interest is made of what the coarse network found.

    Attributes:
        margin: Dilation in mm.
        smallest: Components below this volume (mm³) are implausible.
        keep: Components below this fraction of the largest one's volume are implausible.
    """

    margin: float = Field(default=30.0, ge=0, allow_inf_nan=False)
    smallest: float = Field(default=1000.0, ge=0, allow_inf_nan=False)
    keep: float = Field(default=0.1, ge=0, le=1)


class CoarseEntry(_Frozen):
    """The network that finds the region.

    Attributes:
        model: Its nnU-Net result folder, relative to the bundle.
        labels: What it is to find, by the names in its ``dataset.json``.
        folds: The folds used; None: all that are there.
        checkpoint: Name of the checkpoint in each fold's folder.
    """

    model: InsidePath
    labels: tuple[str, ...] = Field(min_length=1)
    folds: tuple[Fold, ...] | None = None
    checkpoint: InsidePath = "checkpoint_final.pth"


class MemberEntry(_Frozen):
    """A member of the ensemble.

    Attributes:
        name: What to call it in messages and files.
        kind: An nnU-Net result folder, a TorchScript file, or a folder of probabilities made elsewhere.
        path: Where it is, relative to the bundle; only precomputed probabilities may lie elsewhere.
        folds: For nnU-Net, the folds used; None: all that are there.
        checkpoint: For nnU-Net, the name of the checkpoint in each fold's folder.
    """

    name: str
    kind: Literal["nnunet", "torchscript", "precomputed"] = "nnunet"
    path: str = Field(min_length=1)
    folds: tuple[Fold, ...] | None = None
    checkpoint: InsidePath = "checkpoint_final.pth"

    @field_validator("name")
    @classmethod
    def _can_be_a_folder(cls, name: str) -> str:
        if not _MEMBER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a folder; use letters, digits, '_', '-' and '.'")
        return name

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        if self.kind != "precomputed":
            _inside(self.path)
        return self


class Bundle(_Frozen):
    """A coarse network, the members of the ensemble, and everything needed to use them alike everywhere.

    Attributes:
        schema_version: Version of the file; raised when an older TwinTrack could not read a newer file.
        name: What to call it.
        structure: What the probability is of, in words.
        coarse: The network that finds the region; None: the whole image is searched, or a given ROI.
        members: The ensemble.
        foreground: The members' labels that are merged into the structure's probability; empty where precomputed
            probabilities do not say.
        orientation: Axis code ("LPS", "RAS", …) of the images the networks were trained with; None: as stored in the
            file, which is what nnU-Net does with its SimpleITK reader.
        roi: How the region of interest is made.
        calibration: The calibration, relative to the bundle.
        mirroring: Whether predictions are averaged over mirrored images where the network was trained for it.
        step: Step of nnU-Net's sliding window, as a fraction of the patch.
        intended_use: What it is for, and what not.
        software: Versions of the software that made it.
        training: How it was trained; free.
        sha256: SHA-256 of every file of the bundle but this one, by path.
    """

    schema_version: Literal[1] = 1
    name: str = Field(min_length=1)
    structure: str
    coarse: CoarseEntry | None = None
    members: tuple[MemberEntry, ...] = Field(min_length=1)
    foreground: tuple[str, ...] = ()
    orientation: str | None = None
    roi: RoiSettings = RoiSettings()
    calibration: InsidePath | None = None
    mirroring: bool = True
    step: float = Field(default=0.5, gt=0, le=1)
    intended_use: str = ""
    software: dict[str, str] = {}
    training: dict[str, Any] | None = None
    sha256: dict[InsidePath, str] = {}

    @field_validator("orientation")
    @classmethod
    def _has_three_axes(cls, code: str | None) -> str | None:
        if code is not None and not _AXIS_CODE.fullmatch(code):
            raise ValueError(f"{code!r} is no axis code; use one of R/L, one of A/P and one of S/I, such as LPS or RAS")
        return code

    @model_validator(mode="after")
    def _has_each_name_once(self) -> Self:
        names = [member.name for member in self.members]
        if len({name.lower() for name in names}) < len(names):
            raise ValueError(f"members must have different names, not {', '.join(names)}")
        if not self.foreground and any(member.kind != "precomputed" for member in self.members):
            raise ValueError("foreground: name the labels that are the structure")
        return self
