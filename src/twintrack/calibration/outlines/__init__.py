"""Plausible rater masks: whole outlines drawn from a response map, varying from one to the next as raters' do.

A response map says for each voxel alone how many raters would label it. It does not say which voxels go together. Here
that is described by two numbers (`RaterField`), chosen on cases with several raters (`fit_rater_field`), and masks
are drawn (`sample_masks`) whose frequency at every voxel is the response.
"""

from twintrack.calibration.outlines.field import RaterField
from twintrack.calibration.outlines.fit import FieldFit, FieldScore, case_seed, fit_rater_field
from twintrack.calibration.outlines.sample import each_mask, sample_masks

__all__ = ["FieldFit", "FieldScore", "RaterField", "case_seed", "each_mask", "fit_rater_field", "sample_masks"]
