"""The whole way with real networks, tiny and random: to files, and through the challenge's job."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks need the extra nnunet")
pytest.importorskip("nnunetv2", reason="networks need the extra nnunet")

import twintrack as tt
from twintrack.calibration.writing.responses import write_responses
from twintrack.pipeline.predict import predict
from twintrack.segmentation.bundle import RoiSettings
from twintrack.segmentation.bundle_files import load_bundle
from twintrack.segmentation.create import create_bundle
from twintrack.segmentation.cts import find_cts
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.stream import segment_cts

from ..segmentation.tiny_nnunet import make_ct, write_result_folder  # noqa: TID252  (the maker of networks)

ANGLE = 0.3
GRID = tt.Grid(
    shape=(20, 40, 44),
    spacing=(2.5, 1.2, 1.2),
    origin=(-30.0, 12.5, 400.0),
    direction=(-np.cos(ANGLE), 0.0, np.sin(ANGLE), 0.0, 1.0, 0.0, np.sin(ANGLE), 0.0, np.cos(ANGLE)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """CTs, a bundle, what its networks say of the CTs, and a calibration fitted to that, which is then the bundle's."""
    root = tmp_path_factory.mktemp("networks")
    for name in ("cts", "input/images/thoracic-abdominal-ct", "raters"):
        (root / name).mkdir(parents=True)
    for seed in (1, 2):
        ct = tt.Volume(make_ct(GRID.shape, seed=seed), GRID)
        tt.write_volume(root / "cts" / f"c{seed}.nii.gz", ct)
    tt.write_volume(
        root / "input" / "images" / "thoracic-abdominal-ct" / "c1.mha", tt.Volume(make_ct(GRID.shape, seed=1), GRID)
    )
    nets = [write_result_folder(root / "nets" / name, seed=seed) for seed, name in enumerate(("coarse", "a", "b"))]
    given = {
        "members": nets[1:],
        "foreground": ["tumour"],
        "coarse": nets[0],
        "coarse_labels": ["pancreas"],
        "roi": RoiSettings(margin=3.0, smallest=10.0),
    }
    create_bundle(root / "bare", **given)
    segment_cts(find_cts([root / "cts"]), segmenter=segmenter_of(root / "bare"), folder=root / "segmented")
    for seed in (1, 2):
        p = np.mean(
            [tt.read_volume(path).array for path in (root / "segmented" / "members").glob(f"*/c{seed}.nii.gz")], axis=0
        )
        (root / "raters" / f"c{seed}").mkdir()
        for k, threshold in enumerate((0.3, 0.5, 0.6), start=1):
            mask = tt.Volume((p > threshold).astype(np.uint8), GRID)
            tt.write_volume(root / "raters" / f"c{seed}" / f"annotation_{k}.nii.gz", mask)
    tt.fit(cohort_of(root), method="isotonic").save(root / "calibration.json")
    create_bundle(root / "bundle", **given, calibration=root / "calibration.json")
    return root


def segmenter_of(bundle):
    return Segmenter(load_bundle(bundle), device="cpu", threads=1)


def cohort_of(root):
    members = sorted((root / "segmented" / "members").iterdir())
    return tt.find_cohort(raters=[root / "raters"], members=members, roi=root / "segmented" / "rois")


def test_predicting_is_segmenting_and_applying(folder):
    calibration = tt.load_calibration(folder / "calibration.json")
    out = folder / "predicted"
    summaries = predict(
        find_cts([folder / "cts"]), segmenter=segmenter_of(folder / "bundle"), calibration=calibration, folder=out
    )
    for path in write_responses(calibration, cohort_of(folder), folder=folder / "applied"):
        response = tt.read_volume(out / "responses" / path.name)
        assert response.array.max() > 0
        assert (response.array == tt.read_volume(path).array).all()
        assert response.grid.difference(GRID) is None
    assert [summary["roi"]["source"] for summary in summaries] == ["coarse", "coarse"]
    assert "the calibration has 2 cases" in summaries[0]["no_interval"]
    assert {"torch", "nnunetv2"} <= summaries[0]["software"].keys()


def test_a_worker_gives_the_files_of_this_process_with_one_thread(folder, tmp_path):
    calibration = tt.load_calibration(folder / "calibration.json")
    options = {"cts": find_cts([folder / "cts"]), "calibration": calibration}
    opened = Segmenter(load_bundle(folder / "bundle"), device="cpu")
    assert opened.networks.members  # loaded here, and again by the worker
    alone = predict(segmenter=segmenter_of(folder / "bundle"), folder=tmp_path / "alone", **options)
    apart = predict(segmenter=opened, folder=tmp_path / "apart", executor=tt.Processes(1), **options)
    for one, other in zip(alone, apart, strict=True):
        assert {**one, "seconds": None} == {**other, "seconds": None}
        for path in one["files"].values():
            assert (tmp_path / "alone" / path).read_bytes() == (tmp_path / "apart" / path).read_bytes()


@pytest.mark.parametrize("place", ["given", "embedded"])
def test_a_challenges_job_with_networks_needs_neither_network_nor_root(folder, tmp_path, place):
    prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--net"]
    try:
        isolated = subprocess.run([*prefix, "true"], capture_output=True, check=False, timeout=20).returncode == 0
    except OSError:
        isolated = False
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": "/nonexistent",
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
    }
    command = [Path(sys.executable).with_name("twintrack"), "grand-challenge", "--threads", "1"]
    command += ["--input", folder / "input", "--output", tmp_path]
    command += ["--models", folder / "bundle"] if place == "given" else []
    given = [*(prefix if isolated else []), *map(str, command)]
    done = subprocess.run(given, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=120)
    if place == "embedded" and "no embedded bundle" in done.stderr:
        pytest.skip("no bundle is embedded in this installation")
    assert done.returncode == 0, done.stderr
    confidence = tt.read_volume(tmp_path / "images" / "pdac-confidence" / "output.mha")
    mask = tt.read_volume(tmp_path / "images" / "pdac-segmentation" / "output.mha")
    assert confidence.grid.difference(GRID) is None
    assert (mask.array == (confidence.array >= 0.5)).all()
    if place == "given":
        applied = write_responses(
            tt.load_calibration(folder / "calibration.json"), cohort_of(folder)[:1], folder=tmp_path / "applied"
        )
        assert (confidence.array == tt.read_volume(applied[0]).array).all()
    else:
        assert "for demonstration only" in done.stderr
