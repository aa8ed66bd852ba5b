"""Single figures for papers and talks: each function draws into an axes, or into a new one, and gives it back.

No pyplot state is touched: `figure_of` gives the whole figure, and `twintrack.report.save.save_figure` writes it. At
its default size a figure fits one column of a journal, with colours for all kinds of colour vision.
"""

from twintrack.report.plot.agreement_overlay import agreement_overlay
from twintrack.report.plot.axes import figure_of
from twintrack.report.plot.calibration_curve import calibration_curve
from twintrack.report.plot.capture import capture
from twintrack.report.plot.learning_curve import learning_curve
from twintrack.report.plot.reliability import reliability
from twintrack.report.plot.risk_coverage import risk_coverage
from twintrack.report.plot.volumes import CaseVolumes, volumes

__all__ = [
    "CaseVolumes",
    "agreement_overlay",
    "calibration_curve",
    "capture",
    "figure_of",
    "learning_curve",
    "reliability",
    "risk_coverage",
    "volumes",
]
