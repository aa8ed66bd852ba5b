"""What the pages show: their fenced blocks, and the commands and snippets in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]

SHELL = ("", "sh", "bash", "shell", "console")
PYTHON = ("python",)
NOT_RUN = ("pycon", "text", "json", "csv", "yaml", "toml")
"""Languages of blocks that hold no command: `pycon` is run by `test_docs.py`, the others are shown only."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        where: Page and line, for messages.
        language: What stands behind the fence.
        text: What is in it.
    """

    where: str
    language: str
    text: str

    @property
    def steps(self) -> list[str]:
        """What is run one by one: the commands of a shell's block, or the whole of another one."""
        if self.language not in SHELL:
            return [self.text]
        lines = (line.strip().removeprefix("$ ") for line in self.text.replace("\\\n", " ").splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks_of(page: Path) -> list[Block]:
    """Give the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        body = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M)
        found.append(Block(f"{page.relative_to(REPOSITORY)}:{line}", match["language"], body))
    return found


def inline_commands(page: Path) -> list[str]:
    """Give what looks like a command in the running text: `` `twintrack …` ``, `` `python …` ``, `` `make …` ``."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return re.findall(r"`((?:twintrack|python|make) [^`]+)`", text)


def name_of(page: Path) -> str:
    """Call a page by its path, for the names of tests."""
    return page.relative_to(REPOSITORY).as_posix()
