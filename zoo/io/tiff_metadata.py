"""Pixel size and channel names that a TIFF file states."""

import html
import math
import re
from collections.abc import Iterator
from typing import Any

from tifffile import TiffFile

from zoo.io.readers import Found, plausible_nm, plausible_step_nm, unit_nm


def add_metadata(found: Found, tif: TiffFile, imagej: dict[str, Any]) -> None:
    """Read pixel size and channel names; the most specific statement wins."""
    size = None
    nm = unit_nm(str(imagej.get("unit", ""))) if imagej else None
    if nm is not None:
        found.z_step_nm = plausible_step_nm(nm * _number(imagej.get("spacing")))
    if tif.is_ome and (xml := tif.ome_metadata):
        size, found.z_step_nm, found.channel_names = _from_ome(xml)
        found.pixel_size_source = "OME metadata"
    if size is None and nm:
        size = _from_resolution(tif, nm)
        found.pixel_size_source = "ImageJ metadata"
    if size is None and not imagej.get("unit"):
        tag = tif.pages.first.tags.get("ResolutionUnit")
        # the standard's default unit is the inch
        nm = {2: 25.4e6, 3: 1e7}.get(2 if tag is None else int(tag.value))
        size = None if nm is None else _from_resolution(tif, nm)
        found.pixel_size_source = "TIFF resolution"
    found.pixel_size_nm = size
    if size is None:
        found.pixel_size_source = "missing"


def _from_resolution(tif: TiffFile, nm: float) -> tuple[float, float] | None:
    """Return the pixel size (y, x) from the tags that count pixels per unit."""
    edges: list[float] = []
    for tag_name in ("YResolution", "XResolution"):
        tag = tif.pages.first.tags.get(tag_name)
        if tag is None:
            return None
        numerator, denominator = tag.value
        if not numerator or not denominator:
            return None
        edges.append(nm * denominator / numerator)
    return plausible_nm(edges[0], edges[1])


def _from_ome(
    xml: str,
) -> tuple[tuple[float, float] | None, float | None, tuple[str, ...]]:
    """Return pixel size (y, x), z step and channel names of OME-XML's first image.

    Only two kinds of element are wanted, so the text, which grows with the number of
    frames, is searched instead of parsed.
    """
    pixels = next(elements(xml, "Pixels"), None)
    if pixels is None:
        return None, None, ()
    rest = xml[xml.find(pixels) + len(pixels) :]
    body = re.split(r"Pixels\s*>", rest, maxsplit=1)[0]
    names: list[str] = []
    for channel in elements(body, "Channel"):
        name = attribute(channel, "Name")
        if name:
            names.append(name)
    edges: list[float] = []
    for axis in "ZYX":
        nm = unit_nm(attribute(pixels, f"PhysicalSize{axis}Unit") or "µm")
        text = attribute(pixels, f"PhysicalSize{axis}")
        edges.append(_number(text) * (nm or math.nan))
    z_nm = plausible_step_nm(edges[0])
    return plausible_nm(edges[1], edges[2]), z_nm, tuple(names)


def _number(value: Any) -> float:
    """Return a number that metadata state, NaN for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def elements(xml: str, name: str) -> Iterator[str]:
    """Yield the opening tags of a name, in time proportional to the text.

    Examples
    --------
    >>> list(elements('<OME:Pixels SizeT="2"><Plane/></OME:Pixels>', "Pixels"))
    ['<OME:Pixels SizeT="2">']
    """
    end = 0
    while (start := xml.find("<", end)) >= 0:
        end = xml.find(">", start)
        if end < 0:
            return
        words = xml[start + 1 : end].split(None, 1)
        tag = words[0].rstrip("/") if words else "/"
        if tag[:1] != "/" and tag.rpartition(":")[2] == name:
            yield xml[start : end + 1]


def attribute(element: str, name: str) -> str | None:
    """Return the value of an attribute of an opening tag, None if it has none."""
    match = re.search(rf"\s{name}\s*=\s*(\"[^\"]*\"|'[^']*')", element)
    return html.unescape(match.group(1)[1:-1]) if match else None
