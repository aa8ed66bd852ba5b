"""Finds out whether a bundle would work: its files, each network, the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from twintrack.errors import MissingExtraError, ModelError, TwinTrackError
from twintrack.segmentation.bundle_files import LoadedBundle, file_problems, load_bundle
from twintrack.segmentation.networks import BundleNetworks, require_same_foreground

Result = TypeVar("Result")


def verify_bundle(folder: Path, *, trust_checkpoint: bool = False) -> list[str]:
    """Say everything that is wrong with a bundle.

    The hashes of its files are compared, and each network is loaded as for a prediction, on the CPU.

    Args:
        folder: The bundle.
        trust_checkpoint: Whether checkpoints that can run code when loaded are accepted.

    Returns:
        The problems in words; empty where there are none.

    Raises:
        MissingExtraError: If networks cannot be loaded here; nothing is then known of them.
    """
    try:
        loaded = load_bundle(folder, verify=False)
    except ModelError as error:
        return [str(error)]
    return [*file_problems(loaded), *_network_problems(loaded, trust_checkpoint)]


def _network_problems(loaded: LoadedBundle, trust_checkpoint: bool) -> Iterator[str]:
    networks = BundleNetworks(loaded, device="cpu", trust_checkpoint=trust_checkpoint)
    _, problem = _attempt(lambda: networks.coarse)
    if problem is not None:
        yield f"coarse network: {problem}"
    members = []
    for entry in loaded.bundle.members:
        member, problem = _attempt(partial(networks.open, entry))
        if member is None:
            yield f"member {entry.name}: {problem}"
        else:
            members.append(member)
    _, problem = _attempt(partial(require_same_foreground, members, where="members"))
    if problem is not None:
        yield problem


def _attempt(step: Callable[[], Result]) -> tuple[Result | None, str | None]:
    """Give what a step gives, or why it cannot."""
    try:
        return step(), None
    except MissingExtraError:
        raise
    except TwinTrackError as error:
        return None, str(error)
