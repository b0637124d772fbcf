"""Files and folders that appear whole or not at all, and their hashes.

What is being written stands under a hidden name beside its final one; see
`zoo.core.claims`.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zoo.core.claims import OWN, aside, claim, living
from zoo.core.errors import BadInput
from zoo.core.swapping import change_places


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_utf8(path: str | Path) -> None:
    """Refuse a name that cannot be written into a report.

    Raises
    ------
    BadInput
        If it is not UTF-8, as names from old file systems and archives may be.
    """
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInput(
            f"the name {os.fspath(path)!a} is not UTF-8; rename the file or folder"
        ) from error


def refuse_existing(path: Path, *, overwrite: bool = False) -> None:
    """Refuse to write where something is already.

    Raises
    ------
    BadInput
        If `path` exists, be it a dangling link, and `overwrite` is false.
    """
    if not overwrite and (path.exists() or path.is_symlink()):
        raise BadInput(
            f"{path} exists and is not overwritten; choose another place or give "
            "--overwrite"
        )


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Generator[Path]:
    """Yield a temporary name beside `path` that becomes `path` if all goes well.

    The final name never holds half a file: on an error the temporary one is removed
    and what stood under `path` stays.  The temporary name keeps the suffix of `path`,
    since libraries choose formats by it.

    Parameters
    ----------
    path
        The final name; its folder must exist.
    overwrite
        Whether a file of that name may be replaced, also one that somebody else wrote
        meanwhile.

    Raises
    ------
    BadInput
        If `path` exists and `overwrite` is false, before the block or after it, or is
        not UTF-8.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as part:
    ...         _ = part.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    require_utf8(path)
    refuse_existing(path, overwrite=overwrite)
    living(path.parent)
    part = aside(path)
    OWN.add(part.absolute())
    try:
        yield part
        if not overwrite:
            try:
                path.open("xb").close()
            except FileExistsError:
                refuse_existing(path)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        OWN.discard(part.absolute())


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def to_json(content: Any) -> str:
    """Return indented JSON that ends in a newline.

    Raises
    ------
    ValueError
        If a number is not finite; JSON has none of that kind.
    """
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, to_json(content))


@contextmanager
def new_folder(
    target: Path,
    *,
    replaces: Collection[str] | None = None,
    needed_bytes: int = 0,
    sources: Iterable[str | Path | None] = (),
) -> Generator[Path]:
    """Yield an empty folder that becomes `target` if all goes well.

    Files are collected in a hidden folder beside `target`.  When the block ends, that
    folder is renamed; where `target` exists and `replaces` allows it, the two change
    places at one instant: files of those names are replaced or gone, other files stay.
    When the block fails, also by Ctrl-C, the hidden folder is removed and everything is
    as before.

    Where folders cannot change places (a disk of its own, the working folder, some
    systems), files are collected inside `target`, and moved over the old ones one by
    one.

    The hidden folder is a claim, too: of several processes that write to one `target`
    at a time only one goes on.

    Parameters
    ----------
    target
        The folder; those above it are made as needed.
    replaces
        Names of files that an earlier run may have left in `target`, in the order in
        which they are put in place, with ``/`` between the parts of a path; None to
        demand that `target` does not exist.
    needed_bytes
        Room that the files will take, about.
    sources
        Files and folders that are read; none may lie in `target`, links resolved.  What
        is no existing path counts for nothing.

    Raises
    ------
    BadInput
        If `target` is not UTF-8, exists and may not be replaced, is no folder, holds
        one of `sources`, is being written by another process, or has been made by one
        meanwhile.
    OSError
        If it cannot be written, or there is too little room; found out before the
        block runs.
    """
    require_utf8(target)
    target = _real(target)
    _check_target(target, replaces, sources)
    parent = target.parent
    above = [p for p in (parent, *parent.parents) if not p.exists()][::-1]
    part: Path | None = None
    try:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            part = claim(target)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(
                error.errno, f"results cannot be written ({reason})", str(target)
            ) from error
        free = shutil.disk_usage(part).free
        if free < needed_bytes:
            raise OSError(
                errno.ENOSPC,
                f"the results need about {needed_bytes / 1e6:.0f} MB, "
                f"{free / 1e6:.0f} MB are free",
                str(target),
            )
        yield part
        if replaces is not None and target.exists():
            _replace_files(part, target, list(replaces))
        else:
            _settle(part, target)
    except BaseException:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        for folder in reversed(above):
            with suppress(OSError):  # never made, or somebody else uses it by now
                folder.rmdir()
        raise
    finally:
        if part is not None:
            OWN.discard(part)


@contextmanager
def scratch(path: Path) -> Generator[Path]:
    """Yield an empty hidden folder beside `path`, on its disk, that goes in the end."""
    living(path.parent)
    part = aside(path.absolute())
    OWN.add(part)
    try:
        part.mkdir(mode=0o700)
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        OWN.discard(part)


@contextmanager
def temporary(name: str) -> Generator[Path]:
    """Yield an empty folder among the temporary files, for this user alone.

    It goes in the end; those of processes that were killed go at the next call.

    Parameters
    ----------
    name
        Part of its name, which says what it is for.
    """
    with scratch(Path(tempfile.gettempdir()) / name) as part:
        yield part


def swap_folder(new: Path, path: Path) -> None:
    """Put a finished folder in the place of another, which goes only then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old = aside(path, "old")  # never swept: it may be all that there is after a crash
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _real(target: Path) -> Path:
    """Return the absolute path of a folder, behind links if it exists."""
    return target.resolve() if target.is_dir() else Path(os.path.abspath(target))  # noqa: PTH100


def _check_target(
    target: Path,
    replaces: Collection[str] | None,
    sources: Iterable[str | Path | None],
) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir():
        raise BadInput(f"{target} is a file; give a folder for the results")
    if replaces is None:
        raise BadInput(
            f"{target} exists already; choose another folder or use --overwrite"
        )
    for source in sources:
        if source is None or not Path(source).exists():
            continue
        if Path(source).resolve().is_relative_to(target):
            raise BadInput(
                f"{source} is read and lies in {target}, which is written; choose "
                "another folder for the results"
            )
    blocked = [name for name in replaces if (target / name).is_dir()]
    if blocked:
        raise BadInput(f"{target / blocked[0]} is a folder; rename it first")
    if not os.access(target, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "not writable", str(target))


def _settle(part: Path, target: Path) -> None:
    """Give a finished folder its name, which must be free."""
    try:
        target.mkdir()
    except FileExistsError as error:
        raise BadInput(
            f"{target} has been made by another program meanwhile; choose another "
            "folder"
        ) from error
    try:
        if os.name == "nt":  # elsewhere a folder may take the place of an empty one
            target.rmdir()
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            target.rmdir()
        raise


def _replace_files(part: Path, target: Path, names: list[str]) -> None:
    """Put finished files in the place of those of an earlier run."""
    if part.parent == target.parent and change_places(part, target, names):
        shutil.rmtree(part, ignore_errors=True)  # the old folder by now
    else:
        _merge(part, target, names)


def _merge(part: Path, target: Path, order: list[str]) -> None:
    """Move finished files over those of an earlier run, in the given order."""
    names = {
        file.relative_to(part).as_posix(): file
        for file in part.rglob("*")
        if not file.is_dir()
    }
    for name in sorted(names, key=lambda n: order.index(n) if n in order else -1):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        names[name].replace(target / name)
    for name in set(order) - set(names):
        (target / name).unlink(missing_ok=True)
    shutil.rmtree(part)
