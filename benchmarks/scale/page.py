"""Turns what was measured into the page of the docs and its figure."""

from __future__ import annotations

from pathlib import Path

from benchmarks.scale.grow import STEPS, Measured
from benchmarks.scale.joining import Joined
from benchmarks.scale.large import Large
from benchmarks.scale.model import Line, slope
from benchmarks.scale.sizes import USUAL
from matplotlib.figure import Figure

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
CTS = 100_000
HOUR, DAY = 3600, 86_400
CORES = 100

HEAD = """<!-- written by `make scale` (benchmarks/scale) -->

# Scale

How time and memory grow with voxels, members, raters and cases: measured on two cores, described by lines, and carried
on to 100,000 CTs. Files are nnU-Net's compressed arrays and masks in `.nii.gz`; the data are made up as in
[Speed](speed.md). Processor seconds count all threads, with reading, checking and hashing the files.
"""


def page(rows: list[Measured], kept: int, joined: list[Joined], large: Large, machine: dict[str, str]) -> str:
    """Write the page."""
    described = ", ".join(f"{name} {value}" for name, value in machine.items())
    parts = [HEAD, f"Machine: {described}.\n", one_case(rows), many_cases(joined, kept), billion(large)]
    return "\n".join([*parts, extrapolated(rows, joined, kept, large)])


def one_case(rows: list[Measured]) -> str:
    """Write what was measured of one case, and the lines through it."""
    text = (
        "## One case\n\n| voxels | members | raters | files | fit | apply | evaluate "
        "|\n|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    sizes = dict.fromkeys((row.voxels, row.members, row.raters, row.read) for row in rows)
    for voxels, members, raters, read in sizes:
        same = {row.step: row for row in rows if (row.voxels, row.members, row.raters) == (voxels, members, raters)}
        cells = [f"{same[step].cpu:.2f} s, {same[step].memory / MIB:.0f} MiB" for step in STEPS]
        text += f"| {voxels / 1e6:.1f}e6 | {members} | {raters} | {read / MIB:.0f} MiB | {' | '.join(cells)} |\n"
    text += (
        "\nMemory is what the peak lies above the memory before. A line through the logarithms of the seconds "
        "against the "
        "voxels (3 members, 5 raters) has the slopes "
    )
    usual = [row for row in rows if (row.members, row.raters) == (USUAL.members, USUAL.raters)]
    slopes = []
    for step in STEPS:
        chosen = [row for row in usual if row.step == step]
        slopes.append(f"{slope([float(r.voxels) for r in chosen], [r.cpu for r in chosen]):.2f} ({step})")
    text += ", ".join(slopes) + ": nothing grows faster than the voxels.\n\n"
    text += (
        "| processor time | for every case | ns a voxel | ns a voxel and member | ns a voxel and rater | "
        "farthest figure |\n"
    )
    text += "|---|---:|---:|---:|---:|---:|\n"
    for step in STEPS:
        line = seconds(rows, step)
        each = " | ".join(f"{1e9 * one:.2f}" for one in (line.voxel, line.member, line.rater))
        text += f"| {step} | {line.fixed:.2f} s | {each} | {100 * line.apart:.0f} % |\n"
    text += (
        "\n| memory | for every case | bytes a voxel | bytes a voxel and member | bytes a voxel and rater | "
        "farthest figure |\n"
    )
    text += "|---|---:|---:|---:|---:|---:|\n"
    for step in STEPS:
        line = memory(rows, step)
        each = " | ".join(f"{one:.2f}" for one in (line.voxel, line.member, line.rater))
        text += f"| {step} | {line.fixed / MIB:.0f} MiB | {each} | {100 * line.apart:.0f} % |\n"
    return text


def many_cases(joined: list[Joined], kept: int) -> str:
    """Write what joining cases takes."""
    text = (
        "## Many cases\n\nOne process joins what was counted of each case: its voxels by probability and votes, in "
        "groups of "
        f"0.8 % width. Of a CT of 512×512×300 that is {kept / MIB:.2f} MiB; here cases are small. Then it fits, "
        "with volumes, guard and 200 refits to resampled patients.\n\n"
        "| cases | memory of the table | its file | fit: processor | fit: memory | calibration's file |\n"
        "|---:|---:|---:|---:|---:|---:|\n"
    )
    for row in joined:
        text += (
            f"| {row.cases} | {row.kept / MIB:.0f} MiB | {row.table / MIB:.1f} MiB | {row.cpu:.1f} s | "
            f"{row.memory / MIB:.0f} MiB | {row.calibration / MIB:.2f} MiB |\n"
        )
    before, after = joined[-2:]
    return text + (
        f"\nFrom {before.cases} to {after.cases} the seconds grow with the {last_slope(joined):.2f}th power.\n"
    )


def last_slope(joined: list[Joined]) -> float:
    """Give the exponent by which the fit's seconds grow between the two largest numbers of cases."""
    return slope([float(row.cases) for row in joined[-2:]], [row.cpu for row in joined[-2:]])


def billion(large: Large) -> str:
    """Write about the fit to a billion voxels."""
    first = large.finished[0]
    early = max(size for when, size in large.curve if when <= first)
    later = max(size for when, size in large.curve if when > first)
    return (
        f'## A billion voxels\n\n`tt.fit(cases, method="isotonic")` on {len(large.finished)} CTs of 512×512×300 with '
        f"{USUAL.members} members and {USUAL.raters} raters, {large.voxels / 1e9:.2f}e9 voxels in compressed files: "
        f"{large.seconds:.0f} s on the clock, {large.cpu:.0f} s of the processor. The resident memory peaks at "
        f"{early / MIB:.0f} MiB during the first case and at {later / MIB:.0f} MiB during all others: it is that "
        f"of one "
        "case.\n\n![Resident memory during the fit](scale_memory.png)\n"
    )


def extrapolated(rows: list[Measured], joined: list[Joined], kept: int, large: Large) -> str:
    """Write what the lines say of many CTs, and what would break first."""
    text = (
        f"## {CTS:,} CTs\n\nOf 512×512×300 voxels, {USUAL.members} members, {USUAL.raters} raters, by the lines above. "
        "The measured cases are at most 43 % of that size; the fit to a billion voxels took "
        f"{large.cpu / len(large.finished):.1f} s for each CT.\n\n"
        f"| | one CT | memory of a worker above what Python takes | {CTS:,} CTs, one core | {CORES} cores |\n"
        "|---|---:|---:|---:|---:|\n"
    )
    for step in STEPS:
        one = seconds(rows, step).at(USUAL)
        text += (
            f"| {step} | {one:.1f} s | {memory(rows, step).at(USUAL) / GIB:.2f} GiB | {CTS * one / DAY:.0f} days | "
            f"{CTS * one / CORES / HOUR:.1f} hours |\n"
        )
    usual = [row for row in rows if (row.members, row.raters) == (USUAL.members, USUAL.raters)]
    density = usual[-1].read / usual[-1].voxels
    exponent = max(last_slope(joined), 1.0)
    fit = joined[-1].cpu * (CTS / joined[-1].cases) ** exponent
    text += (
        f"\nThe files would be {CTS * density * USUAL.voxels / TIB:.0f} TiB: {CORES} cores read "
        f"{density * USUAL.voxels / seconds(rows, 'fit').at(USUAL) * CORES / MIB:.0f} MiB/s while fitting.\n\n"
        f"**What breaks first** is the process that joins: it would hold {CTS * kept / GIB:.0f} GiB of counts, "
        f"and its fit would take {fit / HOUR:.1f} hours of one core, growing as measured. Nobody needs so many "
        f"cases to fit a map of "
        "one number; a cohort drawn from them does (see the learning curves), or `tabulate --min-count`, which "
        "keeps sums "
        "instead of cases. Next, files: where the storage gives less than the rate above, more workers only wait. The "
        "message of each case to the scheduler, a few kilobytes, comes long after.\n"
    )
    return text


def seconds(rows: list[Measured], step: str) -> Line:
    """Give the line through the processor seconds of a step."""
    return Line.through([row for row in rows if row.step == step], lambda row: row.cpu)


def memory(rows: list[Measured], step: str) -> Line:
    """Give the line through the memory of a step."""
    return Line.through([row for row in rows if row.step == step], lambda row: max(row.memory, 1))


def draw(large: Large, path: Path) -> None:
    """Draw the resident memory during the large fit."""
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axis = figure.subplots()
    axis.plot([when for when, _ in large.curve], [size / MIB for _, size in large.curve], color="#0072B2", linewidth=1)
    for when in large.finished:
        axis.axvline(when, color="0.8", linewidth=0.7, zorder=0)
    axis.set(xlabel="seconds (a line where a case ends)", ylabel="resident memory, MiB", ylim=(0, None))
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150, metadata={"Software": None})
