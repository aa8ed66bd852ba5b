"""Walking through CTs, one in memory at a time, with bad ones reported or skipped and finished ones passed over."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from twintrack.errors import MissingExtraError, OutputError, TwinTrackError
from twintrack.images import read_volume
from twintrack.images.atomic import make_folder
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
    on_bad: OnBadCt | None = None,
    progress: CtProgress | None = None,
) -> Iterator[Result]:
    """Apply a function to one CT after the other.

    Args:
        function: Takes a CT; what it returns should be small.
        cts: The CTs.
        on_bad: Called with a CT that cannot be used and the reason; the walk then goes on. None: raise. A file that
            cannot be written, and a package that is not installed, are no fault of the CT and always raised.
        progress: Wraps the CTs to show progress.

    Yields:
        What the function returned, in the order of the CTs.

    Raises:
        TwinTrackError: Without `on_bad`, whatever is wrong with the first unusable CT.
    """
    for ct in progress(cts) if progress else cts:
        try:
            result = function(ct)
        except TwinTrackError as error:  # noqa: PERF203  (one bad CT must not end the loop)
            if on_bad is None or isinstance(error, (OutputError, MissingExtraError)):
                raise
            # What keeps the error would keep the voxels its traceback holds.
            traceback.clear_frames(error.__traceback__)
            on_bad(ct, error)
        else:
            yield result


def segment_cts(
    cts: Sequence[Ct],
    *,
    segmenter: Segmenter,
    folder: Path,
    rois: dict[str, Path] | None = None,
    ending: str = ".nii.gz",
    resume: bool = True,
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
        on_stage: Told what is done next.
        on_bad: Called with a CT that cannot be used; None: raise.
        progress: Wraps the CTs to show progress.

    Returns:
        The record of each case that is done, also of those passed over, in the order of the CTs.

    Raises:
        OutputError: If a file cannot be written.
        TwinTrackError: Without `on_bad`, whatever is wrong with the first unusable CT.
    """
    make_folder(folder)
    say = on_stage or (lambda _: None)

    def one(ct: Ct) -> dict[str, Any]:
        roi = None if rois is None else rois[ct.case_id]
        say("checking what is done")
        inputs = input_hashes(ct, segmenter=segmenter, roi=roi)
        fingerprint = fingerprint_of(inputs, ending=ending)
        finished = read_finished(record_of(folder, ct.case_id), fingerprint=fingerprint) if resume else None
        if finished is not None:
            return finished
        say("reading")
        segmentation = segmenter.segment(
            ct.read(), case_id=ct.case_id, roi=None if roi is None else read_volume(roi), on_stage=on_stage
        )
        say("writing")
        about = {"ct": ct.path.name, "inputs": inputs, "bundle": segmenter.bundle.bundle.name}
        return write_segmentation(segmentation, folder, ending=ending, fingerprint=fingerprint, about=about)

    return list(each_ct(one, cts, on_bad=on_bad, progress=progress))


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
