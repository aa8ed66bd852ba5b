"""TwinTrack calibrates segmentation ensembles to the mean human response (MHR).

A network's probability says little about what experts would draw. TwinTrack fits, on a few scans with several
raters, a map from probability to the fraction of experts who label the voxel. After Kirscher et al. (2026),
arXiv 2604.15950.

Names are imported when they are first used, so that `import twintrack` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twintrack.calibration import (
        Calibration,
        ResponseTable,
        fit,
        load_calibration,
        load_table,
        load_tables,
        save_table,
        suppress,
        tabulate,
    )
    from twintrack.cohort import Case, Cohort, find_cohort
    from twintrack.compute.executors import DaskCluster, Processes
    from twintrack.evaluation import Evaluation, evaluate
    from twintrack.images import Grid, Volume, read_volume, write_volume
    from twintrack.report import plot
    from twintrack.report.html.page import write_report
    from twintrack.report.viewer import show

_HOMES = {
    "Calibration": "calibration",
    "Case": "cohort",
    "Cohort": "cohort",
    "DaskCluster": "compute.executors",
    "Evaluation": "evaluation",
    "Grid": "images",
    "Processes": "compute.executors",
    "ResponseTable": "calibration",
    "Volume": "images",
    "evaluate": "evaluation",
    "find_cohort": "cohort",
    "fit": "calibration",
    "load_calibration": "calibration",
    "load_table": "calibration",
    "load_tables": "calibration",
    "read_volume": "images",
    "save_table": "calibration",
    "show": "report.viewer",
    "suppress": "calibration",
    "tabulate": "calibration",
    "write_report": "report.html.page",
    "write_volume": "images",
}

_MODULES = {"plot": "report.plot"}
"""Public names that are modules themselves."""

__all__ = [
    "Calibration",
    "Case",
    "Cohort",
    "DaskCluster",
    "Evaluation",
    "Grid",
    "Processes",
    "ResponseTable",
    "Volume",
    "evaluate",
    "find_cohort",
    "fit",
    "load_calibration",
    "load_table",
    "load_tables",
    "plot",
    "read_volume",
    "save_table",
    "show",
    "suppress",
    "tabulate",
    "write_report",
    "write_volume",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"twintrack.{_MODULES[name]}")
    if name not in _HOMES:
        raise AttributeError(f"module 'twintrack' has no attribute {name!r}")
    return getattr(import_module(f"twintrack.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
