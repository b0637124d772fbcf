"""Texts of strangers are searched in time proportional to their length.

A search that is quadratic needs an hour for what is read here at once, so it shows by
itself; where the steps are Python's, they are counted.
"""

import sys

import pytest

from zoo.cards import without_comments
from zoo.core.errors import BadInput
from zoo.io.tables import read_localizations
from zoo.io.tiff_metadata import attribute, elements
from zoo.io.tiff_sizes import check_ome
from zoo.package.document import fill, missing_sections

MILLION = 2**20


def steps(function, *arguments):
    """Return how many lines of Python a call runs."""
    count = 0

    def trace(*_):
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return count


OME = ["<", "<Pixels ", "<Pixels/>", "<OME:Pixels SizeT='1'", "Pixels ", "< \n", ">"]
COMMENTS = ["<!--", "<!-- a -->", "-->", "<!-- a --> <!--", "<!---->\n"]


@pytest.mark.parametrize("word", OME)
def test_elements_are_found_in_linear_time(word):
    def found(text):
        return list(elements(text, "Pixels"))

    short, long = (steps(found, word * n) for n in (1000, 2000))
    assert long <= 2 * short + 10
    found(word * (MILLION // len(word)))


@pytest.mark.parametrize("word", COMMENTS)
def test_comments_are_found_in_linear_time(word):
    short, long = (steps(without_comments, word * n) for n in (1000, 2000))
    assert long <= 2 * short + 10
    without_comments(word * (MILLION // len(word)))


def test_comments_are_left_out():
    text = "a<!-- b\n-->\nc <!--->d--> e\n<!-- f -->\n\n<!-- g"
    assert without_comments(text) == "ac  e\n\n<!-- g"


@pytest.mark.parametrize(
    "element",
    [
        "<Pixels" + " SizeT" * (MILLION // 6),
        "<Pixels SizeT" + " " * MILLION + "x",
        "<Pixels" + " SizeT='" * (MILLION // 8),
        "<Pixels" + ' SizeT=" ' * (MILLION // 9) + "'",
        "<Pixels" + "\n" * MILLION,
    ],
)
def test_attributes_are_found_in_linear_time(element):
    attribute(element, "SizeT")


def test_ome_metadata_are_checked_in_linear_time(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"0")
    for word in ('<Pixels SizeT="1"/>', "<TiffData IFD='", "<ModuloAlongT Start='1'/>"):
        check_ome(word * (MILLION // len(word)), path, smallest=1)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- generated:a -->\n" * (MILLION // 21),
        "<!-- generated:a -->\n" + "<" * MILLION,
        "<!-- generated:a -->\n" + "<!-- " * (MILLION // 5),
        "<!-- generated:" + "a" * MILLION,
    ],
)
def test_generated_parts_are_found_in_linear_time(text):
    assert fill(text, {"a": "x"}) == text


def test_generated_parts_hold_anything_but_another():
    begin, end = "<!-- generated:a -->\n", "<!-- end -->"
    text = f"{begin}{begin}<b> < <!-- c -->\n{end} {end}"
    assert fill(text, {"a": "x"}) == f"{begin}{begin}x\n{end} {end}"


@pytest.mark.parametrize(
    "text", ["# a" + " " * MILLION + "b", "#" * MILLION, "# " * (MILLION // 2)]
)
def test_headings_are_found_in_linear_time(text):
    assert len(missing_sections(text)) == len(missing_sections(""))


def test_headings_are_those_of_markdown():
    assert "Intended use" not in missing_sections("## Intended use  \n")
    assert "Limits" not in missing_sections("#\tlimits")
    assert "Limits" in missing_sections("##Limits\n text # Limits")


@pytest.mark.parametrize("name", ["x" + " " * MILLION + "y", "x [" + "(" * MILLION])
def test_names_of_columns_are_read_in_linear_time(tmp_path, name):
    path = tmp_path / "a.csv"
    path.write_text(f"{name},frame\n1,1\n", encoding="utf-8")
    with pytest.raises(BadInput):
        read_localizations(path)
