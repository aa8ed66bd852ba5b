"""A web server for one person on this machine: pages and cases behind a token, and nothing else.

It listens on 127.0.0.1. Every request must carry the token in its path and name this host, so that neither other users
of the machine nor pages from elsewhere (which can make a browser ask 127.0.0.1, under a name of theirs) are answered.
Cases are asked for by number and volumes by name; no path comes from outside. Pages may load from here alone.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import sys
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twintrack.errors import ServerError, TwinTrackError
from twintrack.images.packing.unpack import scratch_folder
from twintrack.report.viewer.cases import ViewedCase
from twintrack.report.viewer.describe import describe
from twintrack.report.viewer.maps import CT, maps_of, write_shown

HOST = "127.0.0.1"
STATIC = Path(__file__).parent / "static"
"""The page and its parts."""

_PARTS = {
    "": ("index.html", "text/html; charset=utf-8"),
    "style.css": ("style.css", "text/css; charset=utf-8"),
    "viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "panel.js": ("panel.js", "text/javascript; charset=utf-8"),
    "planes.js": ("planes.js", "text/javascript; charset=utf-8"),
    "overlay.js": ("overlay.js", "text/javascript; charset=utf-8"),
    "greys.js": ("greys.js", "text/javascript; charset=utf-8"),
    "contours.js": ("contours.js", "text/javascript; charset=utf-8"),
    "niivue.js": ("niivue/niivue.js", "text/javascript; charset=utf-8"),
}
_JSON = "application/json; charset=utf-8"
_HEADERS = {
    # data: is for NiiVue's letters, which lie in its own file.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",  # nothing of a patient stays on the disk
}


class ViewerServer(ThreadingHTTPServer):
    """Serves cases until it is shut down.

    Args:
        cases: What there is to look at.
        port: Where to listen; None takes a port that is free.

    Attributes:
        cases: What there is to look at.
        token: What a request must carry.
        reading: Held while files are read: one at a time, to spare memory.
        ended: Whether no more are to be read.

    Raises:
        ServerError: If the port is in use or not allowed.
    """

    daemon_threads = True
    # Pitfall: on Windows, SO_REUSEADDR lets two servers share a port; elsewhere it only passes over closed connections.
    allow_reuse_address = os.name == "posix"

    def __init__(self, cases: Sequence[ViewedCase], *, port: int | None = None) -> None:
        self.cases = tuple(cases)
        self.token = secrets.token_urlsafe(32)
        self.reading = threading.Lock()
        self.ended = False
        try:
            super().__init__((HOST, port or 0), _Handler)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "something listens there already, perhaps another viewer" if taken else error.strerror
            raise ServerError(
                f"cannot listen on port {port} of {HOST}: {why}. Name another port, or none for a free one"
            ) from error

    @property
    def url(self) -> str:
        """Where the page is, with the token."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def server_close(self) -> None:
        """Stop listening, and wait for a volume that is being read: its temporary file is to be deleted."""
        super().server_close()
        with self.reading:
            self.ended = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a browser that went away; anything else is a fault and is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: ViewerServer
    server_version, sys_version = "twintrack", ""
    timeout = 60  # seconds: a client that says nothing must not hold a thread for ever

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Say nothing: addresses hold the token."""

    def do_GET(self) -> None:
        """Answer, if the request is from the page."""
        hosts = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") not in hosts:
            self._say(HTTPStatus.FORBIDDEN, "this server answers to its own address only")
            return
        token, *parts = self.path.removeprefix("/").split("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._say(HTTPStatus.FORBIDDEN, "open the address that twintrack printed, with its token")
            return
        try:
            self._answer(parts)
        except TwinTrackError as error:
            self._say(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except MemoryError:
            self._say(HTTPStatus.UNPROCESSABLE_ENTITY, "there is not enough memory for this case")

    do_HEAD = do_GET  # noqa: N815

    def _refuse(self) -> None:
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "there is nothing to change here", allow=True)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = _refuse  # noqa: N815

    def _answer(self, parts: list[str]) -> None:
        match parts:
            case [name] if name in _PARTS:
                file, kind = _PARTS[name]
                self._send((STATIC / file).read_bytes(), kind)
            case ["cases"]:
                self._send_json([case.id for case in self.server.cases])
            case ["cases", number] if (viewed := self._case(number)) is not None:
                with self.server.reading:
                    described = describe(viewed)
                self._send_json(described)
            case ["cases", number, name] if (viewed := self._case(number)) is not None and name in (
                CT,
                *maps_of(viewed),
            ):
                self._send_volume(viewed, name)
            case _:
                self._say(HTTPStatus.NOT_FOUND, "there is no such thing here")

    def _case(self, number: str) -> ViewedCase | None:
        if not (number.isascii() and number.isdecimal()) or len(number) > 9:
            return None
        return self.server.cases[int(number)] if int(number) < len(self.server.cases) else None

    def _send_volume(self, case: ViewedCase, name: str) -> None:
        with self.server.reading, scratch_folder() as folder:
            if self.server.ended:
                return
            content = write_shown(case, name, folder).read_bytes()
        self._send(content, "application/octet-stream")

    def _send_json(self, content: Any) -> None:
        self._send(json.dumps(content, ensure_ascii=False).encode(), _JSON)

    def _say(self, status: HTTPStatus, text: str, *, allow: bool = False) -> None:
        self._send(text.encode(), "text/plain; charset=utf-8", status=status, allow=allow)

    def _send(self, body: bytes, kind: str, *, status: HTTPStatus = HTTPStatus.OK, allow: bool = False) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if allow:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
