"""Making a bundle copies what is needed, checks it, and leaves nothing behind where it fails."""

from __future__ import annotations

import errno
import json
import os
import shutil

import numpy as np
import pytest

from twintrack.errors import InputError, ModelError, OutputError
from twintrack.images import Volume, write_volume
from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.bundle_files import files_of, load_bundle
from twintrack.segmentation.create import create_bundle


def test_only_what_predicting_needs_is_copied(tmp_path, result_folder):
    (tmp_path / "card.md").write_text("card")
    (tmp_path / "fitted.json").write_text("{}")
    made = create_bundle(
        tmp_path / "out" / "bundle",
        members=[result_folder("x", folds=("0", "1")), result_folder("y", folds=("all",))],
        foreground=["tumour"],
        coarse=result_folder("z"),
        coarse_labels=["pancreas", "tumour"],
        calibration=tmp_path / "fitted.json",
        extra_files={"MODEL_CARD.md": tmp_path / "card.md"},
        roi=RoiSettings(margin=12),
        training={"epochs": 3},
        intended_use="tests",
    )
    folder = tmp_path / "out" / "bundle"
    assert files_of(folder) == [
        "MODEL_CARD.md",
        "calibration.json",
        "coarse/dataset.json",
        "coarse/fold_0/checkpoint_final.pth",
        "coarse/plans.json",
        "member_1/dataset.json",
        "member_1/fold_0/checkpoint_final.pth",
        "member_1/fold_1/checkpoint_final.pth",
        "member_1/plans.json",
        "member_2/dataset.json",
        "member_2/fold_all/checkpoint_final.pth",
        "member_2/plans.json",
    ]
    assert (folder / "member_1/fold_1/checkpoint_final.pth").read_bytes() == b"x 1"
    loaded = load_bundle(folder)
    assert loaded.bundle == made
    assert made.name == "bundle"
    assert made.structure == "tumour"
    assert made.roi.margin == 12
    assert made.training == {"epochs": 3}
    assert made.software["twintrack"]
    assert loaded.coarse_path == folder / "coarse"
    assert loaded.calibration_path == folder / "calibration.json"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bundle"]


def test_folds_and_names_can_be_chosen(tmp_path, result_folder):
    made = create_bundle(
        tmp_path / "b",
        members=[result_folder("x", folds=("0", "1", "2"))],
        foreground=["tumour"],
        folds=[2, 0],
        names=["first"],
        name="n",
        structure="s",
    )
    assert [entry.name for entry in made.members] == ["first"]
    assert made.members[0].folds == (2, 0)
    assert {name.split("/")[1] for name in made.sha256 if name.endswith(".pth")} == {"fold_0", "fold_2"}
    assert (made.name, made.structure) == ("n", "s")


@pytest.mark.parametrize(
    ("readers", "wanted", "expected"),
    [
        (("SimpleITKIO", "SimpleITKIO"), "auto", None),
        (("NibabelIOWithReorient", "NibabelIOWithReorient"), "auto", "RAS"),
        (("SimpleITKIO", "SimpleITKIO"), "LPS", "LPS"),
        (("NibabelIOWithReorient", "NibabelIO"), None, None),
    ],
)
def test_the_orientation_is_that_of_nnunets_reader_unless_said(tmp_path, result_folder, readers, wanted, expected):
    members = [result_folder(f"m{k}", reader=reader) for k, reader in enumerate(readers)]
    made = create_bundle(tmp_path / "b", members=members, foreground=["tumour"], orientation=wanted)
    assert made.orientation == expected


def test_networks_of_different_orientations_do_not_go_together(tmp_path, result_folder):
    members = [result_folder("x"), result_folder("y", reader="NibabelIOWithReorient")]
    with pytest.raises(ModelError, match="y: RAS"):
        create_bundle(tmp_path / "b", members=members, foreground=["tumour"])


def test_a_folder_of_probabilities_is_named_not_copied(tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    write_volume(maps / "c1.nii.gz", Volume.from_array(np.zeros((2, 3, 4), np.float32), spacing=(1, 1, 1)))
    (maps / "c1.npz").write_bytes(b"as nnU-Net has it, beside the segmentation")
    made = create_bundle(tmp_path / "b", members=[maps])
    assert made.members[0].kind == "precomputed"
    assert made.members[0].path == str(maps)
    assert made.foreground == ()
    assert made.structure == "the structure"
    assert files_of(tmp_path / "b") == []


def test_a_torchscript_file_comes_with_its_description(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"script")
    with pytest.raises(ModelError, match=r"net\.json: there is no such file"):
        create_bundle(tmp_path / "b", members=[tmp_path / "net.pt"], foreground=["tumour"])
    (tmp_path / "net.json").write_text("{}")
    made = create_bundle(tmp_path / "b", members=[tmp_path / "net.pt"], foreground=["tumour"])
    assert made.members[0].kind == "torchscript"
    assert made.members[0].path == "member_1/net.pt"
    assert set(made.sha256) == {"member_1/net.pt", "member_1/net.json"}


def spoil(*names):
    def change(folder):
        for name in names:
            (folder / name).unlink()

    return change


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        (spoil("plans.json"), {}, r"plans\.json"),
        (spoil("dataset.json"), {}, r"dataset\.json"),
        (spoil("fold_0/checkpoint_final.pth"), {}, "no fold_"),
        (spoil(), {"foreground": ["lesion"]}, "no foreground label 'lesion'"),
        (spoil(), {"foreground": []}, "which labels are the foreground"),
        (spoil(), {"folds": [3]}, "fold_3"),
        (spoil(), {"checkpoint": "checkpoint_best.pth"}, r"checkpoint_best\.pth"),
        (spoil(), {"orientation": "XYZ"}, "no axis code"),
        (spoil(), {"names": ["a", "b"]}, "1 members are given, but 2 names"),
        (spoil(), {"names": ["coarse"]}, "cannot be called coarse"),
        (spoil(), {"names": ["a/b"]}, "cannot name a folder"),
        (shutil.rmtree, {}, "there is no such file or folder"),
    ],
)
def test_what_does_not_make_a_bundle_is_said_and_nothing_is_left(tmp_path, result_folder, change, given, message):
    member = result_folder("x")
    change(member)
    with pytest.raises(InputError, match=message):
        create_bundle(tmp_path / "b", **{"members": [member], "foreground": ["tumour"], **given})
    assert [path.name for path in (tmp_path).iterdir()] == ["trained"]


def test_other_files_and_nothing_are_no_members(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(ModelError, match="a member is an nnU-Net result folder"):
        create_bundle(tmp_path / "b", members=[tmp_path / "a.zip"], foreground=["x"])
    with pytest.raises(ModelError, match="at least one member"):
        create_bundle(tmp_path / "b", members=[])
    with pytest.raises(ModelError, match="fitted.json: there is no such file"):
        create_bundle(tmp_path / "b", members=[tmp_path], calibration=tmp_path / "fitted.json")


def test_a_folder_with_something_in_it_is_not_replaced(tmp_path, result_folder):
    out = tmp_path / "b"
    out.mkdir()
    member = result_folder("x")
    create_bundle(out, members=[member], foreground=["tumour"])  # an empty folder may be there
    before = json.loads((out / "bundle.json").read_text(encoding="utf-8"))
    with pytest.raises(OutputError, match=r"exists and holds bundle\.json"):
        create_bundle(out, members=[member], foreground=["tumour"])
    with pytest.raises(OutputError, match="not an empty folder"):
        create_bundle(member, members=[member], foreground=["tumour"])
    assert json.loads((out / "bundle.json").read_text(encoding="utf-8")) == before


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OutputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
@pytest.mark.parametrize("after", [0, 2, 4])
def test_a_full_disk_or_an_interrupt_leaves_nothing(tmp_path, result_folder, monkeypatch, raised, expected, after):
    copy, calls = shutil.copyfile, []

    def fail(source, target):
        calls.append(target)
        if len(calls) > after:
            target.write_bytes(b"half")
            raise raised
        return copy(source, target)

    monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises(expected, match="No space left" if expected is OutputError else None):
        create_bundle(tmp_path / "b", members=[result_folder("x"), result_folder("y")], foreground=["tumour"])
    assert [path.name for path in (tmp_path).iterdir()] == ["trained"]
