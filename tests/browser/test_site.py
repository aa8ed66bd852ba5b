"""The documentation site: built strictly, whole, and read from disk without a request that leaves the machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the extra docs is not installed")
pytest.importorskip("material", reason="the extra docs is not installed")

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("index.html", "start.html", "calibration.html", "reference/calibration.html", "evidence/few_cases.html")


def build(configuration: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    # Pitfall: with --quiet, warnings are no faults. The variable silences what the theme says of its successor.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        [*command, "--config-file", str(configuration)],
        env=environment,
        cwd=configuration.parent,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(REPOSITORY / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_in_the_site(site):
    pages = {page.relative_to(REPOSITORY / "docs") for page in (REPOSITORY / "docs").rglob("*.md")}
    assert [page for page in pages if not (site / page.with_suffix(".html")).is_file()] == []


def test_links_out_of_the_pages_lead_to_copies_of_those_files(site):
    assert 'href="repository/src/twintrack/segmentation/nets/setup.py"' in (site / "install.html").read_text("utf-8")
    copy = site / "repository" / "src" / "twintrack" / "segmentation" / "nets" / "setup.py"
    assert copy.read_bytes() == (REPOSITORY / "src/twintrack/segmentation/nets/setup.py").read_bytes()


def test_nothing_is_loaded_from_elsewhere(site):
    loaded = r'<(?:script|img|iframe)[^>]*\ssrc="(https?:)?//|<link[^>]*\srel="?(?:stylesheet|preload|icon)[^>]*//'
    assert [page.name for page in site.rglob("*.html") if re.search(loaded, page.read_text("utf-8"))] == []


def test_the_reference_has_what_docstrings_say(site):
    text = (site / "reference" / "calibration.html").read_text("utf-8")
    assert 'id="twintrack.calibration.Calibration.apply"' in text
    assert "Turn probabilities into responses." in text


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_from_disk_without_errors_and_requests(watched, site, name):
    watched.page.goto((site / name).as_uri())
    watched.page.wait_for_load_state("networkidle")
    assert watched.page.locator("h1").count() == 1
    watched.check()


def test_the_search_works_from_disk(watched, site):
    watched.page.goto((site / "index.html").as_uri())
    watched.page.wait_for_load_state("networkidle")
    watched.page.keyboard.press("/")
    watched.page.keyboard.type("isotonic", delay=20)
    watched.page.locator(".md-search-result__item").first.wait_for(timeout=20_000)
    assert "isotonic" in watched.page.locator(".md-search-result__list").inner_text().lower()
    watched.check()


@pytest.mark.parametrize("viewport", [{"width": 390, "height": 800}])
def test_a_page_fits_a_phone(watched, site, viewport):
    watched.page.set_viewport_size(viewport)
    watched.page.goto((site / "evidence" / "lidc2d.html").as_uri())
    wide = watched.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= viewport["width"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [("[x](nowhere.md)", "nowhere.md"), ("[x](index.md#nowhere)", "#nowhere"), ("::: twintrack.nothing", "nothing")],
)
def test_a_broken_page_fails_the_build(tmp_path, broken, said):
    shutil.copytree(REPOSITORY / "docs" / "site", tmp_path / "docs" / "site")
    (tmp_path / "docs" / "index.md").write_text(f"# A page\n\n{broken}\n", encoding="utf-8")
    text = (REPOSITORY / "mkdocs.yml").read_text("utf-8")
    (tmp_path / "mkdocs.yml").write_text(text[: text.index("\nnav:")] + "\nnav: [index.md]\n", encoding="utf-8")
    (tmp_path / "src").symlink_to(REPOSITORY / "src")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert said in done.stderr
