"""Every number of the protocol's page comes out as it is printed there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from twintrack.evaluation.curvas2024 import scoring

PAGE = Path(__file__).parents[3] / "docs" / "curvas2024.md"


def run(text, names):
    test = doctest.DocTestParser().get_doctest(text, names, PAGE.name, str(PAGE), 0)
    report = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    return result.attempted, "".join(report)


def test_the_pages_examples():
    blocks = re.findall(r"```pycon\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    attempted, failures = run("\n".join(blocks), {})
    assert attempted > 30
    assert failures == ""


def test_the_docstrings_example():
    attempted, failures = run(scoring.score.__doc__, {"score": scoring.score})
    assert attempted == 6
    assert failures == ""


def test_every_difference_has_its_section():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*\[▸\]\(#([\w-]+)\) \|$", text, flags=re.MULTILINE)
    titles = re.findall(r"^### (.*)$", text, flags=re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
    assert [int(number) for number, _ in rows] == list(range(1, 12))
    assert [anchor for _, anchor in rows] == anchors


def test_every_block_says_what_it_is():
    fences = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if "```" in line]
    assert set(fences) <= {"```pycon", "```text", "```"}
