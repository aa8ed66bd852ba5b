"""The report in a real browser: sliders move outlines, the keyboard works, nothing leaves, phones and paper fit."""

from __future__ import annotations

import re

import pytest

from twintrack.report.html.page import write_report

from ..report.html import maker  # noqa: TID252  (the cohort of the report's other tests)

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DARK = {"color_scheme": "dark"}


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    scores = maker.write_scores(folder, maker.make_cases())
    return write_report(scores, folder / "report.html", calibration=folder / "calibration.json")


@pytest.fixture
def page(watched, report):
    """The report, opened from disk with every picture drawn; its errors and requests fail the test."""
    opened = watched.page
    opened.goto(report.as_uri())
    # Not by a function that is polled: the page's policy forbids to evaluate any.
    opened.locator(".picture.ready").nth(2).wait_for()
    yield opened
    watched.check()


def outline(page, panel, kind="drawn"):
    return page.locator(f".picture >> nth=0 >> figure[data-panel={panel}] >> path.{kind} >> nth=1").get_attribute("d")


def slide(page, name, key):
    page.locator(f".picture >> nth=0 >> input[name={name}]").press(key)


def pixels(page, panel):
    return page.evaluate(
        """panel => {
          const canvas = document.querySelector(`.picture figure[data-panel=${panel}] canvas`);
          return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.join();
        }""",
        panel,
    )


def length(path):
    return len(re.findall("M", path))


def test_the_experts_slider_moves_every_outline(page):
    slide(page, "level", "Home")
    any_ = {panel: outline(page, panel) for panel in ("ct", "votes", "raw", "calibrated", "difference")}
    predicted = outline(page, "calibrated", "predicted")
    assert page.locator(".picture >> nth=0 >> output[data-said=level]").inner_text() == "at least 1 of 4"
    slide(page, "level", "End")
    for panel, before in any_.items():
        assert 0 < length(outline(page, panel)) < length(before)  # the raters are nested disks
    assert 0 < length(outline(page, "calibrated", "predicted")) < length(predicted)
    assert page.locator(".picture >> nth=0 >> output[data-said=level]").inner_text() == "all 4 of 4"
    assert page.locator(".picture >> nth=0 >> input[name=level]").get_attribute("aria-valuetext") == "all 4 of 4"


def test_the_slice_slider_changes_pixels_and_outlines(page):
    before, drawn = {panel: pixels(page, panel) for panel in ("ct", "votes", "raw", "calibrated")}, outline(page, "ct")
    slide(page, "slice", "ArrowRight")
    for panel, old in before.items():
        assert pixels(page, panel) != old, panel
    assert outline(page, "ct") != drawn
    slide(page, "slice", "ArrowLeft")
    assert {panel: pixels(page, panel) for panel in before} == before


def test_the_pixels_are_those_of_the_arrays(page, report):
    from twintrack.evaluation.details.files import read_details

    picture = read_details(report.parent / "scores").pictures[0]
    middle = int(picture.votes.sum(axis=(1, 2), dtype=int).argmax())
    grey = [int(value) for value in pixels(page, "ct").split(",")]
    assert grey[::4] == picture.ct[middle].ravel().tolist()
    brightest = [int(value) for value in pixels(page, "votes").split(",")]
    (full,) = {tuple(brightest[4 * k : 4 * k + 3]) for k in (picture.votes[middle].ravel() == 4).nonzero()[0].tolist()}
    assert full == (253, 231, 55)  # the upper end of cividis


def test_outlines_close_and_pass_between_the_pixels(page):
    """A single pixel has a diamond about it; two that touch at a corner are parted or joined by what lies between."""
    source = (maker.STATIC / "contours.js").read_text(encoding="utf-8")
    found = page.evaluate(f"(() => {{ {source}; return outline([0, 0, 0, 0, 1, 0, 0, 0, 0], 3, 3, 0.5); }})()")
    ends = re.findall(r"[ML]([\d.]+) ([\d.]+)", found)
    assert {(float(x), float(y)) for x, y in ends} == {(1.0, 1.5), (2.0, 1.5), (1.5, 1.0), (1.5, 2.0)}
    assert all(ends.count(end) == 2 for end in ends)
    edge = page.evaluate(f"(() => {{ {source}; return outline([1, 1, 1, 1], 2, 2, 0.5); }})()")
    assert length(edge) == 8
    corners = page.evaluate(f"(() => {{ {source}; return outline([1, 0, 0, 1], 2, 2, 0.5); }})()")
    ends = re.findall(r"[ML]([\d.]+) ([\d.]+)", corners)
    assert all(ends.count(end) == 2 for end in ends)


def test_another_difference_is_another_picture(page):
    before = pixels(page, "difference")
    page.locator(".picture >> nth=0 >> select").select_option("raw votes")
    assert pixels(page, "difference") != before


def test_a_voxel_says_its_numbers(page):
    page.locator(".picture >> nth=0 >> figure[data-panel=raw] >> .stage").hover()
    said = page.locator(".picture >> nth=0 >> .readout").inner_text()
    assert re.fullmatch(r"\d of 4 raters · raw \d\.\d\d · calibrated \d\.\d\d", said)
    page.locator("h1").hover()
    assert page.locator(".picture >> nth=0 >> .readout").inner_text() == ""


def column(page, number):
    return page.locator(f"#cases tbody tr > :nth-child({number})").all_inner_texts()


def test_the_table_sorts_by_names_and_numbers(page):
    names = column(page, 1)
    page.locator("#cases thead button >> nth=0").click()
    assert column(page, 1) == sorted(names)
    button = page.locator("#cases thead button", has_text="MSE")
    number = int(button.evaluate("button => button.closest('th').cellIndex")) + 1
    button.click()
    values = [float(text) for text in column(page, number)]
    assert values == sorted(values)
    button.press("Enter")
    assert [float(text) for text in column(page, number)] == sorted(values, reverse=True)
    assert button.evaluate("button => button.closest('th').getAttribute('aria-sort')") == "descending"
    page.locator("#view").select_option("raw")
    raw = [float(text) for text in column(page, number)]
    assert raw == sorted(raw, reverse=True)
    assert raw != values


def test_a_hostile_name_is_only_a_name(page):
    assert maker.HOSTILE in column(page, 1)
    assert page.locator("script").count() == 2
    assert page.evaluate("typeof alerted") == "undefined"


def test_charts_speak_to_pointer_and_keyboard(page):
    chart = page.locator("#volumes svg.chart")
    chart.locator("circle >> nth=0").hover()
    assert "raters" in page.locator("#tip").inner_text()
    chart.focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#tip").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").inner_text() != first
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_every_control_is_reached_by_tab_and_seen(page):
    reached = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.name || document.activeElement.id || document.activeElement.tagName")
        )
    assert {"theme", "slice", "level", "difference", "view", "svg", "BUTTON", "A", "SUMMARY"} <= reached
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_the_scale_changes_every_chart(page):
    page.locator("#reliability input[data-scale=logit]").check()
    assert page.locator("#reliability .when-logit >> nth=0").is_visible()
    assert page.locator("#calibration .when-logit").is_visible()
    assert page.locator("#calibration input[data-scale=logit]").is_checked()
    assert page.locator(".when-linear >> nth=0").is_hidden()


def paper(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_light_by_default_and_dark_by_choice(page):
    light = paper(page)
    page.locator("#theme").click()
    assert light == "rgb(255, 255, 255)" != paper(page)
    page.locator("#theme").click()
    assert paper(page) == light


@pytest.mark.parametrize("watched", [DARK], indirect=True)
def test_dark_where_the_system_is(page):
    assert paper(page) == "rgb(20, 23, 27)"
    page.locator("#theme").click()
    assert paper(page) == "rgb(255, 255, 255)"


@pytest.mark.parametrize("watched", [PHONE], indirect=True)
def test_a_phone_need_not_scroll_sideways(page):
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("innerWidth") == 390
    smallest = page.evaluate(
        """Math.min(...[...document.querySelectorAll("svg.chart text")].map(
          (text) => text.getBoundingClientRect().height).filter((height) => height > 0))"""
    )
    assert smallest > 9
    page.locator(".picture >> nth=0 >> input[name=level]").press("Home")
    assert length(outline(page, "ct")) > 0


def test_it_prints(page):
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12
    page.emulate_media(media="print")
    for hidden in ("nav", ".controls >> nth=0", "#theme"):
        assert page.locator(hidden).is_hidden()
    assert paper(page) == "rgb(255, 255, 255)"


def test_it_is_small(report):
    assert report.stat().st_size < 1e6
