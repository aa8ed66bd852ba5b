"""A real browser for tests of pages: Debian's Chromium, driven by Playwright; its faults fail the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

LOCAL_SCHEMES = {"file", "data", "blob", "about"}
LOCAL_HOSTS = {"127.0.0.1", "localhost"}


@dataclass
class Watched:
    """A page and what went wrong or out while it was open."""

    page: Any
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def leaving(self) -> list[str]:
        """Give the addresses asked for that are not on this machine."""
        parts = [(urlsplit(url), url) for url in self.requests]
        return [u for p, u in parts if p.scheme not in LOCAL_SCHEMES and p.hostname not in LOCAL_HOSTS]

    def check(self) -> None:
        """Fail where the page wrote an error or asked for something elsewhere."""
        assert self.faults == []
        assert self.leaving() == []


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = os.environ.get("TWINTRACK_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no browser: install Debian's chromium, or name one in TWINTRACK_CHROMIUM")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    with sync_api.sync_playwright() as playwright:
        # No sandbox: tests may run as root. WebGL in software: there may be no graphics card.
        options = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture
def watched(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """Give a page whose console errors and requests are watched; `indirect` parameters are the browser context's."""
    context = chromium.new_context(**getattr(request, "param", {}))
    page = context.new_page()
    watched = Watched(page)
    page.on("console", lambda m: watched.faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: watched.faults.append(str(error)))
    page.on("request", lambda r: watched.requests.append(r.url))
    yield watched
    context.close()
