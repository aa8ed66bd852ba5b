"""`twintrack bundle`: make a model bundle of trained networks, show what is in one, and check it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twintrack.cli import options, segment_options
from twintrack.cli.display import console, output, show_json, show_table, show_written
from twintrack.errors import InputError, TwinTrackError

if TYPE_CHECKING:
    from twintrack.segmentation.bundle_files import LoadedBundle

Folder = Annotated[Path, typer.Argument(help="The bundle.")]


def create(
    members: Annotated[
        list[Path],
        typer.Option(
            "--members",
            help="The members: nnU-Net result folders (with plans.json and fold_…), TorchScript files, or folders of "
            "precomputed probabilities.",
            metavar="DIR [DIR ...]",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The bundle's folder; must not exist yet.")],
    foreground: Annotated[
        str | None, typer.Option("--foreground", help="The members' labels that are the structure: tumour,cyst.")
    ] = None,
    coarse: Annotated[
        Path | None, typer.Option("--coarse", help="nnU-Net result folder of the network that finds the region.")
    ] = None,
    coarse_labels: Annotated[
        str | None, typer.Option("--coarse-labels", help="What the coarse network is to find: pancreas,tumour.")
    ] = None,
    names: Annotated[str | None, typer.Option("--names", help="The members' names, separated by commas.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call it. Default: the folder's name.")] = None,
    structure: Annotated[str | None, typer.Option("--structure", help="What the probability is of, in words.")] = None,
    folds: Annotated[
        str | None, typer.Option("--folds", help="Folds of each nnU-Net folder: 0,1 or all. Default: all there are.")
    ] = None,
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="Name of the checkpoint.")] = "checkpoint_final.pth",
    orientation: Annotated[
        str,
        typer.Option(
            "--orientation",
            help="Axis code of the images the networks were trained with (LPS, RAS, …), stored (as they lie in the "
            "file), or auto: RAS if the plans name nnU-Net's reader that turns images, else stored.",
        ),
    ] = "auto",
    margin: Annotated[float, typer.Option("--margin", help="Dilation of the region in mm.", min=0.0)] = 30.0,
    smallest: Annotated[
        float, typer.Option("--smallest", help="Volume in mm³ below which a component is implausible.", min=0.0)
    ] = 1000.0,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="A calibration (`twintrack fit`) to put into it.")
    ] = None,
    intended_use: Annotated[str, typer.Option("--intended-use", help="What it is for, and what not.")] = "",
    mirroring: Annotated[
        bool, typer.Option(help="Average over mirrored images where the networks were trained for it.")
    ] = True,
    step: Annotated[float, typer.Option("--step", help="Step of the sliding window, as part of the patch.")] = 0.5,
    strip: Annotated[
        bool, typer.Option("--strip", help="Reduce checkpoints to weights of half precision: much smaller files.")
    ] = False,
) -> None:
    """Make a bundle of trained networks. What predicting needs is copied, and hashed.

    Example: `twintrack bundle create --coarse nnUNet_results/…/coarse --coarse-labels pancreas --members a b c
    --foreground tumour --calibration calibration.json --out bundle`
    """
    from twintrack.segmentation.bundle import RoiSettings  # noqa: PLC0415  (keeps --help fast)
    from twintrack.segmentation.create import create_bundle  # noqa: PLC0415

    if calibration is not None:
        _require_calibration(calibration)
    made = create_bundle(
        out,
        members=members,
        foreground=_words(foreground),
        coarse=coarse,
        coarse_labels=_words(coarse_labels),
        name=name,
        structure=structure,
        names=_words(names) or None,
        folds=_folds(folds),
        checkpoint=checkpoint,
        orientation=None if orientation == "stored" else orientation,
        roi=RoiSettings(margin=margin, smallest=smallest),
        calibration=calibration,
        mirroring=mirroring,
        step=step,
        intended_use=intended_use,
        strip=strip,
    )
    show_written([f"{len(made.members)} members into {out}; check it with `twintrack bundle verify {out}`"])


def inspect(folder: Folder, json: options.Json = False) -> None:
    """Show what a bundle says of itself. Its files are not checked: see `bundle verify`.

    Example: `twintrack bundle inspect bundle`
    """
    from twintrack.segmentation.bundle_files import load_bundle  # noqa: PLC0415  (keeps --help fast)

    loaded = load_bundle(folder, verify=False)
    if json:
        show_json(loaded.bundle.model_dump(mode="json"))
        return
    show_table(f"Bundle {loaded.bundle.name}", ["", ""], _rows(loaded))


def verify(
    folder: Folder,
    trust_checkpoint: segment_options.TrustCheckpoint = False,
    json: options.Json = False,
) -> None:
    """Check a bundle: its files, every network, their labels, the calibration. Exits with 1 if something is wrong.

    Example: `twintrack bundle verify bundle`
    """
    from twintrack.segmentation.verify import verify_bundle  # noqa: PLC0415  (keeps --help fast)

    problems = [*verify_bundle(folder, trust_checkpoint=trust_checkpoint), *_calibration_problems(folder)]
    if json:
        show_json({"bundle": str(folder), "problems": problems})
    elif not problems:
        output.print("the bundle is whole, and every network in it can be loaded")
    for problem in problems:
        console.print(f"[yellow]problem:[/] {_escaped(problem)}", highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)


def _rows(loaded: LoadedBundle) -> Iterator[tuple[str, str]]:
    bundle = loaded.bundle
    yield "structure", bundle.structure
    yield "foreground", ", ".join(bundle.foreground) or "as given"
    coarse = bundle.coarse
    yield (
        "coarse network",
        "none: the whole image is searched" if coarse is None else f"finds {', '.join(coarse.labels)}",
    )
    for member in bundle.members:
        yield f"member {member.name}", f"{member.kind}, {member.path}"
    yield "orientation", bundle.orientation or "as stored"
    yield "ROI margin (mm)", f"{bundle.roi.margin:g}"
    yield "smallest component (mm³)", f"{bundle.roi.smallest:g}"
    yield "calibration", bundle.calibration or "none"
    yield "mirroring", "yes" if bundle.mirroring else "no"
    yield "intended use", bundle.intended_use or "not said"
    yield "made with", ", ".join(f"{name} {version}" for name, version in bundle.software.items()) or "not said"
    yield "files", str(len(bundle.sha256))
    yield "SHA-256 of bundle.json", loaded.sha256


def _calibration_problems(folder: Path) -> list[str]:
    from twintrack.segmentation.bundle_files import load_bundle  # noqa: PLC0415  (keeps --help fast)

    try:
        loaded = load_bundle(folder, verify=False)
        path = loaded.calibration_path
        if path is None or not path.is_file():
            return []
        fitted = _require_calibration(path)
    except TwinTrackError as error:
        # A bundle that cannot be read is among the problems already.
        return [] if isinstance(error, InputError) else [str(error)]
    known, own = fitted.provenance.foreground, loaded.bundle.foreground
    if known and own and tuple(known) != tuple(own):
        return [f"{path}: is a calibration of {', '.join(known)}, but the members predict {', '.join(own)}"]
    return []


def _require_calibration(path: Path) -> Any:
    from twintrack.calibration import load_calibration  # noqa: PLC0415  (keeps --help fast)

    return load_calibration(path)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()] if text else []


def _folds(text: str | None) -> list[int | Any] | None:
    words = _words(text)
    if not words:
        return None
    if not all(word == "all" or word.isdecimal() for word in words):
        raise InputError(f"--folds takes numbers or 'all', separated by commas; got {text!r}")
    return [word if word == "all" else int(word) for word in words]


def _escaped(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415  (rarely needed)

    return escape(text)
