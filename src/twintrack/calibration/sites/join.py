"""Joining the tables of several sites: what must be alike, and that no case is counted twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import combinations
from operator import add
from pathlib import Path

from twintrack.calibration.sites.file import load_table
from twintrack.calibration.table import ResponseTable
from twintrack.errors import CalibrationError


def load_tables(paths: Iterable[Path | str]) -> ResponseTable:
    """Read the tables of one or several sites and add them.

    A fit to the sum is the fit to all their cases. What cannot be seen here: that the sites ran the same networks, and
    that a patient was at two of them.

    Args:
        paths: Files written by `save_table` or `twintrack tabulate`.

    Returns:
        The sum.

    Raises:
        CalibrationError: If there is no file, one cannot be read (`load_table`), they count different targets, weigh
            differently or are of different foregrounds, or a case is in two of them.
    """
    tables = {}
    for path in paths:
        if str(path) in tables:
            raise CalibrationError(f"{path} is given twice; give each site's table once")
        tables[str(path)] = load_table(path)
    if not tables:
        raise CalibrationError("there is no table; name at least one file that `twintrack tabulate` wrote")
    _require_alike({path: f"the target {table.target}" for path, table in tables.items()})
    _require_alike({path: f"weighting {table.weighting}" for path, table in tables.items()})
    foregrounds = {path: _foreground(table) for path, table in tables.items()}
    _require_alike({path: text for path, text in foregrounds.items() if text})
    _require_disjoint(tables)
    return reduce(add, tables.values())


def _foreground(table: ResponseTable) -> str:
    """Say of what the probability is; nothing where that is not known."""
    found = {record.foreground for record in table.records} | {site.foreground for site in table.withheld}
    names = sorted(", ".join(one) for one in found if one)
    return f"the foreground {' or '.join(names)}" if names else ""


def _require_alike(said: Mapping[str, str]) -> None:
    if len(set(said.values())) > 1:
        lines = "\n".join(f"  {path}: {text}" for path, text in said.items())
        raise CalibrationError(
            f"these tables do not count the same:\n{lines}\nAgree on one, and count the cases of the others again "
            "(twintrack tabulate)."
        )


def _require_disjoint(tables: Mapping[str, ResponseTable]) -> None:
    hashes = {path: {one.histogram_sha256 for one in table.records} - {""} for path, table in tables.items()}
    sums = {path: set(map(str, table.withheld)) for path, table in tables.items()}
    for one, other in combinations(tables, 2):
        twice = len(hashes[one] & hashes[other]) or sum(
            site.n_cases for site in tables[one].withheld if str(site) in sums[other]
        )
        if twice:
            raise CalibrationError(
                f"{one} and {other} have {twice} {'case' if twice == 1 else 'cases'} in common, which would count "
                "twice. Count each case at one site only (twintrack tabulate --cases)."
            )
