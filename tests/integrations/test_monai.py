"""The transform: axes and voxel sizes are MONAI's outside and ours inside, whatever the method."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

import twintrack as tt
from twintrack.errors import CalibrationError, InputError, TwinTrackWarning

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from monai.bundle import ConfigParser  # noqa: E402
from monai.data import MetaTensor, decollate_batch, list_data_collate  # noqa: E402
from monai.transforms import Compose, EnsureChannelFirstd, Invertd, LoadImaged, SaveImaged, Spacingd  # noqa: E402

from twintrack.integrations.monai import CalibrateResponsed  # noqa: E402


def affine_of(spacing):
    """Diagonal affine of voxel sizes in array order, turned into MONAI's."""
    return torch.diag(torch.tensor([*reversed(spacing), 1.0], dtype=torch.float64))


def meta(array, spacing, **more):
    """Wrap an array (z, y, x) as MONAI would have it: (1, x, y, z)."""
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(array.T[None])), affine=affine_of(spacing), meta=more)


def item_of(case, **more):
    data = case.read()
    members = {f"m{k}": meta(member, data.grid.spacing, **more) for k, member in enumerate(data.members)}
    return members | {"roi": meta(data.roi, data.grid.spacing)}


KEYS = ["m0", "m1", "m2"]


@pytest.mark.parametrize("method", [*tt.calibration.METHODS, "conditional"])
def test_it_gives_what_apply_gives(calibrations, make_case, method):
    case = make_case(99)
    item = item_of(case)
    result = CalibrateResponsed(KEYS, calibrations[method], output_key="response", roi_key="roi")(item)
    assert (calibrations[method].apply(case) == result["response"][0].numpy().T).all()
    assert result["response"].shape == item["m0"].shape
    assert result["m0"] is item["m0"]
    assert "response" not in item


def test_voxel_sizes_are_those_of_the_affine_in_our_order(calibrations, make_case):
    """A case-aware map measures in mm: sizes in the wrong order would give other responses."""
    case = make_case(99)
    data = case.read()
    swapped = tt.Case("c", members=data.members, roi=data.roi, spacing=data.grid.spacing[::-1])
    with pytest.warns(TwinTrackWarning, match="voxel size"):
        wrong = calibrations["conditional"].apply(swapped)
    right = CalibrateResponsed(KEYS, calibrations["conditional"], roi_key="roi")(item_of(case))["m0"]
    assert np.abs(right[0].numpy().T - wrong).max() > 0.01


def test_an_oblique_affine_has_its_voxel_sizes(calibrations, make_case):
    case = make_case(99)
    turn = torch.tensor([[0.6, -0.8, 0, 5], [0.8, 0.6, 0, -3], [0, 0, -1, 2], [0, 0, 0, 1]], dtype=torch.float64)
    item = item_of(case)
    for key in KEYS:
        item[key].affine = turn @ item[key].affine
    result = CalibrateResponsed(KEYS, calibrations["conditional"], roi_key="roi")(item)["m0"]
    assert np.abs(result[0].numpy().T - calibrations["conditional"].apply(case)).max() < 1e-6


def test_channels_are_merged_and_metadata_kept(calibrations, make_case):
    case = make_case(99)
    items = item_of(case, filename_or_obj="/data/c17.nii.gz")
    softmax = {}
    for key in KEYS:
        p = items[key]
        softmax[key] = MetaTensor(torch.cat([1 - p, p * 0.25, p * 0.75]), meta=p.meta)
    softmax["roi"] = items["roi"]
    transform = CalibrateResponsed(
        KEYS, calibrations["isotonic"], channels=[1, 2], roi_key="roi", output_key="response"
    )
    result = transform(softmax)["response"]
    assert np.abs(result[0].numpy().T - calibrations["isotonic"].apply(case)).max() < 1e-5
    assert isinstance(result, MetaTensor)
    assert torch.equal(result.affine, items["m0"].affine)
    assert result.meta["filename_or_obj"] == "/data/c17.nii.gz"
    assert result.dtype == torch.float32


def test_overlapping_regions_are_merged_by_their_largest(calibrations):
    regions = torch.tensor([[[0.9, 0.2]], [[0.3, 0.6]]])
    transform = CalibrateResponsed("pred", calibrations["identity"], channels=[0, 1], merge="max")
    with pytest.warns(TwinTrackWarning):
        assert torch.equal(transform({"pred": regions})["pred"], torch.tensor([[[0.9, 0.6]]]))


def test_a_sum_that_rounding_carried_above_1_is_1(calibrations):
    softmax = torch.tensor([[[-1e-7]], [[0.50003]], [[0.50003]]])
    transform = CalibrateResponsed("pred", calibrations["identity"], channels=[1, 2])
    with pytest.warns(TwinTrackWarning):
        assert transform({"pred": softmax})["pred"].item() == 1.0


def test_plain_tensors_and_2d_images_are_taken(make_case):
    flat = [make_case(seed, shape=(30, 40), spacing=(0.9, 0.7)) for seed in range(6)]
    fitted = tt.fit(flat, method="conditional", replicates=0)
    case = make_case(99, shape=(30, 40), spacing=(0.9, 0.7))
    data = case.read()
    affine = torch.diag(torch.tensor([0.7, 0.9, 1.0, 1.0], dtype=torch.float64))  # as a 2-D file is loaded
    item = {
        f"m{k}": MetaTensor(torch.from_numpy(member.T[None].copy()), affine=affine)
        for k, member in enumerate(data.members)
    }
    item["roi"] = torch.from_numpy(data.roi.T[None].copy())
    result = CalibrateResponsed(KEYS, fitted, roi_key="roi")(item)["m0"]
    assert (fitted.apply(case) == result[0].numpy().T).all()
    plain = {key: item[key].as_tensor() for key in KEYS}
    with pytest.raises(CalibrationError, match="at 'm0': its voxel size is not known"):
        CalibrateResponsed(KEYS, fitted, roi_key="roi")(plain | {"roi": item["roi"]})
    by_curve = CalibrateResponsed(KEYS, tt.fit(flat, method="platt", replicates=0), roi_key="roi", output_key="r")
    result = by_curve(plain | {"roi": item["roi"]})["r"]
    assert type(result) is torch.Tensor


def test_the_identity_that_monai_gives_a_tensor_of_no_file_is_no_voxel_size(calibrations, make_case):
    item = {key: MetaTensor(value.as_tensor()) for key, value in item_of(make_case(99)).items()}
    with pytest.raises(CalibrationError, match="voxel size is not known"):
        CalibrateResponsed(KEYS, calibrations["conditional"], roi_key="roi")(item)


def test_a_missing_member_is_an_error_or_passed_over(calibrations, make_case):
    item = item_of(make_case(99))
    del item["m1"]
    with pytest.raises(KeyError, match="m1"):
        CalibrateResponsed(KEYS, calibrations["isotonic"])(item)
    with pytest.warns(TwinTrackWarning, match="it has 2 members"):
        CalibrateResponsed(KEYS, calibrations["isotonic"], allow_missing_keys=True, roi_key="roi")(item)
    assert CalibrateResponsed("a", calibrations["isotonic"], allow_missing_keys=True)({"b": 1}) == {"b": 1}


@pytest.mark.parametrize(
    ("tensor", "options", "said"),
    [
        (torch.rand(2, 4, 4, 4), {}, r"2 channels; say which are the structure, for example channels=\[1\]"),
        (torch.rand(2, 4, 4, 4), {"channels": [1]}, "do not sum to 1 .* Activationsd"),
        (torch.rand(2, 4, 4, 4), {"channels": [2]}, "0 to 1; asked for"),
        (torch.rand(1, 2, 4, 4, 4), {}, "Decollated"),
        (torch.rand(4, 4), {}, "EnsureChannelFirstd"),
        (3 * torch.ones(1, 4, 4, 4), {}, "not logits"),
        (torch.ones(1, 4, 4, 4, dtype=torch.int64), {}, "holds floating-point numbers"),
    ],
)
def test_what_is_no_probability_of_one_case_is_refused(calibrations, tensor, options, said):
    with pytest.raises(InputError, match=said):
        CalibrateResponsed("pred", calibrations["isotonic"], **options)({"pred": tensor})


@pytest.mark.parametrize(("options", "said"), [({"merge": "mean"}, "'sum'"), ({"channels": []}, "names no channel")])
def test_options_that_make_no_sense_are_refused(calibrations, options, said):
    with pytest.raises(InputError, match=said):
        CalibrateResponsed("pred", calibrations["isotonic"], **options)


def test_a_file_that_is_no_calibration_is_refused(tmp_path):
    with pytest.raises(CalibrationError, match="cannot read the calibration"):
        CalibrateResponsed("pred", tmp_path / "none.json")


def test_a_batch_is_refused_and_its_items_taken(calibrations, make_case):
    items = [item_of(make_case(seed)) for seed in (98, 99)]
    batch = list_data_collate(items)
    transform = CalibrateResponsed(KEYS, calibrations["isotonic"], roi_key="roi")
    with pytest.raises(InputError, match="Decollated"):
        transform(batch)
    for item, seed in zip(decollate_batch(batch), (98, 99), strict=True):
        assert (calibrations["isotonic"].apply(make_case(seed)) == transform(item)["m0"][0].numpy().T).all()


# MONAI says at every LoadImaged which of its optional readers is not there.
@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")
def test_in_a_bundle_from_file_to_file(calibrations, make_case, tmp_path):
    """Read by MONAI, resampled and inverted, calibrated by a bundle's configuration, written by MONAI."""
    case = make_case(99)
    data = case.read()
    for key, member in zip(KEYS, data.members, strict=True):
        image = sitk.GetImageFromArray(member)
        image.SetSpacing(data.grid.spacing[::-1])
        image.SetOrigin((-20.0, 13.0, 400.0))
        sitk.WriteImage(image, str(tmp_path / f"{key}.nii.gz"))
    calibrations["conditional"].save(tmp_path / "calibration.json")
    spaced = Spacingd(KEYS, pixdim=(1.0, 1.0, 2.0))
    load = Compose([LoadImaged(KEYS, reader="NibabelReader"), EnsureChannelFirstd(KEYS), spaced])
    item = load({key: str(tmp_path / f"{key}.nii.gz") for key in KEYS})
    config = {
        "postprocessing": {
            "_target_": "twintrack.integrations.monai.CalibrateResponsed",
            "keys": KEYS,
            "calibration": str(tmp_path / "calibration.json"),
            "output_key": "response",
        }
    }
    (tmp_path / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    parser = ConfigParser()
    parser.read_config(str(tmp_path / "inference.json"))
    invert = Invertd(KEYS, transform=load, orig_keys=KEYS, nearest_interp=False)
    inverted = invert(item)
    with pytest.warns(TwinTrackWarning, match="case m0.nii.gz is unlike .* no ROI"):
        item = parser.get_parsed_content("postprocessing")(inverted)
    SaveImaged("response", output_dir=tmp_path / "out", output_postfix="response", separate_folder=False)(item)
    written = sitk.ReadImage(str(tmp_path / "out" / "m0_response.nii.gz"))
    resampled_back = [inverted[key][0].numpy().T for key in KEYS]
    without_roi = tt.Case("c", members=resampled_back, spacing=data.grid.spacing)
    with pytest.warns(TwinTrackWarning, match="no ROI"):
        expected = calibrations["conditional"].apply(without_roi)
    assert np.abs(sitk.GetArrayFromImage(written) - expected).max() < 1e-5
    assert written.GetSpacing() == pytest.approx(data.grid.spacing[::-1])
    assert written.GetOrigin() == pytest.approx((-20.0, 13.0, 400.0))
