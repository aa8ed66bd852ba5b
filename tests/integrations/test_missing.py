"""Without its library an integration says what to install; nothing else imports one."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

from twintrack.errors import MissingExtraError


@pytest.mark.parametrize(
    ("module", "library", "said"),
    [
        ("monai", "monai", "pip install 'twintrack[monai]'"),
        ("monai", "torch", "needs MONAI (and torch)"),
        ("sklearn", "sklearn", "pip install 'twintrack[sklearn]'"),
        ("torch", "torch", "pip install torch"),
    ],
)
def test_what_is_missing_is_said(monkeypatch, module, library, said):
    for name in {library, *(name for name in sys.modules if name.startswith(f"{library}."))}:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, f"twintrack.integrations.{module}", raising=False)
    with pytest.raises(MissingExtraError, match=re.escape(said)):
        importlib.import_module(f"twintrack.integrations.{module}")


def test_the_core_imports_no_integration():
    code = (
        "import sys, twintrack as tt, twintrack.cli, twintrack.integrations; [getattr(tt, n) for n in tt.__all__]; "
        "print([m for m in sys.modules if m.startswith(('twintrack.integrations.', 'monai', 'sklearn', 'torch'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
