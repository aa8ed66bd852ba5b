"""From response tables to a fitted, saved and applied calibration."""

from twintrack.calibration.calibration import Calibration, load_calibration
from twintrack.calibration.count import tabulate
from twintrack.calibration.fit import fit
from twintrack.calibration.methods import METHODS
from twintrack.calibration.table import ResponseTable

__all__ = ["METHODS", "Calibration", "ResponseTable", "fit", "load_calibration", "tabulate"]
