"""Descriptions of bioimage.io models, formats 0.5 and 0.4, seen in one way.

A tensor is given back as format 0.5 writes it, as plain dictionaries: ``id``, ``axes``
(each with ``id``, ``type`` and, where they apply, ``size``, ``scale``, ``halo``),
``test_tensor`` and ``sample_tensor`` (``source`` and perhaps ``sha256``), and
``preprocessing`` or ``postprocessing`` (steps with ``id`` and ``kwargs``).  In that
format an output axis whose size refers to an input axis has
``size * input scale / output scale + offset`` pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from zoo.core.axes import AXIS_NAMES, letters
from zoo.core.errors import BadPackage

NAMES = ("rdf.yaml", "bioimageio.yaml")
"""Names of the file that describes a model, in the order they are looked for."""

MAX_BYTES = 2**20
"""Largest size of a description."""
MAX_NODES = 100_000
"""Most values in a description, with all references to others written out."""
MAX_DEPTH = 100
"""Deepest nesting in a description."""
MAX_DIGITS = 1_000
"""Longest number in a description."""

_FILE_KEYS = frozenset(
    {
        "source",
        "documentation",
        "covers",
        "files",
        "test_inputs",
        "test_outputs",
        "sample_inputs",
        "sample_outputs",
    }
)
Tensor = dict[str, Any]
_TYPES = {"b": "batch", "c": "channel", "t": "time", "i": "index"}


def read_description(path: Path) -> dict[str, Any]:
    """Read the description of a model.

    Raises
    ------
    BadPackage
        If it is no YAML, expands beyond the limits above, or is not of a model in
        format 0.4 or 0.5.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadPackage(
            f"{path} is larger than {MAX_BYTES // 2**20} MiB; no description of a "
            "model is"
        )
    return parse_description(path.read_bytes(), str(path))


def parse_description(content: bytes, path: str) -> dict[str, Any]:
    """Read the text of a description; `path` is what messages call it.

    Raises
    ------
    BadPackage
        As `read_description`.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        fault = _excess(content, loader)
        found: Any = None if fault else yaml.load(content, Loader=loader)  # a safe one
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BadPackage(
            f"{path} is not valid YAML; get the package again ({reason})"
        ) from error
    if fault:
        raise BadPackage(
            f"{path} was not read: it {fault}; get the package from a source you trust"
        )
    if not isinstance(found, dict):
        raise BadPackage(f"{path} does not describe a model; get the package again")
    rdf = cast(dict[str, Any], found)
    version = str(rdf.get("format_version", ""))
    if rdf.get("type", "model") != "model":
        raise BadPackage(f"{path} describes a {rdf['type']}, not a model")
    if version.split(".")[:2] not in (["0", "4"], ["0", "5"]):
        raise BadPackage(
            f"{path} has format version {version or 'unknown'}; 0.4 and 0.5 are read"
        )
    for key in ("inputs", "outputs", "weights"):
        if not rdf.get(key) or not isinstance(rdf[key], dict | list):
            raise BadPackage(f"{path} states no {key}; get the package again")
    weights: Any = rdf["weights"]
    if not isinstance(weights, dict) or not all(
        isinstance(entry, dict) for entry in cast(dict[Any, Any], weights).values()
    ):
        raise BadPackage(
            f"{path} does not state its weights by format; get the package again"
        )
    return rdf


def _excess(content: bytes, loader: Any) -> str | None:
    """Say what makes a text expand beyond measure, None if nothing does.

    The values that YAML would make are counted without making them: an anchor is as
    large as what it names, and every alias adds that size.
    """
    if len(content) > MAX_BYTES:
        return f"is larger than {MAX_BYTES // 2**20} MiB"
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    events: Iterator[Any] = cast(Any, yaml).parse(content, Loader=loader)
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                return f"refers to {event.anchor!r} within {event.anchor!r}"
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            value = str(event.value)
            if len(value) > MAX_DIGITS and not set(value) - set("0123456789_:+-."):
                return f"holds a number of {len(value)} digits"
            if event.anchor is not None:
                sizes[event.anchor] = 1
            total += 1
        if total > MAX_NODES:
            return f"describes more than {MAX_NODES} values"
        if len(open_nodes) > MAX_DEPTH:
            return f"is nested more than {MAX_DEPTH} deep"
    return None


def file_of(entry: Any) -> tuple[str, str | None]:
    """Return file and SHA-256 of an entry that is a name or ``{source, sha256}``."""
    if isinstance(entry, Mapping):
        fields = cast(Mapping[str, Any], entry)
        return str(fields.get("source", "")), fields.get("sha256")
    return str(entry), None


def named_files(rdf: Any) -> list[str]:
    """Return the files that a description names, addresses left out.

    Examples
    --------
    >>> named_files({"covers": ["a.png"], "weights": {"onnx": {"source": "b.onnx"}},
    ...              "documentation": "https://example.org/README.md"})
    ['a.png', 'b.onnx']
    """
    found: list[str] = []
    if isinstance(rdf, list):
        for item in cast(list[Any], rdf):
            found += named_files(item)
    elif isinstance(rdf, dict):
        for key, value in cast(dict[str, Any], rdf).items():
            if key == "config":  # of other programs, whose words mean anything
                continue
            if key in _FILE_KEYS:
                entries = cast(list[Any], value) if isinstance(value, list) else [value]
                found += [entry for entry in entries if isinstance(entry, str)]
            found += named_files(value)
    return [name for name in dict.fromkeys(found) if "://" not in name]


def axis_letters(tensor: Tensor) -> str:
    """Return the axis letters of a tensor.

    Raises
    ------
    ValueError
        If it has an axis without a letter, such as an index.
    """
    return letters([str(axis["id"]) for axis in tensor["axes"]])


def tensors(rdf: dict[str, Any], kind: str) -> list[Tensor]:
    """Return the tensors of a description, ``kind`` being inputs or outputs.

    Raises
    ------
    BadPackage
        If they break the rules of their format.

    Examples
    --------
    >>> rdf = {"test_inputs": ["in.npy"], "inputs": [{"name": "a", "axes": "byxc",
    ...        "shape": [1, 64, 64, 1]}]}
    >>> axis_letters(tensors(rdf, "inputs")[0])
    'byxc'
    """
    found: list[Tensor] = rdf[kind]
    try:
        if all(isinstance(tensor["axes"], str) for tensor in found):
            read = [_from_04(rdf, kind, number) for number in range(len(found))]
        else:
            read = [_from_05(tensor) for tensor in found]
        for tensor in read:
            _check_steps(tensor)
        return read
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise BadPackage(
            f"the {kind} of {rdf.get('name', 'the model')!r} are not described as the "
            f"format rules; get the package again ({type(error).__name__}: {error})"
        ) from error


def _check_steps(tensor: Tensor) -> None:
    """Refuse processing that is not a list of named steps with arguments."""
    for key in ("preprocessing", "postprocessing"):
        for step in tensor.get(key) or ():
            name, kwargs = step.get("id"), step.get("kwargs")
            if not isinstance(name, str) or not isinstance(kwargs or {}, dict):
                raise ValueError(f"a step of its {key} has no name or no arguments")


def _from_05(tensor: Tensor) -> Tensor:
    axes = [{**axis, "id": axis.get("id") or axis["type"]} for axis in tensor["axes"]]
    steps: dict[str, Any] = {
        key: [{"kwargs": {}, **step} for step in tensor[key]]
        for key in ("preprocessing", "postprocessing")
        if tensor.get(key)
    }
    return {**tensor, "axes": axes, **steps}


def _from_04(rdf: dict[str, Any], kind: str, number: int) -> Tensor:
    old: Tensor = rdf[kind][number]
    axes: str = old["axes"]
    tensor: Tensor = {
        "id": old["name"],
        "axes": [
            _axis(letter, i, old.get("shape"), old.get("halo"))
            for i, letter in enumerate(axes)
        ],
        "data": {"type": old.get("data_type", "float32")},
    }
    for new in ("test", "sample"):
        files: Sequence[Any] = rdf.get(f"{new}_{kind}") or ()
        if number < len(files):
            tensor[f"{new}_tensor"] = {"source": file_of(files[number])[0]}
    for key in ("preprocessing", "postprocessing"):
        if old.get(key):
            tensor[key] = [_step(step, axes) for step in old[key]]
    return tensor


def _axis(letter: str, i: int, shape: Any, halo: Any) -> dict[str, Any]:
    """Return an axis of format 0.4 as 0.5 writes it; a batch is always free there."""
    axis: dict[str, Any] = {
        "id": AXIS_NAMES.get(letter, "index" if letter == "i" else letter),
        "type": _TYPES.get(letter, "space"),
    }
    if letter == "b":
        return axis
    if isinstance(shape, Mapping):
        sizes = cast(Mapping[str, Any], shape)
        if "min" in sizes:
            low, step = int(sizes["min"][i]), int(sizes["step"][i])
            axis["size"] = {"min": low, "step": step} if step else low
        else:
            factor, offset = sizes["scale"][i], sizes["offset"][i]
            if factor:
                tensor_id, _, other = str(sizes["reference_tensor"]).partition(".")
                axis["size"] = {
                    "tensor_id": tensor_id,
                    "axis_id": AXIS_NAMES.get(other or letter, other or letter),
                    "offset": int(2 * offset),
                }
                axis["scale"] = 1 / float(factor)
            else:
                axis["size"] = int(2 * offset)  # a new axis is written like this
    elif shape is not None:
        axis["size"] = int(shape[i])
    if letter == "c" and isinstance(axis.get("size"), int):
        axis["channel_names"] = [f"channel{n}" for n in range(axis.pop("size"))]
    if halo is not None and int(halo[i]):
        axis["halo"] = int(halo[i])
    return axis


def _step(step: dict[str, Any], tensor_axes: str) -> dict[str, Any]:
    """Return a processing step of format 0.4 as 0.5 writes it."""
    name: str = step["name"]
    kwargs: dict[str, Any] = dict(step.get("kwargs") or {})
    mode = kwargs.pop("mode", None)
    axes: Sequence[str] | None = kwargs.pop("axes", None)
    fixed = name == "zero_mean_unit_variance" and mode == "fixed"
    if fixed or name == "scale_linear":
        # 0.4 names the axes that share a value, 0.5 the one along which values differ
        along = [a for a in tensor_axes if axes is not None and a not in {*axes, "b"}]
        if len(along) > 1:
            raise ValueError(f"{name} leaves {len(along)} axes")
        if along:
            kwargs["axis"] = AXIS_NAMES.get(along[0], along[0])
        if fixed:
            name = "fixed_zero_mean_unit_variance"
            kwargs.pop("eps", None)
    elif axes is not None:
        whole = ["b", *axes] if mode == "per_dataset" and "b" not in axes else axes
        kwargs["axes"] = [AXIS_NAMES.get(axis, axis) for axis in whole]
    return {"id": name, "kwargs": kwargs}
