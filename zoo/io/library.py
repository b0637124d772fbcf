"""Packages: found by name, opened from anywhere, their files checked by hash.

A name is looked for in the checkout's ``specs/`` or in what the installation brought
of it, then in the cache, then at the address in ``zoo/index.json`` or
``SUPERRES_ZOO_URL``.
"""

import filecmp
import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from zoo.core.errors import BadInput, BadPackage, UnknownPackage
from zoo.core.files import new_folder, sha256
from zoo.core.formats import KERAS, ONNX
from zoo.core.names import near
from zoo.io import package
from zoo.io.archives import cache_folder, check_zip, unpacked, writable_cache
from zoo.io.description import NAMES, file_of, read_description
from zoo.io.download import fetch
from zoo.io.package import Package, cards_folder, description_file

_RUNNABLE = (ONNX.entry, KERAS.entry)
_ELSEWHERE = (
    "set SUPERRES_ZOO_URL to an address that has the packages, give the path of a "
    "package folder or zip instead of the name, or use a checkout of superres-zoo"
)


def open_package(name_or_path: str | Path, *, needs: str | None = None) -> Package:
    """Open a package by name, folder, zip or address.

    A word that is the name of a package means that package; write ``./name`` for a
    folder that is called the same.

    Parameters
    ----------
    name_or_path
        Name of a package of this zoo, path of any bioimage.io folder, zip or
        description, or http(s) address of a zip or description.
    needs
        Weights entry that a package found by name has to hold; see `find_package`.

    Raises
    ------
    UnknownPackage
        If there is no such package, with the names that resemble it.
    BadPackage
        If it is damaged, unsafe or not a model.
    """
    text = str(name_or_path)
    if text.startswith(("http://", "https://")):
        return _open_address(text)
    path = Path(name_or_path)
    is_name = isinstance(name_or_path, str) and path.name == text
    if is_name and text in _known_names():
        return Package(find_package(text, needs=needs), text)
    if not path.exists():
        if is_name and not path.suffix:
            raise _unknown(text)
        raise UnknownPackage(f"{text} does not exist; check the path")
    if path.is_dir():
        return Package(path)
    if path.name in NAMES:
        return Package(path.parent)
    if zipfile.is_zipfile(path):
        return Package(unpacked(path))
    raise BadPackage(
        f"{text} is not a package; give a bioimage.io folder, zip or {NAMES[0]}"
    )


def find_package(name: str, *, needs: str | None = None) -> Path:
    """Return the folder of a package of this zoo: at hand, in the cache, downloaded.

    A copy at hand whose weights differ from their hash is refused; nothing is put in
    its place.

    Parameters
    ----------
    name
        Name of the package.
    needs
        Weights entry that has to be there, such as ``keras_v3``, which an installation
        does not bring; any when left out.

    Raises
    ------
    UnknownPackage
        If nothing is known under the name, with those that resemble it.
    BadPackage
        If weights differ from their hash, or are on no reachable place.
    DownloadError
        If the download fails.
    """
    if name not in _known_names():
        raise _unknown(name)
    folder = _at_hand(name, needs)
    if folder is not None:
        opened = Package(folder, name)
        for kind in opened.present:
            opened.weights_path(kind)
        return folder
    index = _read_index()
    entry: dict[str, Any] | None = index["packages"].get(name)
    zip_path = cache_folder() / f"{name}.zip"
    if zip_path.is_file() and (entry is None or sha256(zip_path) == entry["sha256"]):
        return _root(unpacked(zip_path))
    address = os.environ.get("SUPERRES_ZOO_URL") or index["base_url"]
    if entry is None or not address:
        lack = (
            "no address to get them from is set" if entry else "no download is listed"
        )
        what = f"{needs} weights" if needs and _at_hand(name) else "weights"
        raise BadPackage(
            f"the {what} of {name} are not on this machine and {lack}; {_ELSEWHERE}"
        )
    fetch(
        f"{str(address).rstrip('/')}/{entry['file']}",
        writable_cache() / f"{name}.zip",
        sha256=entry["sha256"],
        size=entry.get("size"),
    )
    return _root(unpacked(zip_path))


def locate(name: str) -> Path | None:
    """Return where the weights of a package are now, None if they must be fetched.

    Nothing is hashed or fetched.
    """
    zip_path = cache_folder() / f"{name}.zip"
    return _at_hand(name) or (zip_path if zip_path.is_file() else None)


def download(name: str, directory: str | Path | None = None) -> Path:
    """Find a complete package and return its folder, unpacked and checked.

    Parameters
    ----------
    name
        Name of a package of this zoo.
    directory
        Where to put a copy, as ``directory/name``; left out, the package stays where it
        was found.

    Raises
    ------
    BadInput
        If something else is there already.
    UnknownPackage, BadPackage, DownloadError
        As `find_package`.
    """
    folder = find_package(name, needs=KERAS.entry)
    if directory is None:
        return folder
    target = Path(directory) / name
    if target.exists():
        if _equal(folder, target):
            return target
        raise BadInput(
            f"{target} exists and is not this package; remove it or choose another "
            "folder"
        )
    with new_folder(target) as part:
        shutil.copytree(folder, part, dirs_exist_ok=True)
    return target


def package_names() -> list[str]:
    """Return the names of the packages that have a card, in alphabetical order."""
    return sorted(path.parent.name for path in cards_folder().glob(f"*/{NAMES[0]}"))


def read_card(name: str) -> dict[str, Any]:
    """Return the description of a package of this zoo, with or without its weights.

    Raises
    ------
    UnknownPackage
        If there is no card, with the names that resemble it.
    """
    path = cards_folder() / name / NAMES[0]
    if name not in package_names():
        raise _unknown(name)
    return read_description(path)


def _read_index() -> dict[str, Any]:
    """Return the address and the packages that can be downloaded."""
    return json.loads((package.ROOT / "index.json").read_text(encoding="utf-8"))


def _known_names() -> set[str]:
    return {*package_names(), *_read_index()["packages"]}


def _unknown(name: str) -> UnknownPackage:
    return UnknownPackage(
        f"there is no package {name!r}; {near(name, _known_names())} "
        "('zoo list' shows all packages)"
    )


def _at_hand(name: str, needs: str | None = None) -> Path | None:
    """Return the folder of checkout or installation that holds a package's weights."""
    folder = cards_folder() / name
    if not (folder / NAMES[0]).is_file():
        return None
    present = Package(folder, name).present
    return folder if (needs in present if needs else present) else None


def _root(folder: Path) -> Path:
    return description_file(folder).parent


def _equal(one: Path, other: Path) -> bool:
    files = {p.relative_to(one) for p in one.rglob("*") if p.is_file()}
    if not other.is_dir():
        return False
    if files != {p.relative_to(other) for p in other.rglob("*") if p.is_file()}:
        return False
    return all(filecmp.cmp(one / f, other / f, shallow=False) for f in files)


def _open_address(url: str) -> Package:
    """Fetch a zip, or a description and the files that it needs, and open it."""
    key = hashlib.sha256(url.encode()).hexdigest()[:32]
    if not urlsplit(url).path.lower().endswith((".yaml", ".yml")):

        def check(path: Path) -> None:
            if not zipfile.is_zipfile(path):
                raise BadPackage(
                    f"{url} is neither a zip nor a {NAMES[0]}; check the address"
                )
            check_zip(path)

        zip_path = writable_cache("addresses") / f"{key}.zip"
        return Package(unpacked(fetch(url, zip_path, check=check)))
    folder = writable_cache("addresses", key)
    fetch(url, folder / NAMES[0], check=read_description)
    opened = Package(folder)
    files = [t.get("test_tensor") for t in (*opened.inputs, *opened.outputs)]
    files += [opened.weights[entry] for entry in _RUNNABLE if entry in opened.weights]
    for source, digest in map(file_of, filter(None, files)):
        target = opened.path_of(source)
        address = urljoin(url, source)
        if urlsplit(address)[:2] != urlsplit(url)[:2]:
            raise BadPackage(
                f"{url} refers to {source!r} on another server, which is not asked; "
                "download the package as a zip and give its path"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch(address, target, sha256=digest)
    return opened
