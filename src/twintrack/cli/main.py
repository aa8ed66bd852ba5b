"""The entry point `twintrack`: puts the commands together and turns errors into messages."""

from __future__ import annotations

import contextlib
import functools
import io
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer

from twintrack.cli import (
    apply,
    bundle,
    compare,
    demo,
    dicom,
    evaluate,
    fit,
    grand_challenge,
    inspect,
    masks,
    predict,
    raters,
    report,
    sample_size,
    segment,
    tabulate,
    train,
    triage,
    validate_roi,
    view,
)
from twintrack.cli.arguments import spread
from twintrack.cli.display import console
from twintrack.cli.warned import Warned
from twintrack.errors import TwinTrackError, TwinTrackWarning

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as shells know it: 128 + SIGINT."""


class _StopError(Exception):
    """Carries an interrupt past the parser, which ends without a word or with its own, by its version."""


def _interruptible(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt as error:
            raise _StopError from error

    return run


app = typer.Typer(
    name="twintrack",
    help="Calibrate segmentation ensembles to the mean human response: the fraction of experts who label a voxel.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)
for module in (
    inspect,
    raters,
    sample_size,
    tabulate,
    fit,
    apply,
    masks,
    evaluate,
    report,
    compare,
    demo,
    segment,
    predict,
    dicom,
    validate_roi,
    train,
    view,
    grand_challenge,
):
    app.command(name=module.__name__.rpartition(".")[2].replace("_", "-"))(_interruptible(module.command))

bundle_app = typer.Typer(help="Make, show and check bundles of trained networks.", no_args_is_help=True)
for action in (bundle.create, bundle.inspect, bundle.verify):
    bundle_app.command()(_interruptible(action))
app.add_typer(bundle_app, name="bundle")

triage_app = typer.Typer(help="Say which cases and regions experts should look at.", no_args_is_help=True)
for step in (triage.rules, triage.rank, triage.measure):
    triage_app.command()(_interruptible(step))
app.add_typer(triage_app, name="triage")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed  # noqa: PLC0415  (only for this option)

        typer.echo(installed("twintrack"))
        raise typer.Exit


# Pitfall: what the callback itself does happens only once a command is given; an option's own callback comes before.
@app.callback()
def _before_any_command(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: The arguments; None takes those of the process.

    Raises:
        SystemExit: Always: 0 after success, 1 after an error that is the input's, 2 after wrong arguments, 130 after an
            interrupt.
    """
    given = spread(sys.argv[1:] if arguments is None else list(arguments))
    # Pitfall: where standard output is not UTF-8 (a pipe on Windows), a sign such as − would end the run.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    with warnings.catch_warnings(), _terminating_cleanly():
        # Each case's warning must arrive, to be counted; Python would pass over one that a line repeats.
        warnings.simplefilter("always", TwinTrackWarning)
        try:
            with Warned() as warnings.showwarning:
                app(given, prog_name="twintrack")
        except TwinTrackError as error:
            _fail(str(error))
        except _StopError:
            _fail("interrupted; files written before are whole and stay, none is half-written", code=INTERRUPTED)
        except MemoryError:
            _fail("there is not enough memory for this case")
        except OSError as error:
            _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")


@contextlib.contextmanager
def _terminating_cleanly() -> Iterator[None]:
    """Treat SIGTERM, by which batch systems and containers end a process, as Ctrl-C: no temporary stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals can be handled in the main thread only
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(message: str, *, code: int = 1) -> None:
    console.print(f"[bold red]error:[/] {_escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(code)


def _escape(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415  (rarely needed)

    return escape(text)
