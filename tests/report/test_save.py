import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from twintrack.errors import InputError, OutputError
from twintrack.report.case_figure import case_figure
from twintrack.report.save import save_figure

BEGINNINGS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_a_figure_is_written_in_the_format_of_its_name_and_always_alike(case, tmp_path, ending):
    for name in ("a", "b"):
        save_figure(tmp_path / f"{name}.{ending}", case_figure(**case, title="a case"), dpi=50)
    first, second = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert first.startswith(BEGINNINGS[ending])
    assert b"Matplotlib" not in first.replace(b"Matplotlib pdf backend", b"")


def test_the_users_own_settings_change_nothing(case, tmp_path):
    save_figure(tmp_path / "plain.png", case_figure(**case), dpi=50)
    own = {"font.size": 20, "savefig.facecolor": "red", "axes.titlecolor": "red", "lines.linewidth": 9}
    with mpl.rc_context({**own, "savefig.bbox": "tight"}):
        save_figure(tmp_path / "own.png", case_figure(**case), dpi=50)
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_the_resolution_is_that_asked_for(tmp_path):
    save_figure(tmp_path / "a.png", Figure(figsize=(2, 1)), dpi=30)
    size = np.frombuffer((tmp_path / "a.png").read_bytes()[16:24], ">u4")
    assert size.tolist() == [60, 30]


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"a.gif: figures are written as .png, .pdf, .svg"):
        save_figure(tmp_path / "a.gif", Figure())
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        save_figure(tmp_path / "nowhere" / "a.png", Figure())


def test_an_interrupt_leaves_no_half_written_file(tmp_path, monkeypatch):
    def interrupted(self, path, **_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_figure(tmp_path / "a.png", Figure())
    assert not list(tmp_path.iterdir())


def test_drawing_needs_neither_a_display_nor_pyplot():
    code = "import sys, twintrack.report.case_figure, twintrack.report.save; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
