"""Archives whose bytes depend on their contents only, and files that appear whole."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)


def read_members(path: Path) -> dict[str, bytes]:
    """Return the files in an archive, in its order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(
    path: Path, members: Mapping[str, bytes], *, compress: bool = True
) -> None:
    """Write an archive with fixed dates, permissions and order of members.

    Parameters
    ----------
    path
        Archive to write.
    members
        Contents by name; a name that ends in ``/`` is a folder.
    compress
        Whether to deflate the members.
    """
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.create_system = 3  # as written on Unix, wherever it is written
            folder = name.endswith("/")
            info.external_attr = (0o40755 << 16 | 0x10) if folder else 0o100644 << 16
            info.compress_type = zipfile.ZIP_STORED if folder else kind
            archive.writestr(info, members[name])


def zip_folder(folder: Path, path: Path) -> Path:
    """Write the files of a folder, without subfolders, to the root of an archive."""
    files = {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}
    with temporary_sibling(path) as part:
        write_zip(part, files)
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def temporary_sibling(path: Path) -> Iterator[Path]:
    """Give a name beside `path`; what is written there takes its place on success.

    The name keeps the suffix of `path`.  After an error nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def replace_folder(new: Path, path: Path) -> None:
    """Put a finished folder in the place of another, which goes only then."""
    old = path.with_name(f".old-{os.getpid()}-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
