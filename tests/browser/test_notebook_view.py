"""A case in a notebook's output, in a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import twintrack as tt


def picture(frame) -> str:
    return frame.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")


def test_a_case_is_shown_without_a_server(watched, tmp_path: Path) -> None:
    raters = np.zeros((3, 8, 20, 24), np.uint8)
    for k, mask in enumerate(raters):
        mask[2 + k : 6, 5:12, 8 : 16 - 2 * k] = 1
    ct = np.random.default_rng(0).normal(40, 30, raters[0].shape).astype(np.int16)
    ct[0] = -1000
    response = raters.mean(0).astype(np.float32)
    case = tt.Case("<script>alert(1)</script>", raters=list(raters), image=ct, spacing=(3.0, 1.0, 1.0))
    output = tmp_path / "output.html"
    output.write_text(f"<!doctype html>{tt.show(case, response=response)._repr_html_()}", encoding="utf-8")

    page = watched.page
    page.goto(output.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator("body[data-state=ready]").wait_for(timeout=60_000)

    assert frame.locator("h1").inner_text() == "case <script>alert(1)</script>"
    assert frame.locator("#level-text").inner_text() == "at least 2 of 3 experts"
    assert frame.locator("#slice-text").inner_text() == "5 of 8"
    assert "predicted" in frame.locator("#lines").inner_text()
    seen = {picture(frame)}
    for control, key in (
        ("#level", "ArrowRight"),
        ("#slice", "ArrowLeft"),
        ("#opacity", "ArrowLeft"),
        ("#window-level", "ArrowRight"),
        ("#window-width", "ArrowRight"),
        ("canvas", "["),
        ("canvas", "ArrowDown"),
    ):
        frame.locator(control).press(key)
        assert picture(frame) not in seen, (control, key)
        seen.add(picture(frame))
    for control, value in (("#plane", "coronal"), ("#plane", "sagittal"), ("#map", "")):
        frame.locator(control).select_option(value)
        seen.add(picture(frame))
    assert len(seen) == 11
    assert [request for request in watched.requests if not request.startswith("about:")] == [output.as_uri()]
    watched.check()
