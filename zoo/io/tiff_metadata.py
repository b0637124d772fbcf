"""Pixel size and channel names that a TIFF file states."""

import html
import math
import re
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
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    if pixels is None:
        return None, None, ()
    end = re.search(r"</(?:\w+:)?Pixels\s*>", xml)
    body = xml[pixels.end() : end.start() if end else len(xml)]
    names: list[str] = []
    for channel in re.finditer(r"<(?:\w+:)?Channel\b[^>]*>", body):
        name = _attribute(channel.group(), "Name")
        if name:
            names.append(name)
    edges: list[float] = []
    for axis in "ZYX":
        nm = unit_nm(_attribute(pixels.group(), f"PhysicalSize{axis}Unit") or "µm")
        text = _attribute(pixels.group(), f"PhysicalSize{axis}")
        edges.append(_number(text) * (nm or math.nan))
    z_nm = plausible_step_nm(edges[0])
    return plausible_nm(edges[1], edges[2]), z_nm, tuple(names)


def _number(value: Any) -> float:
    """Return a number that metadata state, NaN for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _attribute(element: str, name: str) -> str | None:
    match = re.search(rf"\s{name}\s*=\s*(\"[^\"]*\"|'[^']*')", element)
    return html.unescape(match.group(1)[1:-1]) if match else None
