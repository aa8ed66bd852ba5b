"""The route without the package: load with numpy, average, predict with scikit-learn, save with nibabel.

Run: python obvious_route.py KNOTS.npz OUT.nii.gz MEMBER.npz MEMBER.npz …
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
from sklearn.isotonic import IsotonicRegression


def main(knots: str, out: str, *members: str) -> None:
    """Calibrate the members of one case."""
    learnt = np.load(knots)
    calibration = IsotonicRegression(out_of_bounds="clip").fit(learnt["probability"], learnt["response"])
    probability = np.mean([np.load(member)["probabilities"][1] for member in members], axis=0)
    response = calibration.predict(probability.reshape(-1)).reshape(probability.shape)
    response[probability == 0] = 0
    segmentation = nibabel.load(Path(members[0]).with_suffix(".nii.gz"))
    nibabel.save(nibabel.Nifti1Image(response.astype(np.float32).T, segmentation.affine), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
