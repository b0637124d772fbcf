import os
import time
import zipfile

from zoo.core.files import sha256
from zoo.package.zips import read_members, write_zip, zip_folder


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
