"""Makes a bundle of trained networks: copies what is needed of them, describes it, and lets it appear whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from twintrack.errors import ModelError, OutputError
from twintrack.images.atomic import make_folder
from twintrack.images.formats import is_image
from twintrack.images.nnunet_labels import resolve_foreground
from twintrack.segmentation.bundle import Bundle, CoarseEntry, MemberEntry, RoiSettings
from twintrack.segmentation.bundle_files import BUNDLE_JSON, in_words, write_bundle
from twintrack.segmentation.extra import require_nnunet
from twintrack.segmentation.nets.result_folder import CHECKPOINT, open_result_folder  # needs no torch
from twintrack.software import versions

_DESCRIPTIONS = ("plans.json", "dataset.json")
_COARSE = "coarse"
_SCRIPTED = (".pt", ".ts", ".torchscript")


@dataclass(frozen=True)
class _Copier:
    """Copies networks into a bundle."""

    folder: Path
    folds: tuple[int | Literal["all"], ...] | None
    checkpoint: str
    strip: bool

    def nnunet(self, source: Path, name: str, labels: Sequence[str]) -> str:
        """Copy an nnU-Net result folder, if it knows the labels; give its path in the bundle."""
        found = open_result_folder(source, folds=self.folds, checkpoint=self.checkpoint)
        resolve_foreground(found.output, labels, where=str(source))
        for file in _DESCRIPTIONS:
            _copy(source / file, self.folder / name / file)
        for checkpoint in found.checkpoints:
            place = self.folder / name / checkpoint.parent.name / self.checkpoint
            if self.strip:
                make_folder(place.parent)
                _strip(checkpoint, place)
            else:
                _copy(checkpoint, place)
        return name

    def scripted(self, source: Path, name: str) -> str:
        """Copy a TorchScript file and its description; give its path in the bundle."""
        description = source.with_suffix(".json")
        _copy(source, self.folder / name / source.name)
        why = "beside a TorchScript file lies a .json of the same name that describes it"
        _copy(_required(description, why), self.folder / name / description.name)
        return f"{name}/{source.name}"


def create_bundle(
    out: Path,
    *,
    members: Sequence[Path],
    foreground: Sequence[str] = (),
    coarse: Path | None = None,
    coarse_labels: Sequence[str] = (),
    name: str | None = None,
    structure: str | None = None,
    names: Sequence[str] | None = None,
    folds: Sequence[int | Literal["all"]] | None = None,
    checkpoint: str = CHECKPOINT,
    orientation: str | None = "auto",
    roi: RoiSettings | None = None,
    calibration: Path | None = None,
    mirroring: bool = True,
    step: float = 0.5,
    intended_use: str = "",
    training: Mapping[str, Any] | None = None,
    extra_files: Mapping[str, Path] | None = None,
    strip: bool = False,
) -> Bundle:
    """Make a bundle. Only the files needed for predicting are copied; the folder appears when it is whole.

    Args:
        out: The bundle's folder; must not exist, or be empty.
        members: For each member an nnU-Net result folder (with ``plans.json``, ``dataset.json`` and ``fold_…``), a
            TorchScript file (``.pt``, beside it a ``.json`` of the same name), or a folder of precomputed
            probabilities, which is not copied but named by its absolute path.
        foreground: The members' labels that are the structure; needed unless all members are precomputed.
        coarse: The coarse network's nnU-Net result folder.
        coarse_labels: What the coarse network is to find; needed with `coarse`.
        name: What to call the bundle; by default the folder's name.
        structure: What the probability is of, in words; by default the foreground's names.
        names: The members' names; by default ``member_1``, ``member_2``, …
        folds: The folds to take of every nnU-Net folder; None: all that hold the checkpoint.
        checkpoint: Name of the checkpoint.
        orientation: Axis code of the images the networks were trained with; None: as stored in the file; "auto": RAS
            where the plans name nnU-Net's reader that turns images, else as stored, which is what nnU-Net does.
        roi: How the region of interest is made; by default 30 mm around what the coarse network finds.
        calibration: A calibration to put into it.
        mirroring: Whether predictions are averaged over mirrored images where the networks were trained for it.
        step: Step of the sliding window, as a fraction of the patch.
        intended_use: What it is for, and what not.
        training: How it was trained; plain data.
        extra_files: Further files to put into it (a model card), by name.
        strip: Whether checkpoints are reduced to weights of half precision; needs the networks' extra.

    Returns:
        The description with the hashes of its files.

    Raises:
        ModelError: If a file of a network is missing, or what is given does not make a bundle.
        InputError: If a network does not know the labels.
        OutputError: If the folder is not empty or cannot be written; nothing is left of it.
        MissingExtraError: If checkpoints are to be stripped and networks cannot be handled here.
    """
    if not members:
        raise ModelError("a bundle needs at least one member (--members)")
    chosen = list(names) if names is not None else [f"member_{k}" for k in range(1, len(members) + 1)]
    if len(chosen) != len(members):
        raise ModelError(f"{len(members)} members are given, but {len(chosen)} names: {', '.join(chosen)}")
    if _COARSE in chosen:
        raise ModelError(f"a member cannot be called {_COARSE}: that is the other network's folder")
    if strip:
        require_nnunet()
    with _appearing(out) as folder:
        copier = _Copier(folder, None if folds is None else tuple(folds), checkpoint, strip)
        for file, source in {
            **(extra_files or {}),
            **({"calibration.json": calibration} if calibration else {}),
        }.items():
            _copy(_required(source, "it was to go into the bundle"), folder / file)
        try:
            bundle = Bundle(
                name=name or out.resolve().name,
                structure=structure or ", ".join(foreground) or "the structure",
                coarse=None if coarse is None else _coarse(copier, coarse, coarse_labels),
                members=tuple(
                    _member(copier, source, as_, foreground) for source, as_ in zip(members, chosen, strict=True)
                ),
                foreground=tuple(foreground),
                orientation=_orientation([*members, *([coarse] if coarse else [])], copier, orientation),
                roi=roi or RoiSettings(),
                calibration="calibration.json" if calibration else None,
                mirroring=mirroring,
                step=step,
                intended_use=intended_use,
                software=versions("twintrack", "nnunetv2", "torch"),
                training=None if training is None else dict(training),
            )
        except ValidationError as error:
            raise ModelError(f"cannot make the bundle {out}: {in_words(error)}") from error
        return write_bundle(folder, bundle)


def _coarse(copier: _Copier, source: Path, labels: Sequence[str]) -> CoarseEntry:
    return CoarseEntry(
        model=copier.nnunet(source, _COARSE, labels),
        labels=tuple(labels),
        folds=copier.folds,
        checkpoint=copier.checkpoint,
    )


def _member(copier: _Copier, source: Path, name: str, foreground: Sequence[str]) -> MemberEntry:
    if source.is_file():
        if source.suffix not in _SCRIPTED:
            raise ModelError(
                f"{source}: a member is an nnU-Net result folder, a TorchScript file ({', '.join(_SCRIPTED)}) or a "
                "folder of precomputed probabilities"
            )
        return MemberEntry(name=name, kind="torchscript", path=copier.scripted(source, name))
    if not source.is_dir():
        raise ModelError(f"{source}: there is no such file or folder")
    if _is_nnunet(source):
        path = copier.nnunet(source, name, foreground)
        return MemberEntry(name=name, path=path, folds=copier.folds, checkpoint=copier.checkpoint)
    return MemberEntry(name=name, kind="precomputed", path=str(source.resolve()))


def _orientation(sources: Sequence[Path], copier: _Copier, wanted: str | None) -> str | None:
    if wanted != "auto":
        return wanted
    networks = [source for source in sources if _is_nnunet(source)]
    hints = [
        open_result_folder(source, folds=copier.folds, checkpoint=copier.checkpoint).orientation_hint
        for source in networks
    ]
    if len(set(hints)) > 1:
        said = "; ".join(f"{source}: {hint or 'as stored'}" for source, hint in zip(networks, hints, strict=True))
        raise ModelError(
            f"the networks look at images in different orientations and cannot be bundled together: {said}"
        )
    return hints[0] if hints else None


def _is_nnunet(source: Path) -> bool:
    """Tell a result folder from predictions, which may have plans.json and dataset.json too, but have no folds."""
    return source.is_dir() and (any(source.glob("fold_*")) or not any(map(is_image, source.iterdir())))


def _required(file: Path, why: str) -> Path:
    if not file.is_file():
        raise ModelError(f"{file}: there is no such file; {why}")
    return file


def _copy(source: Path, target: Path) -> None:
    make_folder(target.parent)
    shutil.copyfile(source, target)


def _strip(source: Path, target: Path) -> None:
    from twintrack.segmentation.nets.checkpoint import load_checkpoint, save_checkpoint  # noqa: PLC0415 (imports torch)

    save_checkpoint(target, load_checkpoint(source), half=True)


@contextlib.contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """Give a hidden folder beside the final one that takes its name on success, and is removed otherwise."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = f"holds {BUNDLE_JSON}" if (out / BUNDLE_JSON).exists() else "is not an empty folder"
        raise OutputError(f"cannot make the bundle {out}: it exists and {what}; name a new folder")
    target = Path(os.path.realpath(out))
    make_folder(target.parent)
    temporary = target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{target.name}")
    try:
        make_folder(temporary)
        yield temporary
        if target.is_dir():
            target.rmdir()
        temporary.rename(target)
    except OSError as error:
        raise OutputError(f"cannot make the bundle {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
