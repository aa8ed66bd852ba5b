"""Options that take several values after one name, as in `--members DIR DIR DIR`.

The parser underneath knows options with one value only. Each further value is given its option's name before
the arguments are parsed.
"""

from __future__ import annotations

from collections.abc import Sequence

SEVERAL = ("--members", "--raters", "--images", "--tables")


def spread(arguments: Sequence[str]) -> list[str]:
    """Repeat the name of an option in `SEVERAL` before each of its values.

    The values of such an option end at the next word that begins with a dash, so an argument without a
    name must stand before it.

    Args:
        arguments: The arguments as typed.

    Returns:
        The arguments with one value after each name.

    Examples:
        >>> spread(["fit", "--members", "a", "b", "--out", "c"])
        ['fit', '--members', 'a', '--members', 'b', '--out', 'c']
    """
    given: list[str] = []
    open_option, n_values = None, 0
    for word in arguments:
        if word.startswith("-"):
            name, _, first = word.partition("=")
            open_option, n_values = (name if name in SEVERAL else None), int(bool(first))
        elif open_option:
            if n_values:
                given.append(open_option)
            n_values += 1
        given.append(word)
    return given
