"""`twintrack view`: look at what was predicted, in the browser."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from twintrack.cli import options
from twintrack.cli.display import message, output


def command(
    folder: Annotated[Path, typer.Argument(help="What `twintrack predict` or `twintrack apply` wrote.", metavar="DIR")],
    images: Annotated[
        list[Path] | None,
        typer.Option(
            "--images",
            help="CTs: image files, DICOM folders, or folders of these. Default: the CTs beside the raters' masks.",
            metavar="CT [CT ...]",
        ),
    ] = None,
    raters: options.Raters = None,
    members: options.Members = None,
    foreground: options.Foreground = None,
    rater_labels: options.RaterLabels = None,
    n_raters: Annotated[
        int | None,
        typer.Option(
            "--n-raters",
            help="K of the contours (at least k of K experts). Default: what `predict` noted, or the most raters.",
            min=1,
            max=255,
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Where to listen. Default: a port that is free.", min=1, max=65535)
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page, or only print where it is.")
    ] = True,
) -> None:
    """Look at cases in the browser: three planes of the CT, the response over it, contours of agreement.

    A server on this machine answers this machine only, under an address with a secret in it, until Ctrl-C. Nothing
    leaves the machine.

    Example: `twintrack view predicted --images cts --raters raters`
    """
    from twintrack.report.viewer.cases import find_cases  # noqa: PLC0415  (keeps --help fast)
    from twintrack.report.viewer.server import ViewerServer  # noqa: PLC0415

    cases = find_cases(
        folder,
        images=images or (),
        drawn=options.cohort_from(raters=raters, rater_labels=rater_labels, skip_bad=True) if raters else (),
        predicted=options.cohort_from(members=members, foreground=foreground, skip_bad=True) if members else (),
        named=[*(raters or ()), *(members or ())],
        n_raters=n_raters,
    )
    with ViewerServer(cases, port=port) as server:
        output.print(server.url, soft_wrap=True)
        sys.stdout.flush()
        message(f"{len(cases)} {'case' if len(cases) == 1 else 'cases'} to look at; Ctrl-C ends")
        if browser:
            _open(server.url)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _open(url: str) -> None:
    # Pitfall: without a screen, a browser for terminals would take the terminal, and cannot draw volumes.
    screen = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if screen:
        import webbrowser  # noqa: PLC0415  (only for this option)

        webbrowser.open(url)
