"""The entry point `twintrack`: puts the commands together and turns errors into messages."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer

from twintrack.cli import apply, demo, evaluate, fit, inspect
from twintrack.cli.arguments import spread
from twintrack.cli.display import console
from twintrack.errors import TwinTrackError

app = typer.Typer(
    name="twintrack",
    help="Calibrate segmentation ensembles to the mean human response: the fraction of experts who label a voxel.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)
for module in (inspect, fit, apply, evaluate, demo):
    app.command(name=module.__name__.rpartition(".")[2])(module.command)


@app.callback()
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from importlib.metadata import version as installed  # noqa: PLC0415  (only for this option)

        typer.echo(installed("twintrack"))
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: The arguments; None takes those of the process.

    Raises:
        SystemExit: Always: 0 after success, 1 after an error that is the input's, 2 after wrong arguments.
    """
    given = spread(sys.argv[1:] if arguments is None else list(arguments))
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app(given, prog_name="twintrack")
        except TwinTrackError as error:
            _fail(str(error))
        except MemoryError:
            _fail("there is not enough memory for this case")
        except OSError as error:
            _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")


def _fail(message: str) -> None:
    console.print(f"[bold red]error:[/] {_escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    console.print(f"[yellow]warning:[/] {_escape(str(message))}", highlight=False, soft_wrap=True)


def _escape(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415  (rarely needed)

    return escape(text)
