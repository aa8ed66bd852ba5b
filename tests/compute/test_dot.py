import os
import subprocess
import sys

import numpy as np

from twintrack.compute.dot import dot

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def test_sums_the_products():
    assert dot(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])) == 32
    assert dot(np.float32([0.1]), np.float32([0.1])) == float(np.float32(0.1)) ** 2


def test_threads_do_not_change_the_last_digit():
    asked = (
        "import numpy as np\nfrom twintrack.compute.dot import dot\n"
        "rows = np.random.default_rng(0).normal(size=(10, 65536))\n"
        "print([dot(row, row).hex() for row in rows])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", asked],
            env={
                **os.environ,
                "OMP_NUM_THREADS": n,
                "OPENBLAS_NUM_THREADS": n,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            check=True,
            encoding="utf-8",
        ).stdout
        for n in ("1", "2")
    }
    assert len(told) == 1
