"""What the pages show and the tests do not run, each with its reason. An entry that no page shows fails too."""

from __future__ import annotations

EXCUSED = {
    r"pip install ": "installs packages; the install itself is what `make demo` and `make test` begin with",
    r"make (demo|test|evidence|site)": "makes an environment and takes minutes; every change must pass demo and test",
    r"\.venv/bin/": "is what `make test` runs",
    r"nnUNetv2_predict ": "needs trained weights and its own package; the world has what it writes",
    r"TotalSegmentator ": "needs trained weights and its own package; the world has what it writes",
    r".*(\$SLURM_ARRAY_TASK_ID|part_\{1\.\.2\})": "is a job's; the tests of workers run it with a stand-in for Slurm",
    r"twintrack view ": "serves until it is stopped; the tests of the viewer start it",
    r"twintrack train ": "trains for minutes at least; the tests of training run its steps on tiny networks",
    r"dask (scheduler|worker)": "listens until it is stopped; the tests of workers start both",
    r".*--scheduler tcp://HOST": "needs a scheduler; the tests of workers run it on one of their own",
    r"from distributed import Client": "needs a scheduler; the tests of workers run it on one of their own",
    r"from dask_jobqueue import SLURMCluster": "needs Slurm; the tests of workers run it with a stand-in",
}
"""Regular expression of how a command or a snippet begins, and why it is not run."""
