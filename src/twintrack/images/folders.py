"""What lies in a folder: images by name, subfolders, in an order people expect."""

from __future__ import annotations

import re
from pathlib import Path

from twintrack.errors import InputError
from twintrack.images.formats import image_stem, is_image


def natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key by which ``rater_2`` comes before ``rater_10``."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def subfolders(folder: Path) -> list[Path]:
    """Give the folders inside a folder in natural order, without hidden ones."""
    return sorted((sub for sub in folder.iterdir() if sub.is_dir() and sub.name[0] != "."), key=natural)


def images_in(folder: Path) -> dict[str, Path]:
    """Give the images directly inside a folder by their name without ending, in natural order.

    Raises:
        InputError: If two files differ in their ending only: which one is meant cannot be told.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=natural):
        if path.name[0] == "." or not path.is_file() or not is_image(path):
            continue
        stem = image_stem(path)
        if stem in found:
            raise InputError(f"{found[stem]} and {path} differ in their ending only; keep one of them")
        found[stem] = path
    return found
