"""What a process gives up before it runs a package: other files, the network, memory.

This file is run by path in a process that cannot import this project, so it needs
nothing but Python.  On Linux the kernel keeps the rules, for native code, too
(Landlock, https://docs.kernel.org/userspace-api/landlock.html, and a network
namespace); elsewhere, and where the kernel lacks them, hooks of Python do, by which
native code is not bound.
"""

import ctypes
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

MEMORY_BYTES = 16 * 2**30
"""Largest private memory of a process that runs a package."""
FILE_BYTES = 4 * 2**30
"""Largest file that it may write."""

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# of linux/prctl.h, linux/sched.h and linux/landlock.h
_PARENT_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38
_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _BENEATH = 1, 1
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_CHANGES = (_WRITE_FILE | sum(1 << n for n in range(4, 13)), 1 << 13, _TRUNCATE)
"""Rights to write, remove and make; to move between folders; to cut: by version."""
_TCP = 0b11

_PATHS = {
    "os.remove": 1,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.utime": 1,
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
}
"""Events of Python that change files, and how many paths they begin with."""
_PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen")
_CONNECTIONS = ("connect", "bind", "sendto", "getaddrinfo", "gethostbyname")


def confine(writable: Iterable[str]) -> list[str]:
    """Give up, for the rest of this process, what running a package does not need.

    Parameters
    ----------
    writable
        Folders in which files may be made and changed.

    Returns
    -------
    means : list of str
        What keeps the rules: ``landlock``, ``namespace``, and always ``hooks``.
    """
    folders = [os.path.realpath(folder) for folder in writable]
    _limit()
    means = [
        name
        for name, done in (
            ("namespace", _without_network()),
            ("landlock", _landlock(folders)),
        )
        if done
    ]
    sys.addaudithook(_hook(folders))
    return [*means, "hooks"]


def end_with(parent: int) -> None:
    """End this process when the one that started it ends, however that comes about.

    Parameters
    ----------
    parent
        Number of the process that started this one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _limit() -> None:
    """Bound memory, files and crash dumps, where the system can do that."""
    try:
        import resource
    except ImportError:
        return
    limits = {
        resource.RLIMIT_DATA: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, wanted in limits.items():
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            wanted = min(wanted, most)
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (wanted, wanted))


def _without_network() -> bool:
    """Move to a network of one's own, in which there is nobody else."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_USERS | _NEW_NETWORK) != 0:
        return libc.unshare(_NEW_NETWORK) == 0
    with suppress(OSError):  # only names are lost without it
        for name, text in (
            ("uid_map", f"{user} {user} 1"),
            ("setgroups", "deny"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
    return True


def _landlock(folders: list[str]) -> bool:
    """Let the kernel refuse every change of files outside some folders."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    rights = sum(_CHANGES[: min(version, 3)])
    rules = struct.pack("=Q", rights)
    if version >= 4:
        rules += struct.pack("=Q", _TCP)
    ruleset = libc.syscall(_CREATE_RULESET, rules, len(rules), 0)
    if ruleset < 0:
        return False
    try:
        for path, allowed in _allowed(folders, rights):
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", allowed, handle)
                if libc.syscall(_ADD_RULE, ruleset, _BENEATH, rule, 0) != 0:
                    return False
            finally:
                os.close(handle)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
            return False
        return libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allowed(folders: list[str], rights: int) -> Iterator[tuple[str, int]]:
    for folder in folders:
        yield folder, rights
    for device in _DEVICES:
        if os.path.exists(device):  # noqa: PTH110
            yield device, rights & (_WRITE_FILE | _TRUNCATE)


def _hook(folders: list[str]) -> Any:
    """Return a hook by which Python's own functions keep the rules."""

    def is_inside(path: Any) -> bool:
        if isinstance(path, int) or path is None:  # opened already
            return True
        real = os.path.realpath(os.fsdecode(path))
        return real in _DEVICES or any(
            os.path.commonpath([real, folder]) == folder for folder in folders
        )

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            paths = [path] if isinstance(flags, int) and flags & _WRITING else []
        elif event in _PATHS:
            paths = list(arguments[: _PATHS[event]])
            if event == "os.symlink":  # what it leads to is judged when it is used
                paths = paths[1:]
        elif event in _PROGRAMS:
            raise PermissionError(f"a package must not start programs ({event})")
        elif event.removeprefix("socket.") in _CONNECTIONS:
            raise PermissionError("this check runs without a network")
        else:
            return
        for path in paths:
            if not is_inside(path):
                raise PermissionError(
                    f"a package must not write to {os.fsdecode(path)!r}"
                )

    return refuse
