"""The server answers its own page, and nobody and nothing else."""

from __future__ import annotations

import json
import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from twintrack.errors import ServerError
from twintrack.images import read_volume
from twintrack.report.viewer import server as server_module
from twintrack.report.viewer.cases import find_cases
from twintrack.report.viewer.server import ViewerServer

from .conftest import response, write


@pytest.fixture
def server(cases, serve):
    return serve(cases)


def ask(server, path, *, method="GET", token=None, host=None, body=None):
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    target = path if token is False else f"/{server.token if token is None else token}{path}"
    connection.putrequest(method, target, skip_host=True)
    if host is not False:
        connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.putheader("Content-Length", str(len(body or b"")))
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_listens_on_this_machine_only_with_a_new_token_each_time(server, cases):
    assert server.server_address[0] == "127.0.0.1"
    assert urlsplit(server.url).path == f"/{server.token}/"
    with ViewerServer(cases) as other:
        assert other.token != server.token
    assert len(server.token) >= 43


def test_gives_the_page_its_parts_and_the_cases(server):
    answer, page = ask(server, "/")
    assert (answer.status, b"<!doctype html>" in page) == (200, True)
    for part in (
        "style.css",
        "viewer.js",
        "panel.js",
        "planes.js",
        "overlay.js",
        "greys.js",
        "contours.js",
        "niivue.js",
    ):
        assert ask(server, f"/{part}")[0].status == 200, part
    assert json.loads(ask(server, "/cases")[1]) == ["a", "b"]
    assert json.loads(ask(server, "/cases/1")[1])["flags"] == ["too bright"]


def test_every_answer_forbids_the_page_to_load_from_elsewhere_and_the_browser_to_keep_it(server):
    for path, token in (("/", None), ("/cases/0/ct", None), ("/", "wrong")):
        headers = ask(server, path, token=token)[0].headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Access-Control-Allow-Origin"] is None


def test_gives_a_volume_as_nifti(server, tmp_path):
    answer, content = ask(server, "/cases/0/response")
    path = tmp_path / "got.nii"
    path.write_bytes(content)
    assert answer.status == 200
    assert (read_volume(path).array == response()[1:3, 2:5, 3:6]).all()
    answer, content = ask(server, "/cases/0/response", method="HEAD")
    assert (answer.status, content, int(answer.headers["Content-Length"])) == (200, b"", path.stat().st_size)


@pytest.mark.parametrize("token", ["wrong", "", False, "é"])
@pytest.mark.parametrize("path", ["/", "/cases", "/cases/0/ct"])
def test_a_request_without_the_token_is_refused(server, token, path):
    answer, content = ask(server, path, token=token if token != "é" else "%C3%A9")
    assert answer.status == 403
    assert server.token.encode() not in content


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "0.0.0.0", False])
def test_a_request_under_another_name_is_refused(server, host):
    assert ask(server, "/cases", host=host)[0].status == 403
    assert ask(server, "/cases", host=f"localhost:{server.server_port}")[0].status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/cases/0/../../../etc/passwd",
        "/cases/0/..%2f..%2fa.nii.gz",
        "/cases/../server.py",
        "/static/",
        "/niivue/niivue.js",
        "/server.py",
        "//etc/passwd",
        "/cases/",
        "/cases/0/",
        "/cases/0/ct/more",
        "/cases/0/upper",
        "/cases/0/flags.json",
        "/?x=1",
    ],
)
def test_there_are_no_other_paths(server, path):
    assert ask(server, path)[0].status == 404


@pytest.mark.parametrize("number", ["2", "-1", "00000000000000000000000", "1e3", "²", "a", "0x0"])
def test_an_unknown_case_is_not_found(server, number):
    path = f"/cases/{number}".replace("²", "%C2%B2")
    assert ask(server, path)[0].status == 404
    assert ask(server, f"{path}/ct")[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(server, method):
    answer, _ = ask(server, "/cases", method=method, body=b"x=1")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_case_that_cannot_be_read_says_why(applied, serve):
    (applied / "a.nii.gz").write_bytes(b"no image")
    server = serve(find_cases(applied))

    answer, content = ask(server, "/cases/0/response")

    assert answer.status == 422
    assert b"a.nii.gz" in content
    assert ask(server, "/cases/1/response")[0].status == 200


def test_a_link_out_of_the_folder_is_not_followed(applied, serve, tmp_path):
    (applied / "a.nii.gz").unlink()
    (applied / "a.nii.gz").symlink_to(write(tmp_path / "elsewhere" / "secret.nii.gz", response()))
    server = serve(find_cases(applied))

    answer, content = ask(server, "/cases/0/response")

    assert (answer.status, b"outside the folders" in content) == (422, True)
    # Also one that was put there after the cases were found.
    (applied / "b.nii.gz").unlink()
    (applied / "b.nii.gz").symlink_to(tmp_path / "elsewhere" / "secret.nii.gz")
    assert ask(server, "/cases/1/response")[0].status == 422


def test_too_little_memory_is_said(server, monkeypatch):
    def too_large(case, name, folder):
        raise MemoryError

    monkeypatch.setattr(server_module, "write_shown", too_large)
    answer, content = ask(server, "/cases/0/ct")
    assert (answer.status, content) == (422, b"there is not enough memory for this case")


def test_two_servers_do_not_share_a_port(server, cases):
    with pytest.raises(ServerError, match=f"port {server.server_port} .*perhaps another viewer"):
        ViewerServer(cases, port=server.server_port)


def test_what_arrives_in_pieces_or_not_at_all_ends_nothing(server):
    for sent in (b"", b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n"):
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        connection.connect()
        connection.sock.sendall(sent)
        connection.close()
    assert ask(server, "/cases")[0].status == 200


def test_leaves_no_temporary_behind_when_it_ends_while_a_volume_is_read(cases, monkeypatch, tmp_path):
    scratch, written = tmp_path / "scratch", threading.Event()
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def slowly(case, name, folder):
        (folder / "half").write_bytes(b"half")
        written.set()
        time.sleep(0.2)
        return folder / "half"

    monkeypatch.setattr(server_module, "write_shown", slowly)
    with ViewerServer(cases) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        asking = threading.Thread(target=ask, args=(server, "/cases/0/ct"))
        asking.start()
        assert written.wait(20)
        server.shutdown()
    assert list(scratch.iterdir()) == []
    asking.join(20)
