"""Rules that a description must obey so that every consumer computes the same.

Pure functions of the parsed ``rdf.yaml``; each returns what is wrong, one sentence
per finding.
"""

from typing import Any

from zoo.package.describe import FORMAT_VERSION

Rdf = dict[str, Any]


def plain_style(rdf: Rdf) -> list[str]:
    """Return where a description is not in the style that all consumers read.

    Examples
    --------
    >>> plain_style({"format_version": "0.5.12", "type": "model"})[0]
    'format_version is 0.5.12, the Java library reads up to 0.5.10'
    """
    found: list[str] = []
    if rdf.get("format_version") != FORMAT_VERSION:
        found.append(
            f"format_version is {rdf.get('format_version')}, the Java library reads "
            f"up to {FORMAT_VERSION}"
        )
    if not isinstance(rdf.get("documentation"), str):
        found.append("documentation must be a plain file name")
    covers = rdf.get("covers")
    if not isinstance(covers, list) or not all(isinstance(c, str) for c in covers):
        found.append("covers must be a list of plain file names")
    elif not covers:
        found.append("there is no cover")
    if not isinstance(rdf.get("license"), str):
        found.append("license must be an SPDX identifier")
    if not rdf.get("id"):
        found.append("id is missing; released versions of deepImageJ need one")
    if _mentions(rdf, "github_user"):
        found.append("github_user makes validation need a network")
    for end, steps in (("inputs", "preprocessing"), ("outputs", "postprocessing")):
        tensors = rdf.get(end) or []
        if len(tensors) != 1:
            found.append(f"{len(tensors)} {end}; consumers run one")
        for tensor in tensors:
            found += _tensor_rules(
                tensor, tensor.get(steps) or [], output=end[0] == "o"
            )
    found += _weights_rules(rdf.get("weights") or {})
    return found


def java_arithmetic(rdf: Rdf) -> list[str]:
    """Return where the specification and the Java library disagree about sizes.

    The specification computes ``in * in.scale / out.scale + offset``, the Java
    library of deepImageJ and Icy ``in * out.scale + 2 * offset``; it takes the halo
    at the input to be ``(halo + offset) / out.scale``.
    """
    found: list[str] = []
    inputs = {t["id"]: {a["id"]: a for a in t["axes"]} for t in rdf["inputs"]}
    for tensor in rdf["outputs"]:
        for axis in tensor["axes"]:
            size = axis.get("size")
            if axis.get("type") != "space" or not isinstance(size, dict):
                continue
            source = inputs.get(size.get("tensor_id"), {}).get(size.get("axis_id"))
            if source is None:
                found.append(f"{axis['id']}: its size refers to no input axis")
                continue
            found += _axis_rules(axis, source, size.get("offset", 0))
    return found


def sizes(axis: dict[str, Any]) -> list[int]:
    """Return the first sizes that an input axis may have, px.

    Examples
    --------
    >>> sizes({"size": {"min": 8, "step": 4}})
    [8, 12]
    """
    size = axis.get("size")
    if isinstance(size, dict) and "min" in size:
        return [size["min"], size["min"] + size["step"]]
    return [size] if isinstance(size, int) else []


def _axis_rules(axis: dict[str, Any], source: dict[str, Any], offset: int) -> list[str]:
    name = axis["id"]
    into, out = float(source.get("scale", 1)), float(axis.get("scale", 1))
    halo = axis.get("halo", 0)
    found: list[str] = []
    if axis.get("unit") is not None or source.get("unit") is not None:
        found.append(f"{name}: units break the Java library's use of scales as factors")
    for size in sizes(source):
        specified = int(size * into / out + offset)
        java = size * out + 2 * offset
        if specified != java:
            found.append(
                f"{name}: an input of {size} px gives {specified} px by the "
                f"specification and {java:g} px in Java"
            )
        by_java, by_core = (halo + offset) / out, halo * out / into
        if by_java != int(by_java) or by_core != int(by_core):
            found.append(
                f"{name}: a halo of {halo} px at the output is {by_java:g} px (Java) "
                f"and {by_core:g} px (specification) at the input, not a whole number"
            )
        elif by_java != by_core:
            found.append(
                f"{name}: the halo is {by_java:g} px in Java, {by_core:g} px else"
            )
        if size <= 2 * by_java:
            found.append(
                f"{name}: {size} px is too small for a halo of {by_java:g} px on both "
                "sides"
            )
    return found


def _tensor_rules(
    tensor: dict[str, Any], steps: list[dict[str, Any]], *, output: bool
) -> list[str]:
    found: list[str] = []
    kinds = {axis.get("id"): axis.get("type") for axis in tensor.get("axes", [])}
    if kinds.get("channel") != "channel":
        found.append(f"{tensor.get('id')} has no channel axis; tiling would lose it")
    where = "output" if output else "input"
    for step in steps:
        kwargs = step.get("kwargs") or {}
        name = step.get("id")
        if name == "clip" and not {"min", "max"} <= set(kwargs):
            found.append(f"{where}: clip needs both ends in the Java library")
        if name == "zero_mean_unit_variance" and not {"y", "x", "channel"} <= set(
            kwargs.get("axes") or ()
        ):
            found.append(
                f"{where}: zero_mean_unit_variance must run over y, x and channel; "
                "the Java library is wrong per channel"
            )
        if name in ("softmax", "scale_mean_variance", "custom"):
            found.append(f"{where}: the Java library does not have {name}")
        if name == "scale_range" and (
            kwargs.get("min_percentile", 0) not in (0, 0.0)
            or kwargs.get("max_percentile", 100) not in (100, 100.0)
        ):
            found.append(
                f"{where}: the Java library does not interpolate percentiles; only "
                "0 and 100 give the same numbers"
            )
    return found


def _weights_rules(entries: dict[str, Any]) -> list[str]:
    found: list[str] = []
    roots = [name for name, entry in entries.items() if not entry.get("parent")]
    if len(roots) != 1:
        found.append(f"one weights entry has no parent, here {len(roots)} have none")
    opset = entries.get("onnx", {}).get("opset_version", 17)
    if opset not in (15, 16, 17):
        found.append(f"ONNX opset {opset}; Fiji's runtimes take 15 to 17")
    if "keras_hdf5" in entries:
        found.append("keras_hdf5 cannot hold operations between layers")
    if "external_data" in entries.get("onnx", {}):
        found.append("ONNX weights must be one file")
    return found


def _mentions(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_mentions(v, key) for v in value.values())
    if isinstance(value, list):
        return any(_mentions(item, key) for item in value)
    return False
