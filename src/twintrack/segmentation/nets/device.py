"""Where networks run, and on how many threads."""

from __future__ import annotations

import torch

from twintrack.errors import InputError, ModelError


def choose_device(name: str = "auto") -> torch.device:
    """Choose the device networks run on.

    Args:
        name: "auto" takes the first there is of cuda, mps and cpu; otherwise a device as torch names it ("cuda:1").

    Returns:
        The device.

    Raises:
        ModelError: If the device is not known to torch or not present.
    """
    present = _present()
    if name == "auto":
        return torch.device(present[0])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"there is no device '{name}'; this machine has: {', '.join(present)}") from error
    if device.type not in present or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise ModelError(
            f"the device '{name}' is not present or torch was installed without it; this machine has: "
            f"{', '.join(present)}"
        )
    return device


def set_threads(n: int | None) -> int:
    """Set the number of threads torch uses on the CPU.

    Args:
        n: How many; None leaves it as it is.

    Returns:
        How many there are now.

    Raises:
        InputError: If the number is not positive.
    """
    if n is not None:
        if n < 1:
            raise InputError(f"the number of threads is {n}; it must be 1 or more")
        torch.set_num_threads(n)
    return int(torch.get_num_threads())


def _present() -> tuple[str, ...]:
    """Give the types of device there are, the fastest first."""
    cuda = ("cuda",) if torch.cuda.is_available() else ()
    mps = ("mps",) if torch.backends.mps.is_available() else ()
    return (*cuda, *mps, "cpu")
