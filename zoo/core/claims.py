"""Hidden names of what is being written, and whose they are.

What is being written stands under a hidden name, ``.part-<process>-<token>-<name>``,
beside its final one.  Leftovers of processes that have ended are removed at the next
start in the same folder; those of living ones never.
"""

import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from zoo.core.errors import BadInput
from zoo.core.swapping import may_change_places

OWN: set[Path] = set()
"""What this process is writing."""


class Part(NamedTuple):
    """Something half-written, and whose it is."""

    path: Path
    process: int
    elsewhere: bool
    """Whether the process runs on another machine that shares the disk."""
    name: str

    @property
    def lives(self) -> bool:
        """Whether it may still be written; true where that cannot be known."""
        if self.elsewhere or os.name == "nt":
            return True
        if self.process == os.getpid():
            return self.path.absolute() in OWN
        try:
            os.kill(self.process, 0)  # asks only
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True


def aside(path: Path, kind: str = "part") -> Path:
    """Return a hidden name beside `path` that nobody else uses."""
    token = f"{_machine()}{secrets.token_hex(3)}"
    return path.with_name(f".{kind}-{os.getpid()}-{token}-{path.name[-200:]}")


@cache
def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def living(folder: Path) -> list[Part]:
    """Remove what ended processes left in a folder; return what others are writing."""
    found: list[Part] = []
    for name in os.listdir(folder) if folder.is_dir() else ():  # noqa: PTH208
        match = re.fullmatch(r"\.part-(\d+)-(\w+)-(.+)", name, re.DOTALL)
        if match is None:
            continue
        token = match[2]
        elsewhere = len(token) == 12 and not token.startswith(_machine())
        part = Part(folder / name, int(match[1]), elsewhere, match[3])
        if part.lives:
            found.append(part)
        elif part.path.is_dir() and not part.path.is_symlink():
            shutil.rmtree(part.path, ignore_errors=True)
        else:
            with suppress(OSError):
                part.path.unlink()
    return found


def claim(target: Path) -> Path:
    """Make the hidden folder in which `target` comes about, unless somebody has one."""
    inside = target.is_dir() and not may_change_places(target)
    part = aside(target / target.name if inside else target)
    with _alone(target.parent):
        for other in living(target.parent) + living(target):
            if other.name != target.name[-200:]:
                continue
            where = " on another machine" if other.elsewhere else ""
            raise BadInput(
                f"{target} is being written by process {other.process}{where}; wait "
                f"for it or choose another folder (if it is no such program any more, "
                f"remove {other.path})"
            )
        part.mkdir()
        OWN.add(part)
    return part


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep others from looking for claims in a folder, where the system can do that.

    Where it cannot, two processes that start at the same moment may both be refused.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
