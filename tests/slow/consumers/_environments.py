"""Environments of the other programs, made once and kept in a cache folder.

The folder is ``$SUPERRES_ZOO_CONSUMERS``, else ``superres-zoo-consumers`` in the user's
cache.  A folder counts as made when it holds the list of what was asked for, so that a
changed pin makes it anew and an interrupted installation is not mistaken for a whole.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import platformdirs

_OFFLINE = re.compile(
    r"NewConnectionError|Connection refused|connection broken|Max retries|timed? ?out"
    r"|ProxyError|Temporary failure in name resolution|Could not connect"
    r"|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|network is unreachable",
    re.IGNORECASE,
)


class Unreachable(Exception):
    """The package registry did not answer, so the consumer could not be installed."""


def venv(name: str, *requirements: str) -> Path:
    """Return the Python of a virtual environment with these packages."""
    folder = _cache() / name
    python = folder / "bin" / "python"
    if not _made(folder, requirements):
        _call(sys.executable, "-m", "venv", str(folder))
        _call(str(python), "-m", "pip", "install", "-q", *requirements)
        _finish(folder, requirements)
    return python


def wheel(name: str, requirement: str, python: str, members: tuple[str, ...]) -> Path:
    """Return a folder with some files of a wheel made for another Python."""
    need("linux" in sys.platform and platform.machine() == "x86_64", "Linux on x86-64")
    folder = _cache() / name
    if not _made(folder, (requirement, *members)):
        folder.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        target = ["--only-binary=:all:", "--python-version", python]
        _call(*pip, *target, "-d", str(folder), requirement)
        (archive,) = folder.glob("*.whl")
        with zipfile.ZipFile(archive) as files:
            for member in members:
                files.extract(member, folder)
        archive.unlink()
        _finish(folder, (requirement, *members))
    return folder


def node_modules(name: str, *packages: str) -> Path:
    """Return a folder in whose ``node_modules`` these npm packages lie."""
    need(shutil.which("node") and shutil.which("npm"), "node (16 or later) and npm")
    folder = _cache() / name
    if not _made(folder, packages):
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        _call("npm", "install", "--no-audit", "--no-fund", *packages, cwd=folder)
        _finish(folder, packages)
    return folder


def need(condition: object, what: str) -> None:
    """Exit with a failure that says what the script needs."""
    if not condition:
        sys.exit(f"this consumer needs {what}")


def _cache() -> Path:
    stated = os.environ.get("SUPERRES_ZOO_CONSUMERS")
    return Path(stated or platformdirs.user_cache_path("superres-zoo-consumers"))


def _made(folder: Path, wanted: tuple[str, ...]) -> bool:
    record = folder / "made.txt"
    if record.is_file() and record.read_text(encoding="utf-8") == "\n".join(wanted):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def _finish(folder: Path, wanted: tuple[str, ...]) -> None:
    (folder / "made.txt").write_text("\n".join(wanted), encoding="utf-8")


def _call(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr + done.stdout
        name = " ".join(command[:4])
        if found := _OFFLINE.search(said):
            raise Unreachable(f"no package registry for '{name} …' ({found[0]})")
        sys.exit(f"'{' '.join(command)}' failed:\n{said[-3000:]}")
