"""Axis letters: ``b`` batch, ``t`` time, ``z y x`` space, ``c`` channel."""

AXIS_NAMES = {
    "b": "batch",
    "t": "time",
    "z": "z",
    "y": "y",
    "x": "x",
    "c": "channel",
}
"""The letters of this project and the words that bioimage.io uses for them."""


def check_axes(axes: str) -> str:
    """Return `axes` if it is a set of known letters, each used once.

    Raises
    ------
    ValueError
        If a letter is unknown or repeated.
    """
    unknown = sorted(set(axes) - set(AXIS_NAMES))
    if unknown or len(set(axes)) != len(axes):
        raise ValueError(
            f"axes must be distinct letters out of {''.join(AXIS_NAMES)}, not {axes!r}"
        )
    return axes


def letters(ids: list[str]) -> str:
    """Return axis letters for bioimage.io axis names.

    Examples
    --------
    >>> letters(["batch", "y", "x", "channel"])
    'byxc'
    """
    by_name = {name: letter for letter, name in AXIS_NAMES.items()}
    unknown = [name for name in ids if name not in by_name and name not in AXIS_NAMES]
    if unknown:
        raise ValueError(
            f"unknown axes {', '.join(unknown)}; known are {', '.join(by_name)}"
        )
    return check_axes("".join(by_name.get(name, name) for name in ids))
