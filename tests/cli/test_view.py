"""`twintrack view` through its real entry point: it serves, says where, and ends quietly."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from contextlib import closing
from socket import socket

import pytest

from .conftest import CASES


@pytest.fixture
def applied(run, files):
    """What `apply` wrote of the cohort."""
    out = files.root / "responses"
    assert run("apply", files.calibration, *files.predicted, "--out", out).code == 0
    return out


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to another process alone")
def test_serves_what_apply_wrote_and_ends_quietly(start, files, applied):
    viewer = start("view", applied, *files.drawn, *files.predicted, "--no-browser")
    url = viewer.stdout.readline().strip()

    assert url.startswith("http://127.0.0.1:")
    assert json.loads(get(url + "cases")) == list(CASES)
    said = json.loads(get(url + "cases/0"))
    assert [name for name, _ in said["volumes"]] == ["ct", "response", "probability", "raters"]
    assert (said["has_ct"], said["levels"][-1]["label"]) == (False, "at least 3 of 3 experts")
    assert said["facts"][0][0] == "expected volume"
    assert said["facts"][0][1].endswith(("mm³", "ml"))
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(url.rpartition("/")[0][:-1] + "/cases")

    viewer.send_signal(signal.SIGINT)
    out, err = viewer.communicate(timeout=60)
    assert (viewer.returncode, out) == (0, "")
    assert err.strip() == "5 cases to look at; Ctrl-C ends"


def test_a_port_in_use_is_named(run, applied):
    with closing(socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = run("view", applied, "--no-browser", "--port", port)
    assert refused.code == 1
    assert f"cannot listen on port {port}" in refused.err
    assert "perhaps another viewer" in refused.err


def test_a_folder_that_holds_no_responses_is_refused(run, files, tmp_path):
    refused = run("view", files.root / "raters", "--no-browser")
    assert refused.code == 1
    assert "holds no response maps" in refused.err
    assert run("view", tmp_path / "nothing", "--no-browser").code == 1


def test_cts_and_raters_that_are_not_there_are_refused(run, applied, tmp_path):
    for option in ("--images", "--raters", "--members"):
        refused = run("view", applied, option, tmp_path / "nothing", "--no-browser")
        assert refused.code == 1
        assert "nothing" in refused.err


@pytest.mark.parametrize(("display", "opened"), [("", False), (":0", True)])
def test_opens_a_browser_where_there_is_a_screen(run, applied, monkeypatch, display, opened):
    from twintrack.report.viewer.server import ViewerServer

    urls = []
    monkeypatch.setattr("webbrowser.open", urls.append)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(ViewerServer, "serve_forever", interrupted)

    done = run("view", applied)

    assert done.code == 0
    assert urls == ([done.out.strip()] if opened else [])
