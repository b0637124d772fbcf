"""Rebuild the graph that a Keras 2 file describes, from layers of Keras 3.

`make` decides what each layer becomes, so that a converter can put stock layers in the
place of those of a library that no longer exists.  Only layers of Keras are ever
created: nothing in the file is executed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras

from converters.mapping import MappingError

Make = Callable[[str, dict[str, Any], str], Callable[[Any], Any]]
"""``make(class_name, config, group) -> apply``; `group` is the outermost layer, under
whose name an HDF5 file keeps the weights."""

_MODELS = ("Functional", "Model", "Sequential")
_UNKNOWN_TO_KERAS3 = ("batch_input_shape", "dtype", "input_dim", "input_length")


def build_model(description: dict[str, Any], make: Make, group: str = "") -> Any:
    """Build a model from the ``model_config`` of a Keras 2 file.

    Parameters
    ----------
    description
        ``{"class_name": "Functional" or "Sequential", "config": ...}``; nested models
        and layers that are called several times are understood.
    make
        What turns the description of a layer into something to call.
    group
        Name of the outermost model that this one is nested in, if any.

    Returns
    -------
    model : keras.Model
        Functional model with fresh weights.

    Raises
    ------
    MappingError
        If the description is not of this kind, or `make` refuses a layer.
    """
    kind, config = description.get("class_name"), description.get("config")
    if kind not in _MODELS or config is None:
        raise MappingError(
            f"the file describes a {kind}; only Functional and Sequential models can "
            "be rebuilt"
        )
    if isinstance(config, list):  # how the first versions of Keras 2 wrote Sequential
        config = {"name": "sequential", "layers": config}
    if kind == "Sequential":
        return _sequential(config, make, group)
    return _functional(config, make, group)


def stock_layer(kind: str, config: dict[str, Any]) -> keras.Layer:
    """Create the layer of Keras 3 that has the name and options of one of Keras 2.

    Raises
    ------
    MappingError
        If Keras 3 has no such layer, it runs code from the file, or an option is
        unknown.
    """
    found = getattr(keras.layers, kind, None)
    if kind == "Lambda" or not (
        isinstance(found, type) and issubclass(found, keras.Layer)
    ):
        raise MappingError(
            f"layer {config.get('name')!r} is a {kind}, for which no equivalent in "
            "Keras 3 is known"
        )
    for module in _modules(config):
        if module.partition(".")[0] not in ("keras", "builtins"):
            raise MappingError(
                f"layer {config.get('name')!r} names code outside Keras ({module}), "
                "which is not loaded"
            )
    options = {k: v for k, v in config.items() if k not in _UNKNOWN_TO_KERAS3}
    if kind == "BatchNormalization" and isinstance(options.get("axis"), list):
        (options["axis"],) = options["axis"]
    if "Conv" in kind and options.get("groups") == 1:  # not an option of all in Keras 3
        del options["groups"]
    if kind == "LeakyReLU" and "alpha" in options:
        options["negative_slope"] = float(options.pop("alpha"))
    try:
        return found.from_config(options)
    except (TypeError, ValueError) as error:
        raise MappingError(
            f"layer {config.get('name')!r} ({kind}) has options that Keras 3 does not "
            f"accept: {str(error).strip().splitlines()[-1]}"
        ) from error


def _modules(value: Any) -> Iterator[str]:
    """Yield the modules that the options of a layer name, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get("module"), str):
            yield value["module"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _modules(item)


def _sequential(config: dict[str, Any], make: Make, group: str) -> Any:
    layers = list(config["layers"])
    first = layers[0]["config"]
    shape = first.get("batch_input_shape") or config.get("build_input_shape")
    if not shape:
        raise MappingError(
            f"model {config['name']!r} does not state the shape of its input; save it "
            "again after it has been called"
        )
    named = layers[0]["class_name"] == "InputLayer"
    start = tensor = keras.Input(shape[1:], name=first["name"] if named else None)
    layers = layers[named:]
    for layer in layers:
        piece = _piece(layer, make, group)
        tensor = _call(piece, tensor, layer["config"]["name"])
    return keras.Model(start, tensor, name=config["name"])


def _functional(config: dict[str, Any], make: Make, group: str) -> Any:
    layers = {layer["name"]: layer for layer in config["layers"]}
    tensors: dict[tuple[str, int], Any] = {}
    pending: list[tuple[str, int, list[Any]]] = []
    calls = _calls(config)
    pieces = {}
    for name, layer in layers.items():
        nodes = layer.get("inbound_nodes", [])
        if layer["class_name"] == "InputLayer":
            shape = layer["config"]["batch_input_shape"]
            tensors[name, 0] = keras.Input(shape[1:], name=name)
            continue
        if len(calls.get(name, ())) > len(nodes):
            raise MappingError(f"layer {name!r} is read more often than it is called")
        pieces[name] = _piece(layer, make, group)
        pending += [(name, number, list(node)) for number, node in enumerate(nodes)]

    def tensor_of(reference: Any) -> Any:
        name, node, output = reference[:3]
        value = tensors[name, calls[name].index(node)]
        return value[output] if isinstance(value, list | tuple) else value

    while pending:
        ready = [
            item
            for item in pending
            if all((r[0], calls[r[0]].index(r[1])) in tensors for r in item[2])
        ]
        if not ready:
            raise MappingError(f"layer {pending[0][0]!r} is not connected to an input")
        for name, number, references in ready:
            inputs = [tensor_of(reference) for reference in references]
            tensors[name, number] = _call(
                pieces[name], inputs[0] if len(inputs) == 1 else inputs, name
            )
        pending = [item for item in pending if item not in ready]
    ends = [
        [tensor_of(reference) for reference in _references(config[key])]
        for key in ("input_layers", "output_layers")
    ]
    start, end = (items[0] if len(items) == 1 else items for items in ends)
    return keras.Model(start, end, name=config["name"])


def _piece(layer: dict[str, Any], make: Make, group: str) -> Callable[[Any], Any]:
    kind, config = layer["class_name"], layer["config"]
    if kind in _MODELS:
        name = config["name"] if isinstance(config, dict) else "sequential"
        with keras.name_scope(name):
            return build_model(layer, make, group or name)
    return make(kind, config, group or config["name"])


def _call(piece: Callable[[Any], Any], inputs: Any, name: str) -> Any:
    try:
        return piece(inputs)
    except (TypeError, ValueError) as error:
        raise MappingError(
            f"layer {name!r} cannot follow what is before it: "
            f"{str(error).strip().splitlines()[0]}"
        ) from error


def _calls(config: dict[str, Any]) -> dict[str, list[int]]:
    """List the calls of each layer that are read, as the file numbers them.

    A nested model counts its own construction as call 0, so the numbers only rank.
    """
    read: dict[str, set[int]] = {}
    references = _references(config["input_layers"])
    references += _references(config["output_layers"])
    for layer in config["layers"]:
        for node in layer.get("inbound_nodes", []):
            if not isinstance(node, list):
                raise MappingError(
                    f"layer {layer['name']!r} is described as Keras 3 does it; load "
                    "the file with keras.models.load_model"
                )
            references += list(_checked(node, layer["name"]))
    for name, node, *_ in references:
        read.setdefault(name, set()).add(node)
    return {name: sorted(nodes) for name, nodes in read.items()}


def _checked(node: list[Any], name: str) -> Iterator[Any]:
    for reference in node:
        options = reference[3] if len(reference) > 3 else {}
        if any(value is not None for value in options.values()):
            raise MappingError(
                f"layer {name!r} is called with {', '.join(options)}, which cannot be "
                "rebuilt"
            )
        yield reference


def _references(entry: list[Any]) -> list[Any]:
    """Read ``input_layers`` or ``output_layers``, one reference or several."""
    return [entry] if entry and isinstance(entry[0], str) else list(entry)
