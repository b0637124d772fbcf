"""Folders that change places at one instant, where the system can do that."""

import ctypes
import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

_HERE = -100  # AT_FDCWD of Linux: names are relative to the working folder
_MOST_FOREIGN = 100
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS


def exchange(one: Path, other: Path) -> bool:
    """Let two folders of one disk change their names, at one instant.

    Returns
    -------
    done : bool
        False, and nothing has changed, where system or disk cannot do that.
    """
    names = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return library.renamex_np(*names, _EXCHANGE) == 0
        return library.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0
    except (AttributeError, OSError, TypeError):  # other systems, old C libraries
        return False


def may_change_places(target: Path) -> bool:
    """Say whether a folder may be exchanged for a new one of its name.

    It must not be a disk of its own, as in a container, nor hold this program's working
    folder, whose shell would stand in a folder that is gone.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return False
    return (
        os.name != "nt"
        and target.parent.stat().st_dev == target.stat().st_dev
        and os.access(target.parent, os.W_OK | os.X_OK)
        and not here.is_relative_to(target)
    )


def change_places(new: Path, target: Path, own: Collection[str]) -> bool:
    """Put a finished folder in the place of another, and that one in its place.

    Files that are not `own` are the same files in both.  A folder in which somebody
    keeps folders or many files is left where it is.

    Parameters
    ----------
    new
        The finished folder, on the same disk.
    target
        The folder that it takes the place of.
    own
        Names of files of `target` that are left behind, with ``/`` between the parts of
        a path.

    Returns
    -------
    done : bool
        False where that is not possible; `target` is then as it was.
    """
    links: list[Path] = []
    try:
        for name in _foreign(target, own) or ():
            if not (new / name).exists():
                os.link(target / name, new / name, follow_symlinks=False)
                links.append(new / name)
        shutil.copystat(target, new)
        if _foreign(target, own) is not None and exchange(new, target):
            return True
    except OSError:  # a disk without such links, or of which parts may not be read
        pass
    for link in links:
        link.unlink()
    return False


def _foreign(folder: Path, own: Collection[str]) -> list[str] | None:
    """Return the names of files that are not `own`; None if there is more than that."""
    folders = {str(parent) for name in own for parent in Path(name).parents}
    found: list[str] = []
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            inner = {path.relative_to(folder).as_posix() for path in entry.rglob("*")}
            if entry.name not in folders or inner - set(own) - folders:
                return None
        elif entry.name not in own:
            found.append(entry.name)
    return found if len(found) <= _MOST_FOREIGN else None
