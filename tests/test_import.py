import subprocess
import sys


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, twintrack; print(sorted({'numpy', 'scipy', 'numba', 'SimpleITK', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_core_does_not_import_torch():
    code = "import sys, twintrack as tt; [getattr(tt, name) for name in tt.__all__]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_unknown_name_is_an_attribute_error():
    import pytest

    import twintrack

    assert set(twintrack.__all__) <= set(dir(twintrack))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        twintrack.nothing  # noqa: B018
