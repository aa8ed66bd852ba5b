"""The recipes for batch systems run as they are printed.

For Slurm, a stand-in for its `sbatch` runs the first two jobs and lets the others wait; a loop stands in for an array.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import twintrack as tt

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"

SBATCH = """#!/bin/bash
# Usage: sbatch SCRIPT. A job is a process group of its own, as it is under Slurm.
cd "$(dirname "$0")"
number=1
until mkdir "job-$number" 2> /dev/null; do number=$((number + 1)); done  # several are submitted at once
cp "$1" "job-$number/script"
if [ "$number" -le 2 ]; then
    setsid bash "job-$number/script" > "out-$number" 2>&1 &
    echo $! > "pid-$number"
fi
echo "Submitted batch job $number"
"""
SCANCEL = """#!/bin/bash
cd "$(dirname "$0")"
for number in "$@"; do
    touch "cancelled-$number"
    [ -f "pid-$number" ] && kill -- "-$(cat "pid-$number")"
done
exit 0
"""


def blocks(title, language):
    """The code in a section of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


@pytest.fixture
def slurm(tmp_path):
    """The folder of a stand-in for Slurm's commands, and of what came of the jobs."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    yield folder
    for path in folder.glob("pid-*"):
        subprocess.run(
            ["kill", "--", f"-{path.read_text(encoding='utf-8').strip()}"], check=False, stderr=subprocess.DEVNULL
        )


@pytest.fixture
def study(cases, tmp_path):
    """A folder with what the recipe names."""
    folder = tmp_path / "study"
    for one in cases:
        for number, source in enumerate(one.members, start=1):
            copy(source, folder / f"MEMBER_{number}" / f"{one.id}.nii.gz")
        for name, source in one.raters.items():
            copy(source, folder / "RATERS" / one.id / f"annotation_{name}.nii.gz")
    rows = [f"{one.id},{one.patient},{'test' if one.id == 'c5' else 'calibration'}" for one in cases]
    (folder / "cases.csv").write_text("\n".join(["case,patient,split", *rows]) + "\n")
    return folder


def copy(source, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.files[0], path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs bash and setsid")
def test_the_recipe_for_slurm_runs_as_it_is_printed(slurm, study):
    pytest.importorskip("dask_jobqueue")
    (code,) = blocks("Slurm", "python")
    (study / "recipe.py").write_text(code)
    environment = {
        **os.environ,
        "PATH": f"{slurm}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Else scheduler and workers would listen on the network, as they must on a cluster.
        "DASK_JOBQUEUE__SLURM__SCHEDULER_OPTIONS": '{"host": "127.0.0.1"}',
    }
    done = subprocess.run(
        [sys.executable, "recipe.py"],
        cwd=study,
        env=environment,
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    said = "\n".join(path.read_text(encoding="utf-8") for path in slurm.glob("out-*"))
    assert done.returncode == 0, done.stderr + said
    cohort = tt.find_cohort(
        raters=study / "RATERS",
        members=[study / "MEMBER_1", study / "MEMBER_2"],
        cases=study / "cases.csv",
        split="calibration",
    )
    tt.fit(cohort).save(study / "alone.json")
    assert (study / "calibration.json").read_bytes() == (study / "alone.json").read_bytes()
    # All jobs are submitted, also those that find no place; none is left running.
    assert len(list(slurm.glob("job-*"))) == 20
    assert len(list(slurm.glob("cancelled-*"))) == 20
    assert len(re.findall(r"Start worker at: +'?tcp://127\.0\.0\.1:", said)) == said.count("Start worker at") == 2
    for line in ("-p PARTITION", "-n 1", "--cpus-per-task=1", "--mem=6G", "-t 01:00:00"):
        assert f"#SBATCH {line}\n" in (slurm / "job-1" / "script").read_text(encoding="utf-8")
    assert "--nthreads 1 --memory-limit 5.59GiB" in (slurm / "job-1" / "script").read_text(encoding="utf-8")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs bash")
def test_the_array_of_jobs_runs_as_it_is_printed(study):
    job, joining = blocks("Arrays of jobs, by tables", "bash")
    rows = [f"c{number},p{number // 2},part_{2 if number < 2 else 1}" for number in range(6)]
    (study / "cases.csv").write_text("\n".join(["case,patient,split", *rows]) + "\n")
    for task in ("1", "2"):
        assert bash(job, study, SLURM_ARRAY_TASK_ID=task).returncode == 0
    done = bash(joining, study)
    assert done.returncode == 0, done.stderr
    cohort = tt.find_cohort(
        raters=study / "RATERS", members=[study / "MEMBER_1", study / "MEMBER_2"], cases=study / "cases.csv"
    )
    tt.fit(cohort, method="isotonic").save(study / "alone.json")
    assert (study / "calibration.json").read_bytes() == (study / "alone.json").read_bytes()
    # Of an array one task may fail: the fit must not go on without its cases.
    (study / "part_2.table").unlink()
    done = bash(joining, study)
    assert done.returncode != 0
    assert "part_2.table" in done.stderr


def bash(script, folder, **environment):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
