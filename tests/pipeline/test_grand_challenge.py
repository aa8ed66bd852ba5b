"""Inputs and outputs of a challenge's job: which file is the CT, which bundle is used, what is written."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.errors import InputError, ModelError, OutputError, TwinTrackWarning
from twintrack.pipeline import grand_challenge
from twintrack.pipeline.grand_challenge import choose_models, find_ct, read_ct, write_outputs
from twintrack.pipeline.prediction import predict_case

from .conftest import ct_of

FOLDER = "images/thoracic-abdominal-ct"


def entry(slug="thoracic-abdominal-ct", path=FOLDER, *, key="socket"):
    socket = {"slug": slug, "kind": "Image", "super_kind": "Image", "title": "a title", "pk": 1}
    if path is not None:
        socket["relative_path"] = path
    return {"pk": 7, "file": None, "value": None, "image": {"pk": "u-u-i-d", "name": "x.mha"}, key: socket}


def files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def listed(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "inputs.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize("name", ["a.mha", "a.tif", "a.tiff", "A.MHA"])
def test_the_one_ct_is_found(tmp_path, name):
    files(tmp_path, f"{FOLDER}/{name}", f"{FOLDER}/notes.txt", f"{FOLDER}/._{name}", f"{FOLDER}/b.nii.gz")
    assert find_ct(tmp_path) == tmp_path / FOLDER / name


@pytest.mark.parametrize("key", ["socket", "interface"])
def test_inputs_json_says_where_the_ct_is(tmp_path, key):
    files(tmp_path, "images/ct/u.mha", "images/other/v.mha")
    listed(tmp_path, [entry("age", "age.json", key=key), entry(path="images/ct", key=key)])
    assert find_ct(tmp_path) == tmp_path / "images/ct/u.mha"


@pytest.mark.parametrize(
    "content", [[entry(path=None)], [entry("a-ct-under-another-slug")], [entry(), 3, {"pk": 1}, {"socket": {}}]]
)
def test_the_usual_folder_is_taken_where_inputs_json_says_no_other(tmp_path, content):
    files(listed(tmp_path, content), f"{FOLDER}/u.mha")
    assert find_ct(tmp_path) == tmp_path / FOLDER / "u.mha"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ({"a": 1}, "exactly one input with the slug thoracic-abdominal-ct is expected; its slugs are: none"),
        ([entry("age", "age.json"), entry("mr", "images/mr")], "its slugs are: age, mr"),
        ([entry(), entry(path="images/second")], "exactly one input with the slug"),
        ([entry(path="../secret")], r"the path \.\./secret leads out of the folder"),
        ([entry(path="/etc")], "the path /etc leads out of the folder"),
        ([entry(path="images/none")], r"images/none: there is no such folder"),
    ],
)
def test_an_inputs_json_that_does_not_lead_to_a_ct_is_refused(tmp_path, content, message):
    files(listed(tmp_path, content), f"{FOLDER}/u.mha")
    with pytest.raises(InputError, match=message):
        find_ct(tmp_path)


def test_what_was_found_instead_of_one_ct_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no such folder; .* holds nothing\."):
        find_ct(tmp_path)
    files(tmp_path, "images/mr/a.mha")
    with pytest.raises(InputError, match=r"there is no such folder; .* holds images\."):
        find_ct(tmp_path)
    files(tmp_path, f"{FOLDER}/b.nii.gz")
    with pytest.raises(
        InputError, match=r"exactly one CT \(.mha, .tif, .tiff\) is expected; 0 are there\. .* holds b\.nii\.gz"
    ):
        find_ct(tmp_path)
    files(tmp_path, *(f"{FOLDER}/{k:02}.mha" for k in range(12)))
    with pytest.raises(InputError, match=r"12 are there\. .* holds 00\.mha, .*, 09\.mha, … \(13 in all\)"):
        find_ct(tmp_path)


def test_an_unreadable_list_is_named(tmp_path, monkeypatch):
    files(listed(tmp_path, [entry()]), f"{FOLDER}/u.mha")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(InputError, match=r"cannot read .*inputs\.json: Permission denied"):
        find_ct(tmp_path)


def test_an_mha_keeps_its_grid(tmp_path):
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    image.SetSpacing((0.7, 0.8, 2.5))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    assert read_ct(tmp_path / "a.mha").grid.spacing == (2.5, 0.8, 0.7)


def test_a_tiff_is_read_with_a_warning_that_says_what_is_assumed(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.tif"))
    with pytest.warns(TwinTrackWarning, match="1 mm voxels at the origin are assumed"):
        ct = read_ct(tmp_path / "a.tif")
    assert (ct.array == array).all()
    assert ct.grid.known
    assert ct.grid.spacing == (1, 1, 1)


def test_the_bundle_asked_for_comes_first(tmp_path):
    files(tmp_path, "installed/bundle.json")
    assert choose_models(tmp_path / "given", installed=tmp_path / "installed") == tmp_path / "given"


@pytest.mark.parametrize("place", ["bundle.json", "my-bundle/bundle.json"])
def test_uploaded_weights_are_used(tmp_path, place):
    files(tmp_path, place)
    assert choose_models(None, installed=tmp_path) == (tmp_path / place).parent


def test_without_weights_the_embedded_bundle_is_used_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(grand_challenge, "embedded_bundle", lambda: tmp_path / "embedded")
    for installed in (tmp_path / "none", tmp_path):
        with pytest.warns(TwinTrackWarning, match="trained on phantoms and is for demonstration only"):
            assert choose_models(None, installed=installed) == tmp_path / "embedded"


@pytest.mark.parametrize(("names", "n"), [(["weights.pth"], 0), (["a/bundle.json", "b/bundle.json"], 2)])
def test_uploaded_weights_that_are_no_bundle_are_not_passed_over(tmp_path, names, n):
    files(tmp_path, *names)
    with pytest.raises(ModelError, match=rf"one bundle \(bundle\.json\) is expected; {n} are there"):
        choose_models(None, installed=tmp_path)


def test_outputs_have_the_types_names_and_grid_that_are_asked_for(tmp_path, fake, calibration):
    found = predict_case(fake, calibration, ct_of(), case_id="c")
    written = write_outputs(found, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "images/pdac-segmentation/output.mha",
        "images/pdac-confidence/output.mha",
    ]
    mask, confidence = (sitk.ReadImage(str(path)) for path in written)
    assert (mask.GetPixelID(), confidence.GetPixelID()) == (sitk.sitkUInt8, sitk.sitkFloat32)
    for image in (mask, confidence):
        assert image.GetSize() == (12, 10, 6)
        assert image.GetSpacing() == pytest.approx((0.7, 0.8, 2.5))
        assert image.GetOrigin() == pytest.approx((-20.5, 13.25, 400.0))
        assert image.GetDirection() == pytest.approx(ct_of().grid.direction)
    for path in written:
        assert b"CompressedData = True" in path.read_bytes()[:1000]
    response = sitk.GetArrayFromImage(confidence)
    assert (response == found.segmentation.whole(found.response).array).all()
    assert (sitk.GetArrayFromImage(mask) == (response >= 0.5)).all()
    assert mask.GetNumberOfPixels() > sitk.GetArrayFromImage(mask).sum() > 0


def test_a_response_of_one_half_is_tumour(tmp_path, fake, calibration):
    found = predict_case(fake, calibration, ct_of(), case_id="c")
    found.response[:] = 0.5
    found.response[0] = np.nextafter(np.float32(0.5), np.float32(0))
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(write_outputs(found, tmp_path)[0])))
    assert mask.sum() == found.response[1:].size


def test_a_place_that_cannot_be_written_to_is_named(tmp_path, fake, calibration):
    (tmp_path / "images").write_text("in the way")
    with pytest.raises(OutputError, match="cannot make the folder"):
        write_outputs(predict_case(fake, calibration, ct_of(), case_id="c"), tmp_path)
