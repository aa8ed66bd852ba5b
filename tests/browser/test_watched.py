"""The watch itself: it sees errors and requests that leave the machine."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_sees_an_error_of_the_page(watched, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<script>throw new Error('broken')</script>", encoding="utf-8")

    watched.page.goto(page.as_uri())

    with pytest.raises(AssertionError, match="broken"):
        watched.check()


def test_sees_a_request_that_leaves_the_machine(watched, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<img src="http://elsewhere.invalid/x.png">', encoding="utf-8")

    watched.page.route("http://elsewhere.invalid/**", lambda route: route.abort())

    watched.page.goto(page.as_uri())

    assert watched.leaving() == ["http://elsewhere.invalid/x.png"]


def test_draws_with_webgl_2(watched, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<canvas id=c></canvas>", encoding="utf-8")

    watched.page.goto(page.as_uri())

    assert watched.page.evaluate("document.getElementById('c').getContext('webgl2') !== null")
    watched.check()
