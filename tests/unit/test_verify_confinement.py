"""`zoo.verify.confinement`: what a process that runs a package cannot do any more."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from zoo.core import files
from zoo.verify import confinement, isolated

PROLOGUE = """
import ctypes, json, os, runpy, socket, subprocess, sys
rules = runpy.run_path(sys.argv[1])
inside, outside, port = sys.argv[2], sys.argv[3], int(sys.argv[4])
means = rules["confine"]([inside])
libc = ctypes.CDLL(None, use_errno=True)

def tried(function):
    try:
        return repr(function())
    except OSError as error:
        return type(error).__name__
    except MemoryError:
        return "MemoryError"
"""


def confined(body, tmp_path, port=0):
    """Run a program after `confine`; return what it prints as JSON."""
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "mine.txt").write_text("mine")
    paths = [confinement.__file__, tmp_path / "inside", tmp_path / "outside", port]
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + body, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_outside_is_written(tmp_path):
    body = """
mine = f"{outside}/mine.txt"
os.symlink(mine, f"{inside}/link")
answers = {
    "inside": tried(lambda: open(f"{inside}/a", "w").write("1")),
    "open": tried(lambda: open(f"{outside}/a", "w")),
    "append": tried(lambda: open(mine, "a")),
    "link": tried(lambda: open(f"{inside}/link", "w")),
    "remove": tried(lambda: os.remove(mine)),
    "rename": tried(lambda: os.rename(mine, f"{inside}/b")),
    "into": tried(lambda: os.rename(f"{inside}/a", f"{outside}/b")),
    "mkdir": tried(lambda: os.mkdir(f"{outside}/c")),
    "chmod": tried(lambda: os.chmod(mine, 0)),
    "program": tried(lambda: subprocess.run(["true"])),
    "fork": tried(os.fork),
    "read": tried(lambda: open(mine).read()),
    "nowhere": tried(lambda: open("/dev/null", "w").write("1")),
}
print(json.dumps(answers))
"""
    answers = confined(body, tmp_path)
    assert answers.pop("inside") == answers.pop("nowhere") == "1"
    assert answers.pop("read") == "'mine'"
    assert set(answers.values()) == {"PermissionError"}
    assert [p.name for p in (tmp_path / "outside").iterdir()] == ["mine.txt"]
    assert (tmp_path / "outside" / "mine.txt").read_text() == "mine"


def test_native_code_is_bound_where_the_kernel_can_do_that(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        body = """
import struct
mine = f"{outside}/mine.txt".encode()
write = libc.open(f"{outside}/a".encode(), os.O_CREAT | os.O_WRONLY, 0o600)
address = struct.pack("=HH4s8x", 2, socket.htons(port), bytes([127, 0, 0, 1]))
answers = {
    "means": means,
    "write": write,
    "remove": libc.unlink(mine),
    "inside": libc.open(f"{inside}/a".encode(), os.O_CREAT | os.O_WRONLY, 0o600) >= 0,
    "connect": libc.connect(libc.socket(2, 1, 0), address, 16),
}
print(json.dumps(answers))
"""
        answers = confined(body, tmp_path, server.getsockname()[1])
    means = answers["means"]
    assert means[-1] == "hooks"
    assert answers["inside"]
    if "landlock" in means:
        assert answers["write"] == answers["remove"] == -1
        assert (tmp_path / "outside" / "mine.txt").read_text() == "mine"
    if "namespace" in means:
        assert answers["connect"] == -1


def test_python_makes_no_connections(tmp_path):
    body = """
answers = {
    "connect": tried(lambda: socket.create_connection(("127.0.0.1", 9))),
    "name": tried(lambda: socket.getaddrinfo("example.org", 80)),
    "send": tried(lambda: socket.socket(2, 2).sendto(b"1", ("127.0.0.1", 9))),
}
print(json.dumps(answers))
"""
    assert set(confined(body, tmp_path).values()) == {"PermissionError"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_memory_is_bounded(tmp_path):
    body = """
answers = [tried(lambda: len(bytearray(n))) for n in (2**20, 17 * 2**30)]
print(json.dumps(answers))
"""
    assert confined(body, tmp_path) == [str(2**20), "MemoryError"]


CHILD = """
import os, runpy, sys, time
runpy.run_path(sys.argv[1])["end_with"](os.getppid())
print(os.getpid(), flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]])
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(ending):
    command = [sys.executable, "-c", PARENT, CHILD, confinement.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(ending)
        parent.wait()
        child.wait()  # as long as it takes, which is less than it would sleep
    assert not child.is_running()


def test_the_parent_is_watched_where_the_kernel_does_not():
    child = "import sys; sys.platform = 'other'" + CHILD
    command = [sys.executable, "-c", PARENT, child, confinement.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        orphan.wait()
    assert not orphan.is_running()


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    with files.temporary("zoo-check") as folder:
        assert folder.stat().st_mode & 0o077 == 0 or os.name == "nt"
        name = folder.name
        assert folder.parent == tmp_path
        dead = tmp_path / name.replace(str(os.getpid()), str(ended.pid), 1)
        other = tmp_path / name.replace(str(os.getpid()), str(os.getppid()), 1)
        for left in (dead, other):
            left.mkdir()
            (left / "big.npy").write_bytes(b"0")
        with files.temporary("zoo-verify"):
            assert {p.name for p in tmp_path.iterdir()} >= {name, other.name}
            assert not dead.exists()
    assert [p.name for p in tmp_path.iterdir()] == [other.name]


def test_the_process_of_a_check_is_confined(tmp_path, monkeypatch):
    """What `run` starts: the rules are in force before any task begins."""
    program = tmp_path / "isolated.py"
    text = Path(isolated.__file__).read_text(encoding="utf-8")
    program.write_text(
        text.replace(
            "    tasks: dict[str, Any] = {\n",
            "    def write(path, scratch):\n"
            '        Path(path).write_text("1")\n'
            '        return {"home": str(Path.home())}\n\n'
            '    tasks: dict[str, Any] = {\n        "write": write,\n',
        ),
        encoding="utf-8",
    )
    confinement_copy = program.with_name("confinement.py")
    confinement_copy.write_bytes(Path(confinement.__file__).read_bytes())
    monkeypatch.setattr(isolated, "__file__", str(program))
    results = tmp_path / "results"
    results.mkdir()
    paths = [results / "a.npy", tmp_path / "b.npy"]
    requests = [{"task": "write", "path": str(path)} for path in paths]

    def answers(**options):
        return isolated.run([dict(r) for r in requests], **options)

    inside, outside = answers(writable=[results])
    assert Path(inside["home"]).name.endswith("zoo-check")
    assert "PermissionError: a package must not write" in outside["error"]
    assert [path.exists() for path in paths] == [True, False]
    assert not any("error" in answer for answer in answers(trust=True))
    assert [path.exists() for path in paths] == [True, True]
