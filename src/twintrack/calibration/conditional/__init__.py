"""The case-aware calibration: how a probability is read depends on the voxel and its case, known without any rater."""
