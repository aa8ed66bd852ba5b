"""The viewer in a real browser: planes scroll, contours move, the window changes, and nothing leaves the machine."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twintrack.cohort.find import find_cohort
from twintrack.images import Grid, Volume, write_volume
from twintrack.report.viewer.cases import find_cases
from twintrack.report.viewer.server import ViewerServer

SHAPE = (10, 24, 30)
SPACING = (4.0, 2.0, 2.0)
BLOCK = (slice(5, 8), slice(6, 12), slice(18, 22))
"""Nowhere near the middle, and of another size along each axis: a turned or mirrored contour would not fit it."""
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
DIRECTIONS = {
    "1 mirrored": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    "2 sagittal slices": (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "3 oblique": (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0),
}
SCRIPT = "<script>alert(1)<_script>"


def write(path: Path, array: np.ndarray, grid: Grid) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(array, grid))


def make_case(root: Path, name: str, direction: tuple[float, ...] = IDENTITY) -> None:
    """A dim body with air around it and a bright block; the response is 1 there, lower further in the plane."""
    grid = Grid(shape=SHAPE, spacing=SPACING, origin=(10.0, -20.0, 30.0), direction=direction)
    ct = np.full(SHAPE, -100, np.int16)
    ct[0, 0, 0] = -1000
    ct[BLOCK] = 200
    response = np.zeros(SHAPE, np.float32)
    z, y, x = BLOCK
    response[z, y.start - 2 : y.stop + 2, x.start - 2 : x.stop + 2] = 0.3
    response[BLOCK] = 1
    write(root / "out" / f"{name}.nii.gz", response, grid)
    write(root / "cts" / f"{name}.nii.gz", ct, grid)
    for rater in range(1, 6):
        mask = (response > (0.2 if rater <= 2 else 0.5)).astype(np.uint8)
        write(root / "raters" / name / f"annotation_{rater}.nii.gz", mask, grid)


@pytest.fixture
def view(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Serve the cases of a folder; gives the page's address."""
    servers = []

    def start(**options) -> str:
        raters = tmp_path / "raters"
        drawn = find_cohort(raters=raters) if raters.is_dir() else ()
        images = [tmp_path / "cts"] if (tmp_path / "cts").is_dir() else []
        server = ViewerServer(find_cases(tmp_path / "out", images=images, drawn=drawn, named=[raters], **options))
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server.url

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def wait(page, state: str = "ready") -> None:
    page.wait_for_selector(f"body[data-state={state}]", timeout=120_000)
    settle(page)


def settle(page) -> None:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")


def move(page, control: str, value: object, event: str = "input") -> None:
    page.evaluate(
        """([id, value, event]) => {
          document.getElementById(id).value = value;
          document.getElementById(id).dispatchEvent(new Event(event));
        }""",
        [control, str(value), event],
    )
    settle(page)


def picture(page, only: str) -> np.ndarray:
    """What one of the two canvases shows, as grey or colour: (rows, columns, 3)."""
    other = {"planes": "lines", "lines": "planes"}[only]
    page.evaluate("(id) => { document.getElementById(id).style.visibility = 'hidden'; }", other)
    shot = page.locator("#view").screenshot()
    page.evaluate("(id) => { document.getElementById(id).style.visibility = ''; }", other)
    # Without the rim, which shows where the keys go.
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)[4:-4, 4:-4]


def digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def extent(mask: np.ndarray) -> list[int]:
    """First and last row and column of what is there."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])]


def contour(page) -> np.ndarray:
    """Where the raters' contour lies, which has a colour nothing else has."""
    red, green, blue = np.moveaxis(picture(page, "lines"), 2, 0)
    return (red > 200) & (abs(green - 0.62 * red) < 30) & (blue < 90)


def text(page, selector: str) -> str:
    return page.locator(selector).inner_text()


def test_a_case_is_looked_at(watched, view, tmp_path):
    make_case(tmp_path, "c1")
    record = {"expected_volume_mm3": 1234.0, "no_interval": "too few cases"}
    (tmp_path / "out" / "volumes.json").write_text(json.dumps({"cases": {"c1": record}}), encoding="utf-8")
    (tmp_path / "out" / "flags.json").write_text(json.dumps({"flags": {"c1": ["<b>odd</b>"]}}), encoding="utf-8")
    page = watched.page
    page.set_viewport_size({"width": 1100, "height": 700})
    page.goto(view())
    wait(page)

    # What is said: the volume, the flag as text, the convention, and that the crosshair is in the structure.
    assert "1.23 ml" in text(page, "#facts")
    assert "<b>odd</b>" in text(page, "#flags")
    assert "right is on the left" in text(page, "#convention")
    assert "200 HU" in text(page, "#readout")
    assert "1.000 (5 of 5)" in text(page, "#readout")
    assert text(page, "#level-text") == "at least 3 of 5 experts"

    # The slider moves the contour: with fewer experts it is larger, in both of its kinds.
    three = contour(page).sum()
    before = digest(picture(page, "lines"))
    page.locator("#level").press("ArrowLeft")
    settle(page)
    assert text(page, "#level-text") == "at least 2 of 5 experts"
    assert contour(page).sum() > 1.1 * three
    page.uncheck("#raters-contour")
    predicted = digest(picture(page, "lines"))
    page.locator("#level").press("ArrowRight")
    settle(page)
    assert predicted != digest(picture(page, "lines")) != before
    page.check("#raters-contour")

    # Colours: none, weaker, another map.
    coloured = digest(picture(page, "lines"))
    for control, value, event in (("opacity", 20, "input"), ("map", "raters", "change"), ("map", "", "change")):
        move(page, control, value, event)
        assert digest(picture(page, "lines")) != coloured
        coloured = digest(picture(page, "lines"))

    # Planes scroll: by slider, wheel and keys.
    planes = digest(picture(page, "planes"))
    move(page, "slice-axial", 0)
    assert text(page, "label[for=slice-axial] output") == "1 of 10"
    assert digest(picture(page, "planes")) != planes
    page.focus("#view")
    for key, name, shown in (
        ("ArrowUp", "axial", "2 of 10"),
        ("ArrowDown", "axial", "1 of 10"),
        ("Home", "axial", "1 of 10"),
    ):
        page.keyboard.press(key)
        settle(page)
        assert text(page, f"label[for=slice-{name}] output") == shown
    for key, name, change in (("ArrowRight", "sagittal", 1), ("PageUp", "coronal", -1), ("PageDown", "coronal", 1)):
        slider = page.locator(f"#slice-{name}")
        before = int(slider.input_value())
        page.keyboard.press(key)
        settle(page)
        assert int(slider.input_value()) == before + change
    page.mouse.move(200, 350)
    page.mouse.wheel(0, 100)
    page.wait_for_timeout(300)
    assert text(page, "label[for=slice-axial] output") == "2 of 10"
    assert "axial, 2 of 10" in page.locator("#slice-axial").get_attribute("aria-valuetext")

    # A click moves the crosshair.
    at = [page.locator(f"#slice-{name}").input_value() for name in ("coronal", "sagittal")]
    page.mouse.click(250, 300)
    settle(page)
    assert at != [page.locator(f"#slice-{name}").input_value() for name in ("coronal", "sagittal")]

    # The window: a narrow one below everything makes all of it white; a preset brings the picture back.
    greys = picture(page, "planes")
    page.fill("#window-level", "-900")
    page.fill("#window-width", "20")
    page.press("#window-width", "Enter")
    page.locator("#opacity").focus()
    settle(page)
    assert picture(page, "planes").mean() > 1.5 * greys.mean()
    assert page.locator("#preset").input_value() == ""
    page.select_option("#preset", "abdomen")
    settle(page)
    assert (picture(page, "planes") == greys).all()
    page.focus("#view")
    page.keyboard.press(".")
    settle(page)
    assert float(page.locator("#window-level").input_value()) > 55
    page.mouse.move(300, 300)
    page.mouse.down(button="right")
    page.mouse.move(360, 330, steps=4)
    page.mouse.up(button="right")
    page.wait_for_timeout(300)
    assert page.locator("#preset").input_value() == ""

    # Near, and back.
    page.click("#to-structure")
    settle(page)
    assert text(page, "#zoom-text") == "3 ×"
    assert "200 HU" in text(page, "#readout")
    page.click("#fit")
    settle(page)
    assert text(page, "#zoom-text") == "1 ×"
    smooth = digest(picture(page, "planes"))
    page.check("#smooth")
    settle(page)
    assert digest(picture(page, "planes")) != smooth
    watched.check()


def test_contours_lie_where_the_voxels_are_in_every_orientation(watched, view, tmp_path):
    for name, direction in DIRECTIONS.items():
        make_case(tmp_path, name, direction)
    page = watched.page
    page.set_viewport_size({"width": 800, "height": 450})
    page.goto(view())
    for number, name in enumerate(DIRECTIONS):
        wait(page)
        assert page.locator("#case option:checked").inner_text() == name
        page.uncheck("#contour")
        move(page, "map", "", "change")
        for plane in ("axial", "coronal", "sagittal"):
            move(page, "layout", plane, "change")
            move(page, "zoom", 2)
            bright = picture(page, "planes").min(2)
            # Letters are as bright, and smaller than the block.
            block = extent(_largest(bright > 200))
            assert np.abs(np.subtract(extent(contour(page)), block)).max() <= 3, (name, plane)
        move(page, "layout", "all", "change")
        page.check("#contour")
        if number + 1 < len(DIRECTIONS):
            page.click("#next-case")
    watched.check()


def _largest(mask: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    labels, n = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, labels, range(1, n + 1))
    return labels == 1 + int(np.argmax(sizes))


@pytest.mark.parametrize(
    "watched", [{"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"}], indirect=True, ids=["phone, dark"]
)
def test_odd_cases_on_a_phone(watched, view, tmp_path):
    grid = Grid.plain(SHAPE, spacing=SPACING)
    response = np.zeros(SHAPE, np.float32)
    response[BLOCK] = 0.8
    write(tmp_path / "out" / f"{SCRIPT}.nii.gz", response, grid)
    write(tmp_path / "out" / "empty.nii.gz", np.zeros(SHAPE, np.float32), grid)
    write(tmp_path / "out" / "flat.nii.gz", response[5], Grid.plain(SHAPE[1:], spacing=SPACING[1:]))
    write(tmp_path / "out" / "bad.nii.gz", response * 2, grid)
    write(tmp_path / "out" / "plain.npy", response, grid)
    page = watched.page
    alerts = []
    page.on("dialog", lambda dialog: alerts.append(dialog.dismiss()))
    page.goto(view())

    def choose(name: str, state: str = "ready") -> None:
        if page.locator("#case option:checked").inner_text() != name:
            page.select_option("#case", label=name)
        wait(page, state)

    # A name is text; without a CT maps are shown on black, which is said.
    wait(page)
    choose(SCRIPT)
    assert alerts == []
    assert "--images" in text(page, "#status")
    assert text(page, "#level-text") == "response at least 0.50"
    assert page.locator("#window").is_hidden()
    assert picture(page, "planes").mean() < 5
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 26)"

    choose("empty")
    assert "0.000" in text(page, "#readout")

    choose("flat")
    assert page.locator("#slice-coronal").is_hidden()
    assert page.locator("#convention").is_hidden()
    assert "0.800" in text(page, "#readout")

    choose("plain")
    assert page.locator("#convention").is_hidden()

    # The browser writes the refused answer to its console, the page says why.
    watched.check()
    choose("bad", "failed")
    assert "are not in [0, 1]" in text(page, "#failure")
    assert all("422" in fault for fault in watched.faults)
    watched.faults.clear()

    # What the graphics cannot hold whole is not shown in part.
    page.evaluate("() => { WebGL2RenderingContext.prototype.getParameter = () => 16; }")
    choose("empty", "failed")
    assert "at most 16 voxels along an axis" in text(page, "#failure")
    page.evaluate("() => { WebGL2RenderingContext.prototype.getParameter = () => 2048; }")
    choose(SCRIPT)
    assert page.locator("#failure").is_hidden()
    watched.check()


def test_a_browser_without_webgl_2_is_told_so(watched, view, tmp_path):
    make_case(tmp_path, "c1")
    dialogs = []
    watched.page.on("dialog", lambda dialog: dialogs.append(dialog.dismiss()))
    watched.page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null;")
    watched.page.goto(view())
    wait(watched.page, "failed")
    assert "WebGL 2 is missing" in text(watched.page, "#failure")
    assert dialogs == []
    watched.check()
