"""The errors TwinTrack raises on purpose: each message says what was found, where, and what to do."""


class TwinTrackError(Exception):
    """Base of every error that a user can mend; the command line prints it without a traceback."""


class InputError(TwinTrackError):
    """A file or an array holds something other than what was expected of it."""


class OutputError(TwinTrackError):
    """A file cannot be written (no space, no permission, no such folder); no part of it stays behind."""


class GeometryError(InputError):
    """Two volumes that must lie on the same grid do not."""


class ModelError(InputError):
    """A network or a bundle cannot be loaded, is not what it should be, or cannot be run on this input."""


class MissingExtraError(TwinTrackError):
    """An optional package is needed and not installed."""


class CohortError(TwinTrackError):
    """A set of cases is empty, incomplete or contradicts itself."""


class CalibrationError(TwinTrackError):
    """A calibration cannot be fitted, read or applied."""


class WorkerError(TwinTrackError):
    """A worker died or ran out of memory, or there is none to do the work."""


class ServerError(TwinTrackError):
    """The viewer cannot listen where it was told to."""


class TwinTrackWarning(UserWarning):
    """Something was accepted that a careful reader wants to know of."""
