"""`twintrack grand-challenge` as its container runs it: no network, not root, input that cannot be written to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from .conftest import SHAPE, TWINTRACK, write
from .test_predict import make_bundle, voxels, write_ct

REPOSITORY = Path(__file__).resolve().parents[2]
NEW_NAMESPACES = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--net"]
"""A process that is not root and may nothing that root may, where there is no network, not even the machine's own."""

NO_SOCKETS = """
import socket

class NoSocket(socket.socket):
    def __init__(self, family=-1, *arguments, **options):
        if family in (-1, socket.AF_INET, socket.AF_INET6):
            raise RuntimeError("a network was asked for")
        super().__init__(family, *arguments, **options)

socket.socket = NoSocket
"""


@pytest.fixture(scope="session")
def namespaces():
    """What runs a command without network and root, where the system lets one make such a process."""
    try:
        made = subprocess.run([*NEW_NAMESPACES, "true"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        made = False
    return NEW_NAMESPACES if made else []


@pytest.fixture
def job(files):
    """A job's folders as the platform lays them out, and a bundle as weights."""
    write_ct(files.root / "in" / "images" / "thoracic-abdominal-ct" / "c1.mha")
    (files.root / "out").mkdir()
    make_bundle(files.root / "bundle", files)
    return files


def container(files, namespaces, *arguments, command=None, **options):
    """Run the command as the container does: without network, root and home, its input not to be written to."""
    guard = files.root / "scratch" / "guard"
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(NO_SOCKETS)
    environment = {
        "PATH": f"{TWINTRACK.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(guard), os.environ.get("PYTHONPATH")))),
        "HOME": "/nonexistent",
        "USER": "user",
        "NUMBA_CACHE_DIR": str(files.root / "scratch" / "numba"),
        "TMPDIR": str(files.root / "scratch"),
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
        **options.pop("env", {}),
    }
    for folder, _, names in os.walk(files.root / "in"):
        for name in names:
            Path(folder, name).chmod(0o444)
        Path(folder).chmod(0o555)
    given = command or [TWINTRACK, "grand-challenge", "--input", files.root / "in", "--output", files.root / "out"]
    try:
        return subprocess.run(
            [*namespaces, *map(str, given), *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
            **options,
        )
    finally:
        for folder, _, _ in os.walk(files.root / "in"):
            Path(folder).chmod(0o755)


def outputs(files):
    found = sorted(path for path in (files.root / "out").rglob("*") if path.is_file())
    assert [path.relative_to(files.root / "out").as_posix() for path in found] == [
        "images/pdac-confidence/output.mha",
        "images/pdac-segmentation/output.mha",
    ]
    return found


def test_the_surroundings_are_those_of_the_container(job, namespaces):
    probe = (
        "import os, socket\n"
        "assert os.geteuid() == 1000, os.geteuid()\n"
        "try: open(os.environ['PLACE'] + '/x', 'w')\n"
        "except PermissionError: print('read-only')\n"
        "try: socket.create_connection(('192.0.2.1', 80), timeout=5)\n"
        "except RuntimeError as error: print(error)\n"
        "import _socket\n"
        "try: _socket.socket().connect(('192.0.2.1', 80))\n"
        "except OSError as error: print(error.errno == 101)\n"
    )
    if not namespaces:
        pytest.skip("this system lets no process be made without network and root; sockets are made to fail instead")
    done = container(
        job, namespaces, command=[sys.executable, "-c", probe], env={"PLACE": str(job.root / "in" / "images")}
    )
    assert done.stdout.split("\n") == ["read-only", "a network was asked for", "True", ""], done.stderr


def test_a_job_writes_what_the_challenge_reads(job, namespaces, run):
    done = container(job, namespaces, "--models", job.root / "bundle")
    assert done.returncode == 0, done.stderr
    confidence, segmentation = outputs(job)
    ct = sitk.ReadImage(str(job.root / "in" / "images" / "thoracic-abdominal-ct" / "c1.mha"))
    for path, kind in ((confidence, sitk.sitkFloat32), (segmentation, sitk.sitkUInt8)):
        image = sitk.ReadImage(str(path))
        assert image.GetPixelID() == kind
        assert (image.GetSize(), image.GetSpacing()) == (ct.GetSize(), ct.GetSpacing())
        assert (image.GetOrigin(), image.GetDirection()) == (ct.GetOrigin(), ct.GetDirection())
        assert b"CompressedData = True" in path.read_bytes()[:1000]
    response = voxels(confidence)
    assert response.max() > 0.5
    assert (voxels(segmentation) == (response >= 0.5)).all()
    assert run("apply", job.calibration, *job.predicted, "--out", job.root / "a").code == 0
    assert (response == voxels(job.root / "a" / "c1.nii.gz")).all()
    assert "wrote" in done.stdout
    assert "warning" not in done.stderr


@pytest.mark.parametrize("key", ["socket", "interface"])
def test_a_job_with_inputs_json(job, namespaces, key):
    (job.root / "in" / "images" / "thoracic-abdominal-ct").rename(job.root / "in" / "images" / "ct")
    write_ct(job.root / "in" / "images" / "another" / "x.mha")
    sockets = {"thoracic-abdominal-ct": "images/ct", "another": "images/another"}
    listed = [
        {"file": None, "value": None, "image": {"name": "a.mha"}, key: {"slug": slug, "relative_path": path}}
        for slug, path in sockets.items()
    ]
    (job.root / "in" / "inputs.json").write_text(json.dumps(listed))
    done = container(job, namespaces, "--models", job.root / "bundle")
    assert done.returncode == 0, done.stderr
    outputs(job)


def test_a_tiff_is_predicted_with_a_warning(job, namespaces):
    place = job.root / "in" / "images" / "thoracic-abdominal-ct"
    array = voxels(place / "c1.mha")
    (place / "c1.mha").unlink()
    sitk.WriteImage(sitk.GetImageFromArray(array), str(place / "c1.tif"))
    for member in "ab":
        for path in (job.root / "members" / member).glob("c1.*"):
            path.unlink()
        np.savez(job.root / "members" / member / "c1.npz", probabilities=np.full((3, *SHAPE), 1 / 3, np.float32))
        plain = sitk.GetImageFromArray(np.zeros(SHAPE, np.uint8))
        sitk.WriteImage(plain, str(job.root / "members" / member / "c1.nii.gz"))
    done = container(job, namespaces, "--models", job.root / "bundle")
    assert done.returncode == 0, done.stderr
    assert "1 mm voxels at the origin are assumed" in done.stderr
    confidence, _ = outputs(job)
    assert sitk.ReadImage(str(confidence)).GetSpacing() == (1, 1, 1)


def test_the_entry_point_runs_the_same(job, namespaces):
    script = REPOSITORY / "containers" / "grand-challenge" / "entrypoint.sh"
    folders = {"TWINTRACK_INPUT": str(job.root / "in"), "TWINTRACK_OUTPUT": str(job.root / "out")}
    done = container(job, namespaces, "--models", job.root / "bundle", command=["/bin/sh", script], env=folders)
    assert done.returncode == 0, done.stderr
    outputs(job)


def test_in_this_process_it_does_the_same(job, run):
    done = run(
        "grand-challenge", "--input", job.root / "in", "--output", job.root / "out", "--models", job.root / "bundle"
    )
    assert done.code == 0, done.err
    outputs(job)
    assert "with the bundle t" in done.err
    assert "calibrating" in done.err


def failed(job, done, message):
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in (job.root / "out").rglob("*") if path.is_file()]


def test_two_cts_or_none_are_refused(job, namespaces):
    place = job.root / "in" / "images" / "thoracic-abdominal-ct"
    shutil.copy(place / "c1.mha", place / "c2.mha")
    failed(job, container(job, namespaces, "--models", job.root / "bundle"), "2 are there")
    for path in place.iterdir():
        path.unlink()
    failed(job, container(job, namespaces, "--models", job.root / "bundle"), "0 are there")


def test_what_is_no_ct_and_what_is_no_calibration_is_refused(job, namespaces, files):
    bare = make_bundle(job.root / "bare", files, calibration=False)
    failed(job, container(job, namespaces, "--models", bare), "has no calibration")
    other = make_bundle(job.root / "other", files, foreground=("pancreas",))
    done = container(job, namespaces, "--models", other)
    failed(job, done, "this calibration was fitted for tumour")
    assert "loading the members" not in done.stderr
    write(job.root / "in" / "images" / "thoracic-abdominal-ct" / "c1.mha", np.zeros(SHAPE, np.uint8))
    failed(job, container(job, namespaces, "--models", job.root / "bundle"), "is no CT")


def test_an_output_that_cannot_be_written_to_is_said(job, namespaces):
    if not namespaces and hasattr(os, "geteuid") and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (job.root / "out").chmod(0o555)
    failed(job, container(job, namespaces, "--models", job.root / "bundle"), "cannot make the folder")
    (job.root / "out").chmod(0o755)
