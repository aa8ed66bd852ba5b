"""Walking through CTs, one in memory at a time: bad ones are reported or skipped, finished ones passed over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from twintrack.compute.executors import Executor, Serial, each_result
from twintrack.errors import OutputError, TwinTrackError
from twintrack.images import read_volume
from twintrack.images.atomic import make_folder, require_seen
from twintrack.images.hashing import sha256_of
from twintrack.segmentation.cts import Ct
from twintrack.segmentation.records import read_finished
from twintrack.segmentation.segmenter import Segmenter
from twintrack.segmentation.write import record_of, write_segmentation

Result = TypeVar("Result")

OnBadCt: TypeAlias = Callable[[Ct, TwinTrackError], None]
"""What to do with a CT that cannot be used; where none is given the error is raised."""

CtProgress: TypeAlias = Callable[[Sequence[Ct]], Iterable[Ct]]
"""Wraps the CTs of a long loop and gives them on one by one."""

OnStage: TypeAlias = Callable[[str], None]
"""Told in words what is done next with the CT at hand."""


def each_ct(
    function: Callable[[Ct], Result],
    cts: Sequence[Ct],
    *,
    executor: Executor | None = None,
    on_bad: OnBadCt | None = None,
    progress: CtProgress | None = None,
) -> Generator[Result, None, None]:
    """Apply a function to one CT after the other.

    Args:
        function: Takes a CT; what it returns should be small. For workers it can be pickled.
        cts: The CTs.
        executor: Who does the work; None: this process.
        on_bad: Called with a CT that cannot be used and the reason; the walk then goes on. None: raise. A file that
            cannot be written, and a package that is not installed, are no fault of the CT and always raised.
        progress: Wraps the CTs to show progress.

    Yields:
        What the function returned, in the order of the CTs.

    Raises:
        TwinTrackError: Without `on_bad`, whatever is wrong with the first unusable CT.
    """
    walk = each_result(
        function, cts, executor=executor or Serial(), name=lambda ct: f"case {ct.id}", on_bad=on_bad, progress=progress
    )
    with closing(walk):
        yield from walk


def segment_cts(
    cts: Sequence[Ct],
    *,
    segmenter: Segmenter,
    folder: Path,
    rois: Mapping[str, Path] | None = None,
    ending: str = ".nii.gz",
    resume: bool = True,
    executor: Executor | None = None,
    on_stage: OnStage | None = None,
    on_bad: OnBadCt | None = None,
    progress: CtProgress | None = None,
) -> list[dict[str, Any]]:
    """Segment CTs and write the members' maps.

    Args:
        cts: The CTs.
        segmenter: What segments them.
        folder: Where to write (`twintrack.segmentation.write.write_segmentation`).
        rois: The ROI of each case, instead of the coarse network's.
        ending: File format of the maps.
        resume: Whether a case that an earlier run finished with the same CT, bundle and settings is passed over.
        executor: Who does the work; None: this process. Workers load the networks once each and use one thread where
            the segmenter was not told how many; files do not depend on who did it, but for this number of threads.
        on_stage: Told what is done next, by this process only.
        on_bad: Called with a CT that cannot be used; None: raise.
        progress: Wraps the CTs to show progress.

    Returns:
        The record of each case that is done, also of those passed over, in the order of the CTs.

    Raises:
        OutputError: If a file cannot be written.
        TwinTrackError: Without `on_bad`, whatever is wrong with the first unusable CT.
    """
    make_folder(folder)
    one = _SegmentCt(
        segmenter if executor is None else segmenter.apart(),
        folder=folder.absolute(),
        rois=rois,
        ending=ending,
        resume=resume,
        on_stage=on_stage if executor is None else None,
    )
    return list(each_ct(one, cts, executor=executor, on_bad=on_bad, progress=progress))


@dataclass(frozen=True, eq=False)
class _SegmentCt:
    """Segments one CT and writes its maps, if that is not done already."""

    segmenter: Segmenter
    _: KW_ONLY
    folder: Path
    rois: Mapping[str, Path] | None
    ending: str
    resume: bool
    on_stage: OnStage | None

    def __call__(self, ct: Ct) -> dict[str, Any]:
        say = self.on_stage or (lambda _: None)
        require_seen(self.folder)
        roi = None if self.rois is None else self.rois[ct.case_id]
        say("checking what is done")
        inputs = input_hashes(ct, segmenter=self.segmenter, roi=roi)
        fingerprint = fingerprint_of(inputs, ending=self.ending)
        record = record_of(self.folder, ct.case_id)
        finished = read_finished(record, fingerprint=fingerprint) if self.resume else None
        if finished is not None:
            return finished
        say("reading")
        segmentation = self.segmenter.segment(
            ct.read(), case_id=ct.case_id, roi=None if roi is None else read_volume(roi), on_stage=self.on_stage
        )
        say("writing")
        about = {"ct": ct.path.name, "inputs": inputs, "bundle": self.segmenter.bundle.bundle.name}
        return write_segmentation(segmentation, self.folder, ending=self.ending, fingerprint=fingerprint, about=about)


def input_hashes(ct: Ct, *, segmenter: Segmenter, roi: Path | None) -> dict[str, Any]:
    """Hash all that goes into the segmentation of a CT.

    Args:
        ct: The CT.
        segmenter: What segments it.
        roi: Its ROI, if one is given.

    Returns:
        Hashes of the CT, the bundle with its settings, the ROI, and probabilities that lie outside the bundle.

    Raises:
        InputError: If a file cannot be read.
        ModelError: If a member lacks the case's precomputed probability.
    """
    return {
        "ct": ct.sha256(),
        "bundle": segmenter.fingerprint,
        "roi": None if roi is None else sha256_of(roi),
        "precomputed": [sha256_of(path) for path in segmenter.files(ct.case_id)],
    }


def fingerprint_of(inputs: dict[str, Any], **settings: Any) -> str:
    """Hash the hashes of inputs together with settings.

    Args:
        inputs: What `input_hashes` gave.
        **settings: Whatever else the result depends on; plain data.

    Returns:
        SHA-256 in hexadecimal.
    """
    return hashlib.sha256(json.dumps([inputs, settings], sort_keys=True).encode()).hexdigest()


def require_other_files(cts: Sequence[Ct], folder: Path) -> None:
    """Refuse an output folder in which results would replace the CTs themselves.

    Raises:
        OutputError: If a CT lies where results are written.
    """
    places = [(folder / name).resolve() for name in ("members", "rois", "segmentations")]
    for ct in cts:
        if any(ct.path.resolve().is_relative_to(place) for place in places):
            raise OutputError(f"{ct.path} lies where results are written; choose another folder than {folder}")
