"""The command line: one short module per command, which parses, calls the library and prints."""

from twintrack.cli.main import main

__all__ = ["main"]
