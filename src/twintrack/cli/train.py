"""`twintrack train`: train, judge, calibrate and bundle an ensemble with nnU-Net's own code."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twintrack.cli import options, segment_options
from twintrack.cli.display import message, show_json, show_table, show_written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twintrack.cohort import Cohort
    from twintrack.pipeline.train import TrainedBundle
    from twintrack.segmentation.cts import Ct
    from twintrack.segmentation.training.train import Settings


def command(
    raters: Annotated[
        list[Path],
        typer.Option(
            "--raters",
            help="Raters' masks: a folder of case folders with annotation_1, annotation_2, …, or one folder per rater.",
            metavar="DIR [DIR ...]",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The bundle's folder; must not exist yet.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(
            "--images",
            help="The CTs, by case id. Default: image.nii.gz beside the raters' masks.",
            metavar="PATH [PATH ...]",
        ),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            "--regions",
            help="Folder with what the coarse network is to find (the organ): CASE.nii.gz or CASE/region.nii.gz. "
            "Default: what any rater drew.",
        ),
    ] = None,
    cases: options.Cases = None,
    train_split: Annotated[str, typer.Option(help="With --cases, the split networks learn from.")] = "train",
    calibration_split: Annotated[
        str, typer.Option(help="With --cases, the split the ensemble is calibrated on.")
    ] = "calibration",
    calibrate: Annotated[
        bool, typer.Option(help="Without --cases there is nothing to calibrate on, and this is off.")
    ] = True,
    preset: Annotated[
        str,
        typer.Option(
            help="nnunet-default, resenc-m, resenc-l, resenc-xl (nnU-Net's own, on a GPU), tiny-cpu or tiny-cpu-2d."
        ),
    ] = "nnunet-default",
    members: Annotated[int, typer.Option("--members", help="How many members the ensemble has.", min=1)] = 3,
    coarse: Annotated[
        bool | None,
        typer.Option(
            "--coarse/--no-coarse",
            help="Whether a network that finds the region is trained. Default: if the preset has one.",
        ),
    ] = None,
    teach: Annotated[
        str,
        typer.Option(
            help="Whose masks a member learns from: random (one rater per case, chosen anew for each member), each "
            "(member 1 from the first rater, member 2 from the second, …), majority, or a rater's name."
        ),
    ] = "random",
    structure: Annotated[str, typer.Option(help="What the raters drew, in one word.")] = "tumour",
    epochs: Annotated[int | None, typer.Option(help="Instead of the preset's number of epochs.", min=1)] = None,
    margin: Annotated[float, typer.Option(help="Dilation of the region in mm.", min=0.0)] = 30.0,
    method: Annotated[str, typer.Option(help="Method of the calibration.")] = "auto",
    retries: Annotated[
        int, typer.Option(help="How often a network that fails on the held-out cases is trained again.", min=0)
    ] = 1,
    held_out: Annotated[
        float, typer.Option(help="Fraction of the training patients that networks are judged on.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of the held-out patients, of teachers and networks.", min=0)] = 0,
    device: segment_options.Device = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Threads of each network on the CPU. Default: 1 for tiny-cpu.", min=1)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Networks trained at once. Default: one per core for tiny-cpu, else 1.", min=1)
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for everything on the way, by which an interrupted run goes on. Default: OUT-work."),
    ] = None,
    keep_work: Annotated[
        bool, typer.Option("--keep-work", help="Keep that folder when the bundle is written.")
    ] = False,
    rater_labels: options.RaterLabels = None,
    json: options.Json = False,
) -> None:
    """Train a coarse network and an ensemble, judge each on held-out patients, calibrate, and write the bundle.

    Training is nnU-Net's own: its planner, its preprocessing, its trainer. Members that fail on the held-out patients
    are trained again with another seed, or reported and left out of the bundle.

    Example: `twintrack train --raters raters --regions pancreas --cases cases.csv --preset tiny-cpu --out bundle`
    """
    from twintrack.cli.training_progress import TrainingProgress  # noqa: PLC0415  (keeps --help fast)
    from twintrack.pipeline.train import find_regions, train_bundle, training_cases  # noqa: PLC0415
    from twintrack.segmentation.bundle import RoiSettings  # noqa: PLC0415
    from twintrack.segmentation.extra import require_nnunet  # noqa: PLC0415
    from twintrack.segmentation.segmenter import with_margin  # noqa: PLC0415
    from twintrack.segmentation.training.presets import preset_named  # noqa: PLC0415
    from twintrack.segmentation.training.train import Settings  # noqa: PLC0415

    require_nnunet()
    chosen = preset_named(preset).with_epochs(epochs)
    settings = Settings(
        preset=chosen,
        n_members=members,
        coarse=chosen.coarse is not None if coarse is None else coarse,
        teach=teach,
        structure=structure,
        seed=seed,
        held_out=held_out,
        retries=retries,
        roi=with_margin(RoiSettings(), margin),
        device=device,
        threads=threads,
        workers=workers,
    )

    def part(split: str) -> Cohort:
        return options.cohort_from(
            raters=raters, cases=cases, split=split if cases else None, rater_labels=rater_labels
        )

    cts = _cts(images)
    learnt = training_cases(part(train_split), images=cts, regions=find_regions(regions) if regions else None)
    calibration = part(calibration_split) if cases and calibrate else None
    if calibration is None:
        message("no calibration cases (--cases with a split): the bundle gets no calibration; see `twintrack fit`")
    # Resolved, because "." has no name to put something after.
    folder = work or Path(f"{out.resolve()}-work")
    with TrainingProgress() as progress:
        made = train_bundle(
            out,
            learnt,
            settings,
            calibration=calibration,
            images=cts,
            method=method,
            work=folder,
            watching=progress.watching,
        )
    if not keep_work:
        shutil.rmtree(folder, ignore_errors=True)
    if json:
        show_json({"bundle": str(out), **made.networks.report, "calibrated": made.calibration is not None})
        return
    _show(made, settings)
    show_written([out])


def _cts(images: list[Path] | None) -> Mapping[str, Ct] | None:
    from twintrack.segmentation.cts import find_cts  # noqa: PLC0415  (keeps --help fast)

    return None if images is None else {ct.case_id: ct for ct in find_cts(images)}


def _show(made: TrainedBundle, settings: Settings) -> None:
    report: dict[str, Any] = made.networks.report
    rows = []
    for name, one in report["networks"].items():
        figures = [one["held_out"][key] for key in ("mean", "min")]
        shown = ["–" if figure is None else f"{figure:.3f}" for figure in figures]
        verdict = "bundled" if one["passed"] else "left out"
        rows.append([name, one["measured"], *shown, str(one["attempt"]), verdict])
    show_table(
        f"On the {len(report['held_out_cases'])} held-out cases (preset {settings.preset.name})",
        ["network", "measured", "mean", "min", "attempts", ""],
        rows,
    )
    for name, reason in made.networks.rejected.items():
        message(f"{name} is not in the bundle: {reason}")
