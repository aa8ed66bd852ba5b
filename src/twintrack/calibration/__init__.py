"""From response tables to a fitted, saved and applied calibration."""

from twintrack.calibration.calibration import Calibration, load_calibration
from twintrack.calibration.count import tabulate
from twintrack.calibration.fit import fit
from twintrack.calibration.methods import METHODS
from twintrack.calibration.sites.file import load_table, save_table
from twintrack.calibration.sites.join import load_tables
from twintrack.calibration.sites.suppress import suppress
from twintrack.calibration.table import ResponseTable

__all__ = [
    "METHODS",
    "Calibration",
    "ResponseTable",
    "fit",
    "load_calibration",
    "load_table",
    "load_tables",
    "save_table",
    "suppress",
    "tabulate",
]
