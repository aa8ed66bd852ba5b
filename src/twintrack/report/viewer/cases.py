"""Which cases a folder of responses holds, and what belongs to each: its CT, its raters, what is said of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twintrack.cohort import Case
from twintrack.errors import InputError
from twintrack.images.folders import images_in
from twintrack.report.said import NOTHING, SaidOfCase
from twintrack.report.viewer.said import require_inside, summaries, volumes_and_flags
from twintrack.segmentation.cts import Ct, find_cts

_RESPONSES = "responses"  # `twintrack predict` writes into it, `apply` into the folder itself
_BAND = ("lower", "upper")


@dataclass(frozen=True, eq=False)
class ViewedCase:
    """A case that can be looked at. No voxel of it has been read.

    Attributes:
        id: What it is called.
        response: File of its response map.
        band: Files of its lower and upper response maps, by these names; empty where they were not written.
        ct: Its CT; None where it is not known.
        drawn: The case with its raters; None where there are none.
        predicted: The case with its members; None where they are not given.
        n_raters: K of "at least k of K experts"; None where nothing says it.
        said: What was written about it.
        roots: The folders its files may lie in, resolved.
    """

    id: str
    response: Path
    band: Mapping[str, Path] = field(default_factory=dict)
    ct: Ct | None = None
    drawn: Case | None = None
    predicted: Case | None = None
    n_raters: int | None = None
    said: SaidOfCase = NOTHING
    roots: tuple[Path, ...] = ()

    def require_inside(self, files: Sequence[Path]) -> None:
        """Raise an `InputError` if a file, or one it names for its voxels, lies outside the folders that were named."""
        require_inside([part for file in files for part in Ct(self.id, file).files], self.roots)


def find_cases(
    folder: Path,
    *,
    images: Sequence[Path] = (),
    drawn: Collection[Case] = (),
    predicted: Collection[Case] = (),
    named: Sequence[Path] = (),
    n_raters: int | None = None,
) -> list[ViewedCase]:
    """Find what there is to look at. Only folders and small text files are read.

    Args:
        folder: What `twintrack predict` or `twintrack apply` wrote.
        images: CTs, as for `twintrack.segmentation.cts.find_cts`; without them the CTs beside the raters' masks.
        drawn: Cases with their raters.
        predicted: Cases with their members, for the raw probability.
        named: The folders in which the files of raters and members may lie.
        n_raters: K of "at least k of K experts"; by default what `predict` noted, else the most raters a case has.

    Returns:
        One entry for each response map, in natural order of their names.

    Raises:
        InputError: If the folder holds no response maps, a file about them cannot be read or lies elsewhere, or CTs,
            raters or members are given and are of other cases.
    """
    responses, band, said = _written(folder)
    by_rater, by_member = ({case.id: case for case in cases} for cases in (drawn, predicted))
    cts = {ct.case_id: ct for ct in find_cts(images)} if images else {}
    for what, found, given in (("CT", cts, images), ("raters", by_rater, drawn), ("members", by_member, predicted)):
        if given and not found.keys() & responses.keys():
            raise InputError(
                f"{folder}: of its cases ({_some(responses)}) none has {what} among what is given ({_some(found)}); "
                "files and folders must have the cases' names"
            )
    most = max((len(case.raters) for case in by_rater.values()), default=None)
    # Of FOLDER:SERIES the folder; files by themselves are not added, they may be links.
    series = [ct.path for ct in cts.values() if ct.series is not None]
    roots = tuple(path.resolve() for path in (folder, *images, *series, *named))

    def one(case_id: str, response: Path) -> ViewedCase:
        case = by_rater.get(case_id)
        return ViewedCase(
            id=case_id,
            response=response,
            band={name: maps[case_id] for name, maps in band.items() if case_id in maps},
            ct=cts.get(case_id) or _beside(case),
            drawn=case if case is not None and case.raters else None,
            predicted=by_member.get(case_id),
            n_raters=n_raters or said[case_id].n_raters or most,
            said=said[case_id],
            roots=roots,
        )

    return [one(case_id, response) for case_id, response in responses.items()]


def _some(names: Iterable[str]) -> str:
    first, *more = names
    return f"{first}, …" if more else first


def _written(folder: Path) -> tuple[dict[str, Path], dict[str, dict[str, Path]], dict[str, SaidOfCase]]:
    """Give responses, bands and records by case, in either layout."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    by_predict = (folder / _RESPONSES).is_dir()
    responses = images_in(folder / _RESPONSES if by_predict else folder)
    if not responses:
        raise InputError(
            f"{folder}: holds no response maps; name the folder that `twintrack predict` or `twintrack apply` wrote"
        )
    band = {name: images_in(folder / name) for name in _BAND if (folder / name).is_dir()}
    read = summaries if by_predict else volumes_and_flags
    return responses, band, read(folder, list(responses))


def _beside(case: Case | None) -> Ct | None:
    """Give the CT that lies in the case's folder, beside the raters' masks."""
    if case is None or case.image is None or not case.image.files:
        return None
    return Ct(case.id, case.image.files[0])
