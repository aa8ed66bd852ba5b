"""Model bundles on disk: reading, writing, and finding out whether their files are still those that were bundled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from twintrack.errors import ModelError
from twintrack.images.atomic import write_text
from twintrack.images.hashing import sha256_of
from twintrack.segmentation.bundle import Bundle, MemberEntry

BUNDLE_JSON = "bundle.json"
_SHOWN = 5


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle and where it lies.

    Attributes:
        bundle: What it says of itself.
        folder: Where it lies.
        sha256: Hash of `bundle.json`, which holds those of all other files: the bundle's fingerprint.
    """

    bundle: Bundle
    folder: Path
    sha256: str

    def path_of(self, entry: MemberEntry) -> Path:
        """Give the path of a member; that of precomputed probabilities may lie outside the bundle."""
        return self.folder / entry.path

    @property
    def coarse_path(self) -> Path | None:
        """The coarse network's result folder."""
        return None if self.bundle.coarse is None else self.folder / self.bundle.coarse.model

    @property
    def calibration_path(self) -> Path | None:
        """The calibration file."""
        return None if self.bundle.calibration is None else self.folder / self.bundle.calibration


def load_bundle(folder: Path, *, verify: bool = True) -> LoadedBundle:
    """Read a bundle.

    Args:
        folder: The folder with `bundle.json`.
        verify: Whether the hashes of its files are compared, which reads every file once.

    Returns:
        The bundle. No network is loaded.

    Raises:
        ModelError: If there is no bundle, its description is not valid, or (with `verify`) a file is missing, was
            changed, or is not part of it.
    """
    content = _read(folder)
    try:
        # The hash is of the file's text, so it must not depend on line ends that a checkout may have changed.
        bundle = Bundle.model_validate_json(content)
    except ValidationError as error:
        raise ModelError(f"{folder / BUNDLE_JSON}: {in_words(error)}") from error
    loaded = LoadedBundle(bundle, folder, hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest())
    problems = list(file_problems(loaded)) if verify else []
    if problems:
        more = len(problems) - _SHOWN
        lines = "\n".join(f"  {problem}" for problem in problems[:_SHOWN])
        rest = f"\n  … and {more} more" if more > 0 else ""
        raise ModelError(f"{folder}: the bundle's files are not those it was made of:\n{lines}{rest}")
    return loaded


def write_bundle(folder: Path, bundle: Bundle) -> Bundle:
    """Hash the files of a folder and write `bundle.json`, last and whole.

    Args:
        folder: The folder, with everything else of the bundle in it.
        bundle: The description; its hashes are replaced.

    Returns:
        The description with hashes.

    Raises:
        OutputError: If the file cannot be written.
        ModelError: If something that the description names is not there.
    """
    hashes = {name: sha256_of(folder / name) for name in files_of(folder)}
    whole = bundle.model_copy(update={"sha256": hashes})
    problems = list(file_problems(LoadedBundle(whole, folder, ""), hashed=False))
    if problems:
        raise ModelError(f"{folder}: {problems[0]}")
    write_text(folder / BUNDLE_JSON, json.dumps(whole.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")
    return whole


def files_of(folder: Path) -> list[str]:
    """List the files of a bundle but `bundle.json`, by their path in it with /, sorted; hidden ones are passed over."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = (path.as_posix() for path in paths if not any(_is_clutter(part) for part in path.parts))
    return sorted(name for name in names if name != BUNDLE_JSON)


def file_problems(loaded: LoadedBundle, *, hashed: bool = True) -> Iterator[str]:
    """Say what is wrong with the files of a bundle.

    Args:
        loaded: The bundle.
        hashed: Whether the contents are compared with the hashes.

    Yields:
        One problem after the other, in words.
    """
    expected, found = loaded.bundle.sha256, set(files_of(loaded.folder))
    for name, sha256 in expected.items():
        path = loaded.folder / name
        if name not in found:
            yield f"{name}: the file is missing; copy the bundle again"
        elif not path.resolve().is_relative_to(loaded.folder.resolve()):
            yield f"{name}: is a link that leads out of the bundle"
        elif hashed and sha256_of(path) != sha256:
            yield f"{name}: the file was changed or damaged after the bundle was made; copy the bundle again"
    for name in sorted(found - set(expected)):
        yield f"{name}: is not part of the bundle; remove it, or make the bundle anew"
    for name in _named(loaded.bundle):
        if not any(file == name or file.startswith(f"{name}/") for file in expected):
            yield f"{name}: bundle.json names it, but the bundle holds no such file or folder"


def _named(bundle: Bundle) -> Iterator[str]:
    if bundle.coarse is not None:
        yield bundle.coarse.model.rstrip("/")
    for member in bundle.members:
        if member.kind != "precomputed":
            yield member.path.rstrip("/")
    if bundle.calibration is not None:
        yield bundle.calibration


def _is_clutter(part: str) -> bool:
    """Hidden files of desktops, and what Python and editors leave behind, are no part of a bundle."""
    return part.startswith(".") or part == "__pycache__"


def _read(folder: Path) -> bytes:
    path = folder / BUNDLE_JSON
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such folder; --models names a bundle (`twintrack bundle create`)")
    if not path.is_file():
        hint = ""
        if (folder / "plans.json").is_file():
            hint = " This is an nnU-Net result folder: make a bundle of it with `twintrack bundle create --members`."
        raise ModelError(f"{folder}: is no bundle: it holds no {BUNDLE_JSON}.{hint}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def in_words(error: ValidationError) -> str:
    """Say in one line what is wrong with a description, the first few things of many."""
    parts = []
    for item in error.errors(include_url=False)[:_SHOWN]:
        where = ".".join(str(part) for part in item["loc"]) or "bundle"
        parts.append(f"{where}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)
