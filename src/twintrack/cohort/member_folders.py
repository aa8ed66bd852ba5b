"""Finding members' predictions on disk: nnU-Net prediction folders, or folders of probability maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twintrack.cohort.rater_folders import images_in, natural, require_each_once, require_folder, subfolders
from twintrack.cohort.sources import ImageSource, PredictionSource, Source
from twintrack.errors import CohortError
from twintrack.images.formats import image_stem, is_image
from twintrack.images.nnunet import foreground_names, is_nnunet_folder


@dataclass(frozen=True)
class MemberFolder:
    """One member's predictions.

    Attributes:
        name: The folder.
        predictions: Where each case's probability is; None where there is a segmentation without probabilities.
        foreground: What is merged into the structure's probability; None where the folder does not say.
    """

    name: str
    predictions: dict[str, Source | None]
    foreground: tuple[str, ...] | None


def find_members(folders: Sequence[Path], *, foreground: tuple[str | int, ...] | None = None) -> list[MemberFolder]:
    """Find the members' predictions.

    A member is an nnU-Net prediction folder (``<case>.npz`` beside ``dataset.json``; the segmentations there are not
    probabilities and are used for their geometry only), or a folder with one probability map per case. A folder
    that holds only folders stands for the members in it.

    Args:
        folders: The folders.
        foreground: Labels or channels that count as the structure.

    Returns:
        The members in the order given.

    Raises:
        CohortError: If a folder is missing, given twice or holds no prediction, or members differ in what they call
            foreground.
        InputError: If the foreground cannot be resolved.
    """
    members = [_member(folder, foreground) for folder in _member_folders(folders)]
    if len({member.foreground for member in members if member.foreground}) > 1:
        said = "; ".join(f"{member.name}: {', '.join(member.foreground or ('not said',))}" for member in members)
        raise CohortError(f"the members do not predict the same foreground: {said}. Choose it with --foreground.")
    return members


def _member_folders(folders: Sequence[Path]) -> list[Path]:
    chosen: list[Path] = []
    for folder in folders:
        require_folder(folder)
        if _npz_in(folder) or images_in(folder):
            chosen.append(folder)
            continue
        inner = [sub for sub in subfolders(folder) if _npz_in(sub) or images_in(sub)]
        if not inner:
            raise CohortError(f"{folder}: no predictions found; expected <case>.npz of nnU-Net, or an image per case")
        chosen += inner
    require_each_once(chosen)
    return chosen


def _member(folder: Path, foreground: tuple[str | int, ...] | None) -> MemberFolder:
    if not is_nnunet_folder(folder):
        maps: dict[str, Source | None] = {stem: ImageSource(path) for stem, path in images_in(folder).items()}
        return MemberFolder(str(folder), maps, None)
    images = [path for path in folder.iterdir() if is_image(path) and path.suffix != ".npz"]
    found: dict[str, Source | None] = {image_stem(path): None for path in images}
    found |= {path.stem: PredictionSource(path, foreground) for path in _npz_in(folder)}
    return MemberFolder(str(folder), found, foreground_names(folder, foreground))


def _npz_in(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("*.npz") if path.name[0] != "."), key=natural)
