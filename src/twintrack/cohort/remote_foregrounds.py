"""What members that lie elsewhere call foreground: their ``dataset.json`` is fetched, once for each folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twintrack.errors import InputError
from twintrack.images.nnunet import DESCRIPTION, foreground_names
from twintrack.images.packing.unpack import scratch_folder
from twintrack.images.remote import called, fetch_if_there, name_of, sibling


class UnreachableError(InputError):
    """An address cannot be reached, so nothing is known of what lies there."""


class RemoteForegrounds:
    """Looks up what is merged into the probability of members that lie elsewhere.

    Args:
        wanted: Labels or channels that count as the structure, as for `foreground_names`.
    """

    def __init__(self, wanted: Sequence[str | int] | None) -> None:
        self._wanted = wanted
        self._found: dict[str, tuple[str, ...] | None] = {}
        self._lost: dict[str, str] = {}

    def of(self, address: str) -> tuple[str, ...] | None:
        """Say it of one member.

        Args:
            address: The member's file.

        Returns:
            The labels' names, or None where the file is not nnU-Net's or no ``dataset.json`` tells them.

        Raises:
            UnreachableError: If the address cannot be reached.
            InputError: If ``dataset.json`` cannot be read or the foreground is not clear.
            MissingExtraError: If a package for this kind of address is not installed.
        """
        if Path(name_of(address)).suffix.lower() != ".npz":
            return None
        description = sibling(address, DESCRIPTION)
        if description in self._lost:
            raise UnreachableError(self._lost[description])
        if description not in self._found:
            self._found[description] = self._look(description)
        return self._found[description]

    def _look(self, description: str) -> tuple[str, ...] | None:
        with scratch_folder() as folder:
            try:
                copy = fetch_if_there(description, folder)
            except InputError as error:
                self._lost[description] = str(error)
                raise UnreachableError(str(error)) from error
            if copy is None:
                return None
            with called(description, folder):
                return foreground_names(folder, self._wanted)
