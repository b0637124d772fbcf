"""Zips of packages, unpacked without trusting them; and the folder they are kept in."""

import errno
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from zoo.core.errors import BadInput, BadPackage
from zoo.core.files import scratch, sha256

MAX_BYTES = 4 * 2**30
"""Largest unpacked size of a package."""
BLANK_BYTES = 2**28
"""Unpacked size of a package that is believed however small its zip is."""
DENSEST = 100
"""Most unpacked bytes per byte of a larger package's zip; weights hardly shrink."""
MAX_FILES = 10_000
"""Largest number of entries in the zip of a package."""

_CHUNK = 1 << 20


def cache_folder() -> Path:
    """Return the folder for downloads: ``SUPERRES_ZOO_CACHE``, else the user's cache.

    The folder need not exist.
    """
    chosen = os.environ.get("SUPERRES_ZOO_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("superres-zoo", appauthor=False))


def writable_cache(*parts: str) -> Path:
    """Return a folder below the cache, made if need be.

    Raises
    ------
    BadInput
        If it cannot be made.
    """
    folder = cache_folder().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"the cache folder {folder} cannot be made: {error.strerror}; set "
            "SUPERRES_ZOO_CACHE to a folder that can be written"
        ) from error
    return folder


def check_zip(zip_path: Path) -> None:
    """Read a zip through without unpacking it.

    Raises
    ------
    BadPackage
        If it is no intact zip, or `safe_extract` would refuse one of its entries.
    """
    with _intact(zip_path), zipfile.ZipFile(zip_path) as archive:
        _judge(archive.infolist(), zip_path)
        damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"{damaged} is damaged")


def unpacked(zip_path: Path) -> Path:
    """Return the folder in the cache that holds the contents of a zip.

    A zip with the same contents is unpacked once.

    Raises
    ------
    BadPackage
        As `safe_extract`.
    """
    folder = writable_cache("unpacked") / sha256(zip_path)
    if not folder.is_dir():
        _extract(zip_path, folder)
    return folder


def safe_extract(zip_path: Path, folder: Path) -> None:
    """Unpack a zip into a new folder, which appears when all of it is there.

    All entries are judged before the first one is written.

    Parameters
    ----------
    zip_path
        The zip.
    folder
        Must not exist; its parent must.

    Raises
    ------
    BadInput
        If `folder` exists.
    BadPackage
        If it is no intact zip, an entry is a link or lies outside the folder, two have
        the same name, one is encrypted, or it would unpack to more than `MAX_BYTES`.
    """
    if folder.exists():
        raise BadInput(f"{folder} exists; remove it or choose another folder")
    _extract(zip_path, folder)


def _extract(zip_path: Path, folder: Path) -> None:
    with scratch(folder) as part, _intact(zip_path):
        content = part / "content"
        content.mkdir()
        with zipfile.ZipFile(zip_path) as archive:
            entries = archive.infolist()
            _judge(entries, zip_path)
            budget = MAX_BYTES
            for entry in entries:
                budget -= _write(archive, entry, content, budget, zip_path)
        try:
            content.rename(folder)
        except OSError:
            # another process may have been faster with the same contents
            if not folder.is_dir():
                raise


@contextmanager
def _intact(zip_path: Path) -> Generator[None]:
    """Turn everything that a damaged zip may cause into one line."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        NotADirectoryError,
        FileExistsError,
        IsADirectoryError,
    ) as error:
        raise _not_intact(zip_path, error) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # of the disk; the zip names a place before its begin otherwise
        raise _not_intact(zip_path, error) from error


def _not_intact(zip_path: Path, error: Exception) -> BadPackage:
    return BadPackage(f"{zip_path} is not an intact zip; download it again ({error})")


def _judge(entries: list[zipfile.ZipInfo], zip_path: Path) -> None:
    if len(entries) > MAX_FILES:
        raise BadPackage(f"{zip_path} holds {len(entries)} files; no package does")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        mode = entry.external_attr >> 16
        kind = stat.S_IFMT(mode)
        if unsafe_name(name):
            reason = "lies outside the folder it is unpacked to"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            reason = "is a link or a special file"
        elif entry.flag_bits & 1:
            reason = "is encrypted"
        elif name.rstrip("/").casefold() in seen:
            reason = "is there twice"
        else:
            seen.add(name.rstrip("/").casefold())
            continue
        raise BadPackage(
            f"{zip_path} was not unpacked: its entry {name!r} {reason}; get the "
            "package from a source you trust"
        )
    size = sum(entry.file_size for entry in entries)
    if size > MAX_BYTES:
        raise BadPackage(
            f"{zip_path} was not unpacked: it would fill {size / 2**30:.1f} GiB, at "
            f"most {MAX_BYTES / 2**30:g} GiB are allowed"
        )
    stored = zip_path.stat().st_size
    if size > max(BLANK_BYTES, DENSEST * stored):
        raise BadPackage(
            f"{zip_path} was not unpacked: {stored} bytes would fill "
            f"{size / 2**30:.1f} GiB, which no package does"
        )


def unsafe_name(name: str) -> bool:
    """Say whether a relative file name could lead out of its folder.

    Examples
    --------
    >>> unsafe_name("weights/a.onnx"), unsafe_name("../a"), unsafe_name("C:/a")
    (False, True, True)
    """
    parts = PurePosixPath(name).parts
    return (
        not parts
        or name.startswith("/")
        or ".." in parts
        or "\\" in name
        or "\0" in name
        or re.match(r"[A-Za-z]:", name) is not None
    )


def _write(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    folder: Path,
    budget: int,
    zip_path: Path,
) -> int:
    """Unpack one entry; return its size."""
    target = folder / entry.filename
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with archive.open(entry) as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > budget:  # the directory of the zip did not tell the truth
                raise BadPackage(
                    f"{zip_path} was not unpacked: it is larger than it says"
                )
            file.write(chunk)
    return size
