"""What the tests of networks share: the maker of tiny nnU-Nets, and nnU-Net's own predictor to compare with."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny():
    """The maker of tiny nnU-Nets, as a module."""
    pytest.importorskip("torch")
    pytest.importorskip("nnunetv2")
    from .. import tiny_nnunet  # noqa: TID252  (the maker of networks)

    return tiny_nnunet


@pytest.fixture(scope="session")
def official():
    """nnU-Net's own prediction of a crop: (segmentation, probabilities)."""
    torch = pytest.importorskip("torch")
    from twintrack.segmentation.nets.setup import prepare_nnunet, quiet

    prepare_nnunet()
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    def predict(folder, array, spacing, *, mirroring=True, network=None):
        # Left to itself nnU-Net finds numbered folds only.
        folds = [path.name.removeprefix("fold_") for path in sorted(folder.glob("fold_*"))]
        with quiet():
            predictor = nnUNetPredictor(
                device=torch.device("cpu"),
                perform_everything_on_device=False,
                allow_tqdm=False,
                use_mirroring=mirroring,
            )
            predictor.initialize_from_trained_model_folder(str(folder), folds, "checkpoint_final.pth")
            if network is not None:
                predictor.network, predictor.list_of_parameters = network, [{}]
            image = array[None].astype(np.float32)
            return predictor.predict_single_npy_array(image, {"spacing": list(spacing)}, None, None, True)

    return predict
