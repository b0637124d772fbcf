"""Results that are replaced: the old ones or the new ones, at every instant."""

import os
import signal
import subprocess
import sys

import pytest

from zoo.core import files, swapping

WRITER = """
import os, signal, sys
from pathlib import Path
from zoo.core import files

folder, instant = Path(sys.argv[1]), int(sys.argv[2])
changes = ("os.rename", "os.remove", "os.rmdir", "os.link", "os.mkdir", "ctypes.dlsym")
with files.new_folder(folder / "out", replaces=["a", "b", "sub/c"]) as part:
    (part / "sub").mkdir()
    for name in ("a", "b", "sub/c"):
        (part / name).write_text("new")
    left = instant

    def kill(event, arguments):
        global left
        if event in changes:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
"""
OLD = {"a": "old", "b": "old", "sub/c": "old", "mine": "kept"}
NEW = {"a": "new", "b": "new", "sub/c": "new", "mine": "kept"}

linux = pytest.mark.skipif(
    sys.platform not in ("linux", "darwin"), reason="folders cannot change places"
)


def write(folder, texts):
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@linux
def test_a_writer_that_is_killed_leaves_the_old_files_or_the_new_ones(tmp_path):
    seen = []
    for instant in range(1, 60):
        folder = tmp_path / str(instant)
        write(folder / "out", OLD)
        done = subprocess.run(
            [sys.executable, "-c", WRITER, str(folder), str(instant)], check=False
        )
        left = tree(folder / "out")
        assert left in (OLD, NEW), instant
        seen.append(left)
        with files.new_folder(folder / "out", replaces=["a", "b", "sub/c"]) as part:
            write(part, dict.fromkeys(("a", "b", "sub/c"), "new"))
        assert tree(folder) == {f"out/{name}": text for name, text in NEW.items()}
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert OLD in seen[:-1]
    assert seen.index(NEW) < len(seen) - 1


@linux
def test_files_of_others_are_the_same_files_behind_it(tmp_path):
    write(tmp_path / "out", OLD)
    mine = (tmp_path / "out" / "mine").stat().st_ino
    (tmp_path / "out").chmod(0o750)
    before = (tmp_path / "out").stat().st_ino
    with files.new_folder(tmp_path / "out", replaces=["a", "b", "sub/c"]) as part:
        assert part.parent == tmp_path
        write(part, {"a": "new"})
    assert tree(tmp_path) == {"out/a": "new", "out/mine": "kept"}
    assert (tmp_path / "out" / "mine").stat().st_ino == mine
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "out").stat().st_ino != before


@pytest.mark.parametrize("reason", ["system", "links", "folders", "many", "here"])
def test_where_folders_cannot_change_places_files_do(tmp_path, monkeypatch, reason):
    out = tmp_path / "out"
    write(out, OLD)
    expected = NEW
    if reason == "system":
        monkeypatch.setattr(swapping, "exchange", lambda _one, _other: False)
    elif reason == "links":

        def refuse(*_args, **_more):
            raise OSError("no links on this disk")

        monkeypatch.setattr(os, "link", refuse)
    elif reason == "folders":
        further = {"sub/mine": "kept", "photographs/1": "kept"}
        write(out, further)
        expected = NEW | further
    elif reason == "many":
        further = {f"mine-{n}": "kept" for n in range(200)}
        write(out, further)
        expected = NEW | further
    else:
        monkeypatch.chdir(out)
    folder = out.stat().st_ino
    with files.new_folder(out, replaces=["a", "b", "sub/c"]) as part:
        assert (part.parent == out) == (reason == "here")
        write(part, dict.fromkeys(("a", "b", "sub/c"), "new"))
    assert tree(tmp_path) == {f"out/{name}": text for name, text in expected.items()}
    assert out.stat().st_ino == folder
