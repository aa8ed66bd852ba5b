"""Writing what triage found: JSON with everything, and CSV with a row for each case and for each region."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twintrack.evaluation.summary import finite
from twintrack.evaluation.tables import as_csv
from twintrack.evaluation.triage.measure import Measured
from twintrack.evaluation.triage.rank import RankedCase, Worklist
from twintrack.evaluation.triage.regions import Region
from twintrack.images.atomic import make_folder, write_text

WORKLIST_VERSION = 1
"""Version of ``triage.json``; raised when a key changes its meaning."""

_AXES = "zyx"


def worklist_record(worklist: Worklist) -> dict[str, Any]:
    """Describe a worklist in plain data that JSON can hold.

    Keys: ``schema_version``; ``ranking``; ``n_raters`` (K); ``uncertain``, the responses between which a voxel is
    uncertain; ``budget`` (``amount``, ``unit``, ``spent``, ``minutes_per_case``, ``minutes_per_slice``) or null;
    ``rules`` or null; ``cases``, the most urgent first, each with:

    * ``case``, ``patient``, ``rank`` (from 1), ``decision`` ("accept", "review" or "defer"), ``chosen`` (whether it is
      looked at within the budget), ``flags``;
    * ``priorities``; ``expected_volume_mm3``; ``at_least_mm3`` (by k of K experts, as text) and ``margin_mm3``, the
      volume between any and all experts; ``measured`` (if false, mm³ are numbers of voxels; in 2-D they are mm²);
    * ``regions``, those with most expected disagreement first: ``region`` (from 1), ``chosen``, ``voxels``,
      ``volume_mm3``, ``disagreement_mm3``, ``box`` (first and last index along each array axis), ``slices`` (first and
      last) and ``busiest_slice`` along the first axis, ``centre`` (indices along the array axes) and ``centre_mm``
      (LPS, x, y, z). Indices are counted from 0. ``more_regions`` counts those that are not listed;
    * ``vessels`` (`twintrack.evaluation.triage.vessels.vessel_record`) or null.
    """
    budget = worklist.budget
    return {
        "schema_version": WORKLIST_VERSION,
        "ranking": worklist.ranking,
        "n_raters": worklist.n_raters,
        "uncertain": list(worklist.uncertain),
        "budget": {**asdict(budget), "spent": worklist.spent, **asdict(worklist.reading)} if budget else None,
        "rules": worklist.rules.model_dump() if worklist.rules else None,
        "cases": [_case(worklist, k) for k in range(len(worklist.cases))],
    }


def write_worklist(worklist: Worklist, folder: Path) -> tuple[Path, Path, Path]:
    """Write ``triage.json``, ``cases.csv`` and ``regions.csv``; each appears whole or not at all.

    Args:
        worklist: What to write.
        folder: Where; made if it does not exist.

    Returns:
        The three files.

    Raises:
        OutputError: If they cannot be written.
    """
    make_folder(folder)
    record = finite(worklist_record(worklist))
    paths = folder / "triage.json", folder / "cases.csv", folder / "regions.csv"
    write_text(paths[0], _json(record))
    write_text(paths[1], as_csv(list(_case_rows(record))))
    write_text(paths[2], as_csv(list(_region_rows(record))))
    return paths


def write_measured(measured: Measured, folder: Path) -> tuple[Path, Path]:
    """Write ``measured.json`` and ``measured_cases.csv``; each appears whole or not at all.

    Args:
        measured: What to write.
        folder: Where; made if it does not exist.

    Returns:
        The two files.

    Raises:
        OutputError: If they cannot be written.
    """
    make_folder(folder)
    paths = folder / "measured.json", folder / "measured_cases.csv"
    write_text(paths[0], _json(measured.summary))
    write_text(paths[1], as_csv(measured.per_case))
    return paths


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _case(worklist: Worklist, k: int) -> dict[str, Any]:
    one, chosen = worklist.cases[k], worklist.chosen[k]
    return {
        "case": one.case,
        "patient": one.patient,
        "rank": k + 1,
        "decision": worklist.decisions[k],
        "chosen": chosen is not None,
        "flags": list(one.flags),
        "priorities": dict(one.priorities),
        "expected_volume_mm3": one.expected_volume,
        "at_least_mm3": {str(level): volume for level, volume in one.at_least.items()},
        "margin_mm3": _margin(one),
        "measured": one.measured,
        "minutes": worklist.reading.minutes(one.regions.n_slices),
        "regions": [_region(region, n, chosen) for n, region in enumerate(one.regions.found)],
        "more_regions": one.regions.n_more,
        "vessels": one.vessels,
    }


def _margin(one: RankedCase) -> float:
    """Give the volume between any and all experts; of one expert there is none."""
    return one.at_least[1] - one.at_least[len(one.at_least)]


def _region(region: Region, n: int, chosen: list[int] | None) -> dict[str, Any]:
    return {
        "region": n + 1,
        "chosen": chosen is not None and n in chosen,
        "voxels": region.voxels,
        "volume_mm3": region.volume,
        "disagreement_mm3": region.disagreement,
        "box": [list(ends) for ends in region.box],
        "slices": [region.first_slice, region.last_slice],
        "busiest_slice": region.busiest_slice,
        "centre": list(region.centre),
        "centre_mm": None if region.centre_mm is None else list(region.centre_mm),
    }


def _case_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in record["cases"]:
        yield {
            **{name: one[name] for name in ("case", "patient", "rank", "decision", "chosen")},
            **one["priorities"],
            "expected_volume_mm3": one["expected_volume_mm3"],
            "margin_mm3": one["margin_mm3"],
            "minutes": one["minutes"],
            "regions": len(one["regions"]) + one["more_regions"],
            "flags": "; ".join(one["flags"]),
        }


def _region_rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in record["cases"]:
        for region in one["regions"]:
            axes = _AXES[-len(region["box"]) :]
            ends = zip(axes, region["box"], strict=True)
            yield {
                "case": one["case"],
                "rank": one["rank"],
                **{
                    name: region[name]
                    for name in ("region", "chosen", "voxels", "volume_mm3", "disagreement_mm3", "busiest_slice")
                },
                **{f"{axis}_{end}": at for axis, pair in ends for end, at in zip(("first", "last"), pair, strict=True)},
                **{f"centre_{axis}_mm": at for axis, at in zip("xyz", region["centre_mm"] or (), strict=False)},
            }
