"""The viewer: a folder's cases in the browser (`server`), and one case in a notebook (`notebook`)."""

from twintrack.report.viewer.notebook import show

__all__ = ["show"]
