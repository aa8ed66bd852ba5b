"""Finding a cohort on disk: raters, members and a list of cases are brought together by case id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from twintrack.cohort.case import Case, naming
from twintrack.cohort.case_list import ListedCase, Place, read_case_list
from twintrack.cohort.cohort import Cohort
from twintrack.cohort.member_folders import MemberFolder, find_members
from twintrack.cohort.rater_folders import RaterFiles, find_raters, images_in, natural, require_folder
from twintrack.cohort.remote_foregrounds import RemoteForegrounds, UnreachableError
from twintrack.cohort.sources import ImageSource, MaskSource, PredictionSource, Source, source_at
from twintrack.errors import CohortError
from twintrack.images.nnunet import foreground_names, is_nnunet_npz

Folders: TypeAlias = Path | str | Sequence[Path | str]
"""One folder, or several."""

_CHANNEL = "_0000"  # by which nnU-Net numbers an image's channels


def find_cohort(
    *,
    raters: Folders = (),
    members: Folders = (),
    roi: Path | str | None = None,
    vessels: Path | str | None = None,
    images: Folders = (),
    cases: Path | str | None = None,
    split: str | None = None,
    foreground: Sequence[str | int] | None = None,
    rater_labels: Sequence[int] | None = None,
) -> Cohort:
    """Find the cases of a cohort. Only folders and small text files are looked at; no voxel is read.

    A case that cannot be used (a member did not predict it, nobody drew it, the list names it but nothing was found)
    is part of the cohort, with `Case.problem` saying why: see `Cohort.require_sound`.

    Args:
        raters: Folders of raters' masks (`twintrack.cohort.rater_folders`). None given: raters are not looked for,
            unless the list of cases names them.
        members: Folders of members' predictions (`twintrack.cohort.member_folders`).
        roi: Folder with an ROI for every case, ``<case>.nii.gz`` or ``<case>/roi.nii.gz``.
        vessels: Folder with vessel labels for cases that have them, ``<case>.nii.gz`` or ``<case>/vessels.nii.gz``.
        images: Folders with the CT of cases that have one, ``<case>.nii.gz``, ``<case>_0000.nii.gz`` (nnU-Net's name)
            or ``<case>/image.nii.gz``, where it does not lie beside the raters' masks.
        cases: A CSV that selects cases, says their patient and split, or names their files
            (`twintrack.cohort.case_list`).
        split: Use the cases of this split only; needs `cases`.
        foreground: Labels or channels that count as the structure in the members' predictions.
        rater_labels: Values that count as the structure in the raters' masks.

    Returns:
        The cohort, in the order of the list, or else in the natural order of the ids.

    Raises:
        CohortError: If a folder or the list cannot be used, or nothing was found.
        InputError: If the foreground cannot be resolved.
    """
    if split is not None and cases is None:
        raise CohortError("a split needs a list of cases that says each case's split (--cases FILE)")
    labels = None if rater_labels is None else tuple(rater_labels)
    chosen = None if foreground is None else tuple(foreground)
    finder = _Finder(
        drawn=find_raters(_paths(raters), labels=labels) if raters else None,
        predicted=find_members(_paths(members), foreground=chosen) if members else None,
        rois=None if roi is None else _find_each(Path(roi), "roi"),
        vessels={} if vessels is None else _find_each(Path(vessels), "vessels"),
        images=_find_images(_paths(images)),
        labels=labels,
        foreground=chosen,
    )
    listed = read_case_list(Path(cases), split=split) if cases else [ListedCase(name) for name in finder.ids()]
    if not listed:
        raise CohortError("the cohort is empty: no case was found")
    if finder.images and not any(one.id in finder.images for one in listed):
        names = ", ".join(list(finder.images)[:3])
        raise CohortError(f"no image is of a case (--images): they are called {names}, …, a case is {listed[0].id}")
    return Cohort(finder.case(entry) for entry in listed)


def _paths(folders: Folders) -> list[Path]:
    return [Path(folders)] if isinstance(folders, (str, Path)) else [Path(folder) for folder in folders]


class _Finder:
    """Puts one case together from what was found on each side."""

    def __init__(
        self,
        *,
        drawn: dict[str, RaterFiles] | None,
        predicted: list[MemberFolder] | None,
        rois: dict[str, Path] | None,
        vessels: dict[str, Path],
        images: dict[str, Path],
        labels: tuple[int, ...] | None,
        foreground: tuple[str | int, ...] | None,
    ) -> None:
        self.drawn = drawn
        self.predicted = predicted
        self.rois = rois
        self.vessels = vessels
        self.images = images
        self.labels = labels
        self.foreground = foreground
        self.elsewhere = RemoteForegrounds(foreground)

    def ids(self) -> list[str]:
        names = set(self.drawn or ())
        for member in self.predicted or ():
            names |= set(member.predictions)
        return sorted(names, key=lambda name: natural(Path(name)))

    def case(self, listed: ListedCase) -> Case:
        drawn = (self.drawn or {}).get(listed.id, RaterFiles())
        masks: Mapping[str, Source] = self._masks(listed) or drawn.masks
        members, problem = self._members(listed)
        roi = listed.roi or (self.rois or {}).get(listed.id)
        vessels = listed.vessels or self.vessels.get(listed.id)
        image = listed.image or self.images.get(listed.id)
        with naming(listed.id):
            foreground, unreachable = self._foreground(listed)
        return Case(
            listed.id,
            members=members,
            raters=masks,
            roi=source_at(roi, ImageSource) if roi else drawn.roi,
            vessels=source_at(vessels, ImageSource) if vessels else drawn.vessels,
            image=source_at(image, ImageSource) if image else drawn.image,
            patient=listed.patient,
            split=listed.split,
            foreground=foreground,
            problem=problem
            or unreachable
            or self._rater_problem(listed, masks)
            or self._other_problem(members, masks, roi),
        )

    def _masks(self, listed: ListedCase) -> dict[str, Source]:
        named = {str(k): place for k, place in enumerate(listed.raters, start=1)}
        mask = partial(MaskSource, labels=self.labels)
        return {name: source_at(place, mask) for name, place in named.items() if place}

    def _members(self, listed: ListedCase) -> tuple[list[Source], str | None]:
        if listed.members:
            member = partial(_source_of, foreground=self.foreground)
            return [source_at(place, member) for place in listed.members], None
        if self.predicted is None:
            return [], None
        found = [member.predictions.get(listed.id) for member in self.predicted]
        present = [source for source in found if source is not None]
        lacking = [member.name for member, source in zip(self.predicted, found, strict=True) if source is None]
        if not lacking:
            return present, None
        segmented = any(listed.id in member.predictions for member in self.predicted if member.name in lacking)
        hint = " (a segmentation is there; predict with --save_probabilities)" if segmented else ""
        who = "no member has" if not present else f"{', '.join(lacking)} has"
        return (
            present,
            f"{who} a probability for it{hint}" if not present else f"{who} no probability for it{hint}",
        )

    def _rater_problem(self, listed: ListedCase, masks: Mapping[str, Source]) -> str | None:
        if self.drawn is None:
            return None
        if listed.n_raters is not None and len(masks) != listed.n_raters:
            return (
                f"the list of cases says {listed.n_raters} raters; found are {len(masks)}: {', '.join(masks) or 'none'}"
            )
        if not masks:
            return f"no rater drew it: there is neither {listed.id}/annotation_… nor {listed.id} in a rater's folder"
        return None

    def _other_problem(self, members: list[Source], masks: Mapping[str, Source], roi: Place | None) -> str | None:
        if not (members or masks):
            return "the list of cases names neither members nor raters of it, and no folder of theirs is given"
        # Pitfall: without its ROI the case would be calibrated everywhere, unlike all others.
        if self.rois is not None and roi is None:
            return "the folder of ROIs has none for it"
        return None

    def _foreground(self, listed: ListedCase) -> tuple[tuple[str, ...] | None, str | None]:
        """Give what the members call foreground, or why that cannot be known."""
        if not listed.members:
            return next((member.foreground for member in self.predicted or () if member.foreground), None), None
        folders = {place.parent: None for place in listed.members if isinstance(place, Path) and is_nnunet_npz(place)}
        elsewhere = [place for place in listed.members if isinstance(place, str)]
        try:
            found = [
                *(foreground_names(folder, self.foreground) for folder in folders),
                *(self.elsewhere.of(address) for address in elsewhere),
            ]
        except UnreachableError as error:
            return None, str(error)
        said = [names for names in found if names]
        if len(set(said)) > 1:
            text = "; ".join(", ".join(names) for names in said)
            raise CohortError(
                f"case {listed.id}: its members do not predict the same foreground: {text}. Choose it with "
                "--foreground."
            )
        return (said[0] if said else None), None


def _source_of(path: Path, foreground: tuple[str | int, ...] | None) -> Source:
    return PredictionSource(path, foreground) if is_nnunet_npz(path) else ImageSource(path)


def _find_images(folders: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        for name, path in _find_each(folder, "image").items():
            case = name.removesuffix(_CHANNEL)
            if case in found:
                raise CohortError(f"case {case} has two images, {found[case]} and {path}; name one")
            found[case] = path
    return found


def _find_each(folder: Path, what: str) -> dict[str, Path]:
    require_folder(folder)
    found = images_in(folder)
    for sub in folder.iterdir():
        if sub.is_dir() and (path := images_in(sub).get(what)):
            found[sub.name] = path
    if not found:
        raise CohortError(f"{folder}: no {what} found; expected <case>.nii.gz or <case>/{what}.nii.gz")
    return found
