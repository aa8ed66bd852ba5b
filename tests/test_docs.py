"""The pages and the docstrings say what is: their examples run, their links lead somewhere, their commands exist."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest
import typer

import twintrack
from twintrack.cli.main import app
from twintrack.report.dicom.extra import has_dicom_extra
from twintrack.segmentation.extra import has_nnunet

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(twintrack.__path__, "twintrack.")
    if not module.name.startswith("twintrack.cli")
]
NEED_NETWORKS = ("twintrack.segmentation.nets", "twintrack.segmentation.training", "twintrack.pipeline.train")
NEED_DICOM = ("twintrack.report.dicom", "twintrack.pipeline.dicom", "twintrack.pipeline.predicted_dicom")
BENCHMARK_PAGES = {"pdacvi": 13, "curvas2024": 11}


def run_examples(text: str, names: dict[str, object], where: str) -> tuple[int, str]:
    test = doctest.DocTestParser().get_doctest(text, names, where, where, 0)
    report: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    return result.attempted, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_come_out_as_printed(page):
    blocks = re.findall(r"```pycon\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    attempted, failures = run_examples("\n".join(blocks), {}, page.name)
    assert failures == ""
    if page.stem in BENCHMARK_PAGES:
        assert attempted > 30


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_come_out_as_printed(name):
    if name.startswith(NEED_NETWORKS) and not has_nnunet():
        pytest.skip("the extra nnunet is not installed")
    if name.startswith(NEED_DICOM) and not has_dicom_extra():
        pytest.skip("the extra dicom is not installed")
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        _, failures = run_examples(test.docstring, dict(test.globs), test.name)
        assert failures == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("name", BENCHMARK_PAGES)
def test_every_difference_of_a_benchmark_has_its_section(name):
    text = (REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*\[▸\]\(#([\w-]+)\) \|$", text, flags=re.MULTILINE)
    titles = re.findall(r"^### (.*)$", text, flags=re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
    assert [int(number) for number, _ in rows] == list(range(1, BENCHMARK_PAGES[name] + 1))
    assert [anchor for _, anchor in rows] == anchors


def commands_of_the_pages() -> list[str]:
    """The commands in the code blocks of every page."""
    blocks = (
        block
        for page in PAGES
        for block in re.findall(r"```\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    )
    return [line for block in blocks for line in block.splitlines() if line.startswith("twintrack ")]


def test_the_pages_show_every_command():
    shown = {shlex.split(command)[1] for command in commands_of_the_pages()}
    assert shown >= {"inspect", "fit", "apply", "evaluate", "compare", "segment", "predict", "bundle", "train"}


@pytest.mark.parametrize("command", commands_of_the_pages())
def test_every_command_of_a_page_has_the_options_it_names(command):
    words = shlex.split(command)[1:]
    entry = typer.main.get_command(app)
    while hasattr(entry, "commands"):
        entry = entry.commands[words.pop(0)]
    known = {name for parameter in entry.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known
