"""`twintrack demo`: the main job from end to end on a cohort made on the spot."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from twintrack.cli.display import counting, output, show_written, track
from twintrack.cli.evaluate import show_scores
from twintrack.cohort import Cohort, find_cohort


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything the demo writes.")] = Path("demo-output"),
    n_cases: Annotated[int, typer.Option("--n-cases", help="CT phantoms to make; half of them calibrate.", min=4)] = 24,
    method: Annotated[str, typer.Option(help="Method of the calibration.")] = "isotonic",
    seed: Annotated[int, typer.Option(help="Seed of the phantoms.", min=0)] = 0,
) -> None:
    """Make a cohort of CT phantoms with simulated raters and members, calibrate on one half, score on the other.

    The same steps on your own data are `twintrack fit`, `twintrack apply` and `twintrack evaluate`.
    """
    from twintrack.calibration import fit  # noqa: PLC0415  (keeps --help fast)
    from twintrack.calibration.write import write_responses  # noqa: PLC0415
    from twintrack.evaluation import evaluate, write_evaluation  # noqa: PLC0415
    from twintrack.synthetic import write_cohort  # noqa: PLC0415

    data = out / f"cohort-seed-{seed}-cases-{n_cases}"
    if (data / "cases.csv").exists():
        output.print(f"using the phantoms of an earlier run in {data}")
    else:
        unfinished = out / f".{data.name}-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        with counting("Making phantoms", n_cases) as done:
            write_cohort(unfinished, n_cases=n_cases, seed=seed, on_case=done)
        unfinished.rename(data)

    def part(split: str) -> Cohort:
        return find_cohort(
            raters=[data / "raters"],
            members=[data / "members"],
            roi=data / "raters",
            cases=data / "cases.csv",
            split=split,
        )

    calibration = fit(part("calibration"), method=method, progress=track)
    file = out / "calibration.json"
    calibration.save(file)
    responses = write_responses(calibration, part("test"), folder=out / "responses", progress=track)
    found = evaluate(part("test"), calibration=calibration, seed=seed, progress=track)
    show_scores(found.summary)
    output.print(
        "Phantoms with simulated raters and members: the figures show that it works, not how well on patients."
    )
    show_written([file, f"{len(responses)} response maps into {out / 'responses'}", *write_evaluation(found, out)])
