"""What the site needs beyond the pages as they are: files outside `docs/` that pages link to.

On GitHub a page may link to any file of the repository. The site has only what lies in `docs/`, so such files are added
to it under `repository/`, and the links are led there.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"
INSIDE = "repository/"

_LINK = re.compile(r"\]\((?P<path>\.\./[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def outside(page: str, link: str) -> str | None:
    """Say which file of the repository a link leads to, where that is not in `docs/`.

    Args:
        page: The page, by its path in `docs/`.
        link: The link as it stands there.

    Returns:
        The path in the repository, or None where the link stays in `docs/`.
    """
    path = posixpath.normpath(posixpath.join(DOCS, posixpath.dirname(page), link))
    return None if path.startswith(f"{DOCS}/") else path


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside `docs/` that a page links to."""
    for page in list(files.documentation_pages()):
        for match in _LINK.finditer(page.content_string):
            path = outside(page.src_uri, match["path"])
            name = None if path is None else INSIDE + path
            if path is not None and name not in files.src_uris and (ROOT / path).is_file():
                file = File.generated(config, name, abs_src_path=str(ROOT / path))
                file.inclusion = InclusionLevel.NOT_IN_NAV
                files.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links out of `docs/` to where those files are in the site."""

    def led(match: re.Match[str]) -> str:
        path = outside(page.file.src_uri, match["path"])
        if path is None or page.file.src_uri.startswith(INSIDE):
            return match[0]
        target = posixpath.relpath(INSIDE + path, posixpath.dirname(page.file.src_uri) or ".")
        return f"]({target}{match['anchor'] or ''})"

    return _LINK.sub(led, markdown)
