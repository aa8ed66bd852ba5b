import json
import subprocess
import sys
from pathlib import Path

import SimpleITK as sitk


def run_demo(out):
    command = [Path(sys.executable).with_name("twintrack"), "demo", "--out", str(out), "--n-cases", "4"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_demo_runs_the_main_job_and_names_its_files(tmp_path):
    done = run_demo(tmp_path)
    assert done.returncode == 0, done.stderr
    written = [line.removeprefix("wrote ") for line in done.stdout.splitlines() if line.startswith("wrote ")]
    assert [Path(line).name for line in written] == ["calibration.json", "responses", "scores.csv", "summary.json"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["n_cases"] == 2
    assert summary["n_cases_seen_by_the_fit"] == 0
    assert "MSE to response" in done.stdout
    assert set(summary["scores"]["mse"]["predictions"]) == {"raw", "calibrated"}
    first = sorted((tmp_path / "responses").iterdir())[0]
    (cohort,) = tmp_path.glob("cohort-*")
    image = sitk.ReadImage(str(cohort / "raters" / first.name.removesuffix(".nii.gz") / "image.nii.gz"))
    response = sitk.ReadImage(str(first))
    assert response.GetSpacing() == image.GetSpacing()
    assert response.GetSize() == image.GetSize()
    again = run_demo(tmp_path)
    assert again.returncode == 0, again.stderr
    assert "using the phantoms of an earlier run" in again.stdout
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
