"""Which rater, or raters, a member learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twintrack.errors import InputError

_RULES = ("random", "each", "majority")


@dataclass(frozen=True)
class Teach:
    """A choice of teachers.

    "one": every member learns from one rater; cases which that rater did not draw are left out.
    "each": member 1 learns from the first rater, member 2 from the second, …, and round again; cases which a member's
    rater did not draw are left out for that member. "random": for each member and case one of the raters who drew it.
    "majority": what more than half of those who drew a case labelled; with two of them, what both did.

    A missing rater is never silently replaced by another one, except by "random", whose meaning that is.

    Attributes:
        rule: The rule.
        rater: The rater's name, for "one".
    """

    rule: Literal["one", "random", "each", "majority"]
    rater: str | None = None

    @property
    def differs(self) -> bool:
        """Whether members learn from different masks."""
        return self.rule in ("random", "each")

    def teacher(
        self, member: int, raters: Sequence[str], *, everyone: Sequence[str], case_id: str, seed: int
    ) -> str | None:
        """Choose the rater of a case.

        Args:
            member: Number of the member, from 0.
            raters: Names of those who drew the case.
            everyone: Names of all raters of the study, in order.
            case_id: The case.
            seed: Chooses, for "random".

        Returns:
            The name; None where the case is to be left out. Not for "majority".
        """
        if self.rule == "random":
            # By a hash, so that what a case is taught by does not depend on which other cases there are.
            digest = hashlib.sha256(f"{seed}/{member}/{case_id}".encode()).digest()
            return sorted(raters)[int.from_bytes(digest[:8], "big") % len(raters)]
        wanted = self.rater if self.rule == "one" else everyone[member % len(everyone)]
        return wanted if wanted in raters else None

    def label(
        self,
        member: int,
        masks: dict[str, NDArray[np.bool_]],
        *,
        everyone: Sequence[str],
        case_id: str,
        seed: int,
    ) -> NDArray[np.bool_] | None:
        """Give what a member learns of a case.

        Args:
            member: Number of the member, from 0.
            masks: The raters' masks of the case, at least one.
            everyone: Names of all raters of the study, in order.
            case_id: The case.
            seed: Chooses, for "random".

        Returns:
            The mask; None where the case is to be left out.
        """
        if self.rule == "majority":
            votes = np.sum(np.stack(list(masks.values())), axis=0, dtype=np.int32)
            return np.asarray(votes > len(masks) // 2)
        name = self.teacher(member, list(masks), everyone=everyone, case_id=case_id, seed=seed)
        return None if name is None else masks[name]

    def describe(self) -> str:
        """Say it as `parse_teach` reads it."""
        return f"one:{self.rater}" if self.rule == "one" else self.rule


def parse_teach(text: str, everyone: Sequence[str]) -> Teach:
    """Read a choice of teachers.

    Args:
        text: "random", "each", "majority", "one:NAME" or a rater's NAME.
        everyone: Names of all raters of the study.

    Returns:
        The choice.

    Raises:
        InputError: If there is no such rater.
    """
    if text in _RULES and text not in everyone:
        return Teach(text)  # type: ignore[arg-type]
    name = text.removeprefix("one:")
    if name not in everyone:
        raise InputError(
            f"--teach {text}: is neither {', '.join(_RULES)} nor the name of a rater; the raters are: "
            f"{', '.join(everyone) or 'none'}"
        )
    return Teach("one", name)
