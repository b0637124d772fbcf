import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.io.tables import (
    COLUMNS,
    LocalizationWriter,
    read_localizations,
    write_localizations,
)


def table(n=50, seed=0, columns=tuple(COLUMNS)):
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(0, 6400, n).round(2) for name in columns}
    values["frame"] = rng.integers(1, 2000, n)
    if "flags" in values:
        values["flags"] = rng.integers(0, 8, n)
    return Localizations(**values)


def same(found, expected):
    assert found.columns == expected.columns
    for name in expected.columns:
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=0, atol=1e-9
        )
    assert found.frame.dtype.kind == "i"


@pytest.mark.parametrize(
    "columns", [("x_nm", "y_nm"), ("x_nm", "y_nm", "response"), tuple(COLUMNS)]
)
def test_round_trip(tmp_path, columns):
    expected = table(columns=columns)
    write_localizations(tmp_path / "a.csv", expected)
    same(read_localizations(tmp_path / "a.csv"), expected)
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


THUNDERSTORM = {
    "frame": "frame",
    "x_nm": "x [nm]",
    "y_nm": "y [nm]",
    "z_nm": "z [nm]",
    "sigma_nm": "sigma [nm]",
    "photons": "intensity [photon]",
    "background_photons": "offset [photon]",
    "noise_photons": "bkgstd [photon]",
    "uncertainty_nm": "uncertainty [nm]",
}
"""Its columns of two-dimensional tables, in its order."""


def test_header_is_thunderstorms_to_the_letter(tmp_path):
    columns = (*THUNDERSTORM, "response")
    write_localizations(tmp_path / "a.csv", table(2, columns=columns))
    lines = (tmp_path / "a.csv").read_bytes().split(b"\n")
    names = ["id", *THUNDERSTORM.values(), "response"]
    assert lines[0].decode() == ",".join(f'"{name}"' for name in names)
    assert lines[1].startswith(b"1,")
    assert lines[2].startswith(b"2,")
    assert lines[3] == b""


def test_positions_have_at_least_two_decimals(tmp_path):
    one = Localizations(x_nm=np.array([1234.567]), y_nm=np.array([0.125]))
    write_localizations(tmp_path / "a.csv", one)
    row = next(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert row == {"id": "1", "frame": "1", "x [nm]": "1234.567", "y [nm]": "0.125"}


def test_empty_table_keeps_its_columns(tmp_path):
    empty = Localizations.empty(("x_nm", "y_nm", "frame", "response"))
    write_localizations(tmp_path / "a.csv", empty)
    found = read_localizations(tmp_path / "a.csv")
    assert len(found) == 0
    assert found.columns == empty.columns


def test_pieces_equal_the_whole(tmp_path):
    whole = table(101)
    write_localizations(tmp_path / "whole.csv", whole)
    with LocalizationWriter(tmp_path / "pieces.csv") as writer:
        writer.write(Localizations.empty())
        for start in range(0, 101, 20):
            writer.write(whole.select(np.arange(start, min(start + 20, 101))))
            writer.write(Localizations.empty())
    assert writer.count == 101
    assert (tmp_path / "pieces.csv").read_text() == (tmp_path / "whole.csv").read_text()


def test_writer_leaves_a_stream_open_and_writes_at_once():
    stream = io.StringIO()
    with LocalizationWriter(stream, ("x_nm", "y_nm", "photons")) as writer:
        assert (
            stream.getvalue() == '"id","frame","x [nm]","y [nm]","intensity [photon]"\n'
        )
        writer.write(table(3))
        assert stream.getvalue().count("\n") == 4
    assert not stream.closed


def test_writer_without_rows_writes_a_header():
    stream = io.StringIO()
    with LocalizationWriter(stream) as writer:
        writer.write(Localizations.empty())
    assert stream.getvalue() == '"id","frame","x [nm]","y [nm]"\n'


def test_writer_refuses_what_does_not_fit():
    with LocalizationWriter(io.StringIO()) as writer:
        writer.write(table(3))
        with pytest.raises(ValueError, match="the table has no z_nm"):
            writer.write(table(3, columns=("x_nm", "y_nm")))
    with pytest.raises(ValueError, match="unknown columns colour"):
        LocalizationWriter(io.StringIO(), ("colour",))


def test_a_failed_write_leaves_the_old_table(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    write_localizations(path, table(3))
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalizationWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_localizations(path, table(5))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("old", "column"),
    [("confidence", "response"), ("uncertainty_xy [nm]", "uncertainty_nm")],
)
def test_names_of_earlier_versions_are_read(tmp_path, old, column):
    text = f'"frame","x [nm]","y [nm]","{old}"\n1,50,75,0.875\n'
    (tmp_path / "old.csv").write_text(text, encoding="utf-8")
    found = read_localizations(tmp_path / "old.csv")
    assert getattr(found, column).tolist() == [0.875]
    write_localizations(tmp_path / "new.csv", found)
    assert "confidence" not in (tmp_path / "new.csv").read_text(encoding="utf-8")


def test_tables_without_z_name_the_uncertainty_as_picasso_wants_it_too(tmp_path):
    columns = ("frame", "x_nm", "y_nm", "uncertainty_nm", "response")
    flat = table(2, columns=columns)
    write_localizations(tmp_path / "flat.csv", flat)
    header, first, _ = (tmp_path / "flat.csv").read_text().splitlines()
    assert header.endswith('"uncertainty [nm]","uncertainty_xy [nm]","response"')
    assert first.split(",")[4] == first.split(",")[5]
    again = read_localizations(tmp_path / "flat.csv")
    np.testing.assert_allclose(again.uncertainty_nm, flat.uncertainty_nm, atol=1e-3)
    write_localizations(tmp_path / "deep.csv", table(2, columns=(*columns, "z_nm")))
    assert "uncertainty_xy" not in (tmp_path / "deep.csv").read_text()


HEADERS = {
    "thunderstorm": '"id","frame","x [nm]","y [nm]","intensity [photon]"\n'
    "1,3,100.5,200.25,900\n2,4,1,2,3\n",
    "one pair of quotes": '"id,""frame"",""x [nm]"",""y [nm]"",""intensity [photon]"""'
    "\n1,3,100.5,200.25,900\n2,4,1,2,3\n",
    "challenge": "Ground-truth,frame,xnano,ynano,intensity \n"
    "1,3,100.5,200.25,900\n2,4,1,2,3\n",
    "reordered": "y [nm],intensity [photon],x [nm],frame\n"
    "200.25,900,100.5,3\n2,3,1,4\n",
    "semicolons": "frame;x [nm];y [nm];photons\n3;100.5;200.25;900\n4;1;2;3\n",
    "tabs": "frame\tx [nm]\ty [nm]\tphotons\n3\t100.5\t200.25\t900\n4\t1\t2\t3\n",
    "windows": "\ufefffx,frame,x [nm],y [nm],photons\r\n0,3,100.5,200.25,900\r\n"
    "0,4,1,2,3\r\n",
    "micrometres": "frame,x [um],y [µm],photons\n3,0.1005,0.20025,900\n4,1e-3,2e-3,3\n",
    "upper case, round brackets": "Frame,X (nm),Y (nm),Photons\n"
    "3,100.5,200.25,900\n4,1,2,3\n",
    "quoted numbers": 'frame,x [nm],y [nm],photons\n"3","100.5","200.25","900"\n'
    '"4","1","2","3"\n',
    "frames with a point": "frame,x [nm],y [nm],photons\n3.0,100.5,200.25,900\n"
    "4.0,1,2,3\n",
    "unknown columns hold words": "frame,x [nm],y [nm],photons,note\n"
    "3,100.5,200.25,900,good\n4,1,2,3,bad\n",
    "blank lines at the end": "frame,x [nm],y [nm],photons\n3,100.5,200.25,900\n"
    "4,1,2,3\n\n\n",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_every_header_is_understood(tmp_path, kind):
    path = tmp_path / "a.csv"
    path.write_bytes(HEADERS[kind].encode())
    expected = Localizations(
        x_nm=np.array([100.5, 1.0]),
        y_nm=np.array([200.25, 2.0]),
        frame=np.array([3, 4]),
        photons=np.array([900.0, 3.0]),
    )
    same(read_localizations(path), expected)


def test_full_thunderstorm_table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        '"id","frame","x [nm]","y [nm]","z [nm]","sigma1 [nm]","sigma2 [nm]",'
        '"intensity [photon]","offset [photon]","bkgstd [photon]","chi2",'
        '"uncertainty [nm]","detections"\n'
        "1.0,2.0,10,20,-300,150,160,1000,12,3,99,7.5,2\n"
    )
    found = read_localizations(path)
    assert found.columns == (
        "x_nm", "y_nm", "frame", "z_nm", "photons", "background_photons",
        "noise_photons", "uncertainty_nm", "chi_square",
    )  # fmt: skip
    assert found.z_nm is not None
    assert found.uncertainty_nm is not None
    assert (found.z_nm[0], found.uncertainty_nm[0]) == (-300, 7.5)


def test_counts_of_a_camera_are_not_photons(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("frame,x [nm],y [nm],intensity [AD]\n1,2,3,4\n")
    assert read_localizations(path).photons is None


def test_without_frames_all_is_frame_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x [nm],y [nm]\n1,2\n3,4\n")
    assert read_localizations(path).frame.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no table"),
        ("\n\n", "holds no table"),
        ("frame,x [nm]\n1,2\n", r"has no column y \[nm\]; its columns are frame"),
        ("1,2,3,4\n5,6,7,8\n", "has no header line"),
        ("frame,x [px],y [px]\n1,2,3\n", "is in pixels"),
        ("frame,x [inch],y [nm]\n1,2,3\n", "unit of 'x \\[inch\\]' is not known"),
        ("frame,x [nm],y [nm]\n0,2,3\n", "frames count from 1"),
        ("frame,x [nm],y [nm]\n1.5,2,3\n", "frame of row 1 is 1.5"),
        ("frame,x [nm],y [nm]\n1,2,3\n1,two,3\n", "no number: could not convert"),
        ("frame,x [nm],y [nm]\n1,2,3\n1,2\n", "no number: "),
        ("frame,x [nm],y [nm]\n1,2,3\n1,nan,3\n", r"x \[nm\] of row 2 is not a number"),
    ],
)
def test_bad_tables_get_one_line(tmp_path, text, words):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=words) as caught:
        read_localizations(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_table(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        read_localizations(tmp_path / "a.csv")
    with pytest.raises(BadInput, match="is a folder"):
        read_localizations(tmp_path)


def test_importing_tables_loads_neither_tifffile_nor_pandas():
    code = "import sys, zoo.io.tables; print({'tifffile', 'pandas'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert run.stdout.strip() == "set()"
