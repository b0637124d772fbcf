"""Archives whose bytes depend on their contents only."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from zoo.core.errors import BadPackage
from zoo.core.files import replacing
from zoo.io.description import MAX_BYTES, NAMES, parse_description

_EPOCH = (1980, 1, 1, 0, 0, 0)


def read_members(path: Path) -> dict[str, bytes]:
    """Return the files in an archive, in its order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def is_own_package(path: Path) -> bool:
    """Say whether an archive is a package that this zoo wrote."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(NAMES[0]) as file:
            rdf = parse_description(file.read(MAX_BYTES + 1), str(path))
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, BadPackage):
        return False
    except (NotImplementedError, RuntimeError):  # unknown compression, encryption
        return False
    config = rdf.get("config")
    return isinstance(config, dict) and bool(config.get("superres_zoo"))


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """Write an archive with fixed dates, permissions and order of members.

    Parameters
    ----------
    path
        Archive to write.
    members
        Contents by name; a name that ends in ``/`` is a folder.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.create_system = 3  # as written on Unix, wherever it is written
            folder = name.endswith("/")
            info.external_attr = (0o40755 << 16 | 0x10) if folder else 0o100644 << 16
            info.compress_type = zipfile.ZIP_STORED if folder else zipfile.ZIP_DEFLATED
            archive.writestr(info, members[name])


def zip_folder(folder: Path, path: Path) -> Path:
    """Write the files of a folder, without subfolders, to the root of an archive."""
    files = {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}
    with replacing(path) as part:
        write_zip(part, files)
    return path
