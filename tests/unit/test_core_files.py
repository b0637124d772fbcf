"""Files and folders appear whole or not at all, and have one writer at a time."""

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from zoo.core import files
from zoo.core.errors import BadInput

ROOT = Path(files.__file__).parents[2]


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8")
        for p in folder.rglob("*")
        if p.is_file()
    }


def write(folder, **contents):
    for name, text in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail(error, writer, name="a", during=None):
    """Write a file, or a file in a folder, and fail before it is done."""
    with writer as part:
        path = part / name if part.is_dir() else part
        path.write_text("half", encoding="utf-8")
        if during is not None:
            during()
        if error is not None:
            raise error


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_is_replaced_when_it_is_whole(tmp_path, overwrite):
    path = tmp_path / "a.txt"
    with files.replacing(path, overwrite=overwrite) as part:
        part.write_text("new", encoding="utf-8")
        assert not path.exists()
        assert part.suffix == ".txt"
    assert tree(tmp_path) == {"a.txt": "new"}
    with pytest.raises(RuntimeError):
        fail(RuntimeError, files.replacing(path))
    assert tree(tmp_path) == {"a.txt": "new"}


def test_a_file_of_somebody_else_is_not_replaced(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(BadInput, match="exists and is not overwritten"):
        fail(
            None,
            files.replacing(path, overwrite=False),
            during=lambda: write(tmp_path, **{"a.txt": "another's"}),
        )
    assert tree(tmp_path) == {"a.txt": "another's"}


def test_a_dangling_link_exists(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="--overwrite"):
        files.refuse_existing(tmp_path / "link")
    files.refuse_existing(tmp_path / "link", overwrite=True)
    files.refuse_existing(tmp_path / "free")


def test_json_is_finite_and_ends_in_a_newline(tmp_path):
    files.write_json(tmp_path / "a.json", {"µ": [1, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"µ": [1, None]}
    assert text.endswith("}\n")
    assert "µ" in text
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", float("nan"))
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == text


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_folder_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "out"
    with files.new_folder(target) as part:
        write(part, a="1", sub__b="2")
        assert not target.exists()
    assert tree(tmp_path) == {"new/out/a": "1", "new/out/sub/b": "2"}
    with (
        pytest.raises(BadInput, match="exists already; choose another"),
        files.new_folder(target),
    ):
        pass


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_everything_as_it_was(tmp_path, failure):
    write(tmp_path, out__a="old")
    for target in (tmp_path / "new" / "out", tmp_path / "out"):
        with pytest.raises(failure):
            fail(failure, files.new_folder(target, replaces=["a"]))
    assert tree(tmp_path) == {"out/a": "old"}
    assert names(tmp_path) == ["out"]


def test_only_the_files_of_an_earlier_run_are_replaced(tmp_path):
    write(tmp_path, out__a="old", out__b="old", out__mine="kept", out__sub__c="old")
    names = ["a", "b", "sub/c", "d"]
    with files.new_folder(tmp_path / "out", replaces=names) as part:
        write(part, a="new", sub__c="new")
    assert tree(tmp_path / "out") == {"a": "new", "mine": "kept", "sub/c": "new"}


def test_scratch_space_goes_in_the_end(tmp_path):
    with files.scratch(tmp_path / "a.zip") as part:
        write(part, a="1")
        assert part.parent == tmp_path
    assert names(tmp_path) == []


def test_what_stands_in_the_way(tmp_path):
    write(tmp_path, file="mine", out__a__b="mine")
    for target, words in (("file", "is a file"), ("out", "a is a folder; rename it")):
        with (
            pytest.raises(BadInput, match=words),
            files.new_folder(tmp_path / target, replaces=["a"]),
        ):
            pass
    with (
        pytest.raises(OSError, match=r"the results need about .* MB, .* are free"),
        files.new_folder(tmp_path / "big", needed_bytes=2**60),
    ):
        pass
    assert names(tmp_path) == ["file", "out"]


def test_what_is_read_must_not_lie_where_is_written(tmp_path):
    write(tmp_path, out__movie="precious", movie="elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "out" / "movie")
    (tmp_path / "other").symlink_to(tmp_path / "out")
    for target, source in (
        ("out", "out/movie"),
        ("out", "link"),
        ("other", "out/movie"),
        ("out", "out"),
    ):
        sources = [None, "https://example.org/a", tmp_path / source]
        with (
            pytest.raises(BadInput, match="is read and lies in"),
            files.new_folder(tmp_path / target, replaces=["movie"], sources=sources),
        ):
            pass
    with files.new_folder(
        tmp_path / "out", replaces=["a"], sources=[tmp_path / "movie"]
    ):
        pass
    assert (tmp_path / "out" / "movie").read_text(encoding="utf-8") == "precious"


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    write(tmp_path, real__a="old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with files.new_folder(tmp_path / "link", replaces=["a"]) as part:
        write(part, a="new")
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "real") == {"a": "new"}


@pytest.mark.parametrize("existing", [False, True])
def test_a_folder_has_one_writer_at_a_time(tmp_path, existing):
    target = tmp_path / "out"
    if existing:
        target.mkdir()
    with files.new_folder(target, replaces=["a"]) as part:
        write(part, a="1")
        with (
            pytest.raises(
                BadInput, match=f"is being written by process {os.getpid()};"
            ),
            files.new_folder(target, replaces=["a"]),
        ):
            pass
        with files.new_folder(tmp_path / "other"):  # another folder is free
            pass
    assert tree(tmp_path) == {"out/a": "1"}


def test_a_folder_that_appeared_meanwhile_is_kept(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(BadInput, match="made by another program meanwhile"):
        fail(
            None,
            files.new_folder(target),
            during=lambda: write(target, a="another's"),
        )
    assert tree(tmp_path) == {"out/a": "another's"}


def race(target, start, done):
    start.wait()
    try:
        with files.new_folder(target) as part:
            write(part, a=str(os.getpid()))
    except BadInput:
        done.put(False)
    else:
        done.put(True)


def test_of_many_that_start_at_once_one_writes(tmp_path):
    context = multiprocessing.get_context("fork")
    start, done = context.Event(), context.Queue()
    words = (tmp_path / "out", start, done)
    running = [context.Process(target=race, args=words) for _ in range(8)]
    for process in running:
        process.start()
    start.set()
    outcomes = [done.get(timeout=30) for _ in running]
    for process in running:
        process.join()
    assert sum(outcomes) == 1
    assert names(tmp_path) == ["out"]


def test_leftovers_of_ended_processes_go_and_those_of_living_ones_stay(tmp_path):
    dead = dead_process()
    write(tmp_path, **{f".part-{dead}-abc-out__half": "x", f".part-{dead}-abc-f": "x"})
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        kept = f".part-{living.pid}-abc-other"
        elsewhere = f".part-{dead}-000000abcdef-third"  # of another machine
        write(tmp_path, **{f"{kept}__half": "x", f"{elsewhere}__half": "x"})
        with files.new_folder(tmp_path / "out"):
            pass
        assert names(tmp_path) == sorted({"out", kept, elsewhere})
        for name, who in (
            ("other", f"process {living.pid};"),
            ("third", f"process {dead} on another machine;"),
        ):
            with (
                pytest.raises(BadInput, match=f"{who} wait for it.* remove"),
                files.new_folder(tmp_path / name),
            ):
                pass
    finally:
        living.communicate(b"\n")


def test_a_killed_writer_leaves_no_claim(tmp_path):
    code = """
        import sys, time
        from pathlib import Path
        from zoo.core.files import new_folder
        with new_folder(Path(sys.argv[1])) as part:
            print(part, flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path / "out"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    part = Path(process.stdout.readline().strip())
    assert part.is_dir()
    process.kill()
    process.communicate()
    with files.new_folder(tmp_path / "out") as new:
        write(new, a="1")
    assert tree(tmp_path) == {"out/a": "1"}
    assert not part.exists()


@pytest.mark.parametrize("existing", [False, True])
def test_a_folder_is_swapped_for_a_finished_one(tmp_path, existing):
    write(tmp_path, new__a="new")
    if existing:
        write(tmp_path, place__old="old")
    files.swap_folder(tmp_path / "new", tmp_path / "place")
    assert tree(tmp_path) == {"place/a": "new"}


def test_a_swap_that_fails_puts_the_old_folder_back(tmp_path):
    write(tmp_path, place__old="old")
    with pytest.raises(FileNotFoundError):
        files.swap_folder(tmp_path / "missing", tmp_path / "place")
    assert tree(tmp_path) == {"place/old": "old"}
