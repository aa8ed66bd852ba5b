"""Showing warnings: the first of each kind in full, the others counted; a quirk of the data recurs in every case."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from rich.markup import escape
from typing_extensions import Self

from twintrack.cli.display import console

_CASE = re.compile(r"^case (?P<id>.+?)(?P<rest>: | is unlike )")


class Warned:
    """Collects the warnings of a command; as a context it says at the end how often each kind came again."""

    def __init__(self) -> None:
        self.cases: dict[str, set[str]] = defaultdict(set)

    def __call__(self, message: Warning | str, *_: Any, **__: Any) -> None:
        """Show a warning if it is the first of its kind; the signature is `warnings.showwarning`."""
        text = str(message)
        match = _CASE.match(text)
        kind = text[match.start("rest") :] if match else text
        if kind not in self.cases:
            console.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)
        self.cases[kind].add(match["id"] if match else "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for kind, cases in self.cases.items():
            if len(cases) > 1:
                what = escape(kind.lstrip(": "))
                console.print(
                    f"[yellow]warning:[/] the same in {len(cases) - 1} more cases: {what}",
                    highlight=False,
                    soft_wrap=True,
                )
