import os
import time
import zipfile

import pytest

from zoo.package.archive import (
    read_members,
    replace_folder,
    sha256,
    temporary_sibling,
    write_zip,
    zip_folder,
)


def test_archives_depend_on_their_contents_only(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, names in ((one, "ab"), (two, "ba")):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name * 100)
        os.utime(folder / "a", (time.time() - 1e6,) * 2)

    zip_folder(one, tmp_path / "one.zip")
    zip_folder(two, tmp_path / "two.zip")

    assert sha256(tmp_path / "one.zip") == sha256(tmp_path / "two.zip")
    assert read_members(tmp_path / "one.zip") == {"a": b"a" * 100, "b": b"b" * 100}


def test_a_name_with_a_slash_becomes_a_folder(tmp_path):
    write_zip(tmp_path / "x.zip", {"variables/": b"", "saved_model.pb": b"graph"})

    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.getinfo("variables/").is_dir()
        archive.extractall(tmp_path / "out")
    assert (tmp_path / "out" / "variables").is_dir()
    assert (tmp_path / "out" / "saved_model.pb").read_bytes() == b"graph"


def test_sha256_of_a_known_text(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "file.npy"
    path.write_text("old")

    def fail():
        with temporary_sibling(path) as part:
            part.write_text("half")
            assert part.suffix == ".npy"
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()

    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.npy"]
    with temporary_sibling(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"


def test_a_folder_takes_the_place_of_another(tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / folder.name).touch()

    replace_folder(new, old)

    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert [p.name for p in old.iterdir()] == ["new"]
