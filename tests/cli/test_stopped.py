"""A full disk and an interrupt in the middle: what was finished stays, nothing is half-written."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk

if sys.platform == "win32":
    pytest.skip("limits of file size and signals are those of POSIX", allow_module_level=True)
import resource

N_CASES = 30


def full_after(n_bytes):
    """Let no file grow beyond a size: the system then refuses to write, as on a full disk."""
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))}


# A mask unpacks to 1216 bytes, a response to 3808; the other files to be written are larger than 2000 bytes.
LIMIT = 2000


@pytest.mark.parametrize("command", ["fit", "apply", "evaluate"])
def test_a_full_disk_is_said_and_is_no_fault_of_a_case(process, run, files, command):
    given, out = {
        "fit": ((*files.drawn, *files.predicted), "new.json"),
        # NIfTI is compressed while it is written; what is compressed afterwards takes more room.
        "apply": ((files.calibration, *files.predicted, "--format", "mha"), "r"),
        "evaluate": ((*files.drawn, *files.predicted, "--repeats", 5), "s"),
    }[command]
    # Compiled functions must be stored already: where they are is not the disk in question.
    assert run(command, *given, "--out", files.root / f"whole-{out}").code == 0
    before = files.tree()
    done = process(command, *given, "--skip-bad", "--out", files.root / out, **full_after(LIMIT))
    assert done.code == 1
    assert "error: " in done.err
    assert ("cannot write" in done.err and "File too large" in done.err) or "is the disk full?" in done.err
    assert "left out" not in done.err
    # Two files are written by evaluate; each is whole or not there.
    assert files.new_since(before) <= ({"s/scores.csv"} if command == "evaluate" else set())


def test_no_room_to_unpack_says_where_room_is_needed(process, files):
    before = files.tree()
    done = process("inspect", *files.drawn, **full_after(500))
    assert done.code == 1
    assert str(files.mask("c1", 1)) in done.err
    assert "TMPDIR" in done.err
    assert files.new_since(before) == set()


@pytest.fixture
def many(files):
    """A folder of maps that take a while: one map under many names."""
    folder = files.root / "many"
    folder.mkdir()
    array = np.random.default_rng(0).random((48, 160, 160), np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / "c001.mha"))
    for number in range(2, N_CASES + 1):
        os.link(folder / "c001.mha", folder / f"c{number:03}.mha")
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_the_finished_maps_and_no_part_of_another(start, files, many, number):
    out = files.root / "r"
    before = files.tree()

    def obey_interrupts():
        # A process started in the background ignores Ctrl-C, and so would its children.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    given = ("apply", files.calibration, "--members", many, "--out", out)
    with start(*given, preexec_fn=obey_interrupts) as running:
        deadline = time.monotonic() + 60
        while not (list(out.glob("c*.nii.gz")) and list(out.glob(".*"))):
            assert running.poll() is None, "it ended before it could be interrupted"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        running.send_signal(number)
        printed, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "error: interrupted; files written before are whole and stay" in err
    assert "Traceback" not in err
    assert "wrote" not in printed
    written = sorted(path.name for path in out.glob("*.nii.gz"))
    assert written == [f"c{number:03}.nii.gz" for number in range(1, len(written) + 1)]
    assert 1 <= len(written) < N_CASES
    assert files.new_since(before) == {f"r/{name}" for name in (*written, "flags.json", "volumes.json")}
    checked = [f"{case}.nii.gz" for case in json.loads((out / "flags.json").read_text(encoding="utf-8"))["checked"]]
    assert checked in (written, written[:-1])  # it may end between a map and the note of it
    assert len({(out / name).read_bytes() for name in written}) == 1
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(out / written[-1]))).shape == (48, 160, 160)
