"""Models of Keras 2 with tensorflow-addons layers, rebuilt from layers of Keras 3.

tensorflow-addons ended in 2024 and does not run with Keras 3; checkpoints written with
it otherwise need an old environment.  What it added has exact equivalents:

=======================  ==========================================================
tensorflow-addons        becomes
=======================  ==========================================================
InstanceNormalization    GroupNormalization with one channel to a group
GroupNormalization       GroupNormalization
SpectralNormalization    SpectralNormalization, kernel and vector u moved together;
                         or, for inference, the wrapped layer with the stored kernel
WeightNormalization      the wrapped layer with its kernel folded to g · v / ‖v‖
GELU, ``Addons>gelu``    ``keras.ops.gelu``, approximate as the layer says
mish, hardshrink         activations ``mish`` and ``hard_shrink``
=======================  ==========================================================

References
----------
Weight normalisation: Salimans and Kingma 2016, doi:10.48550/arXiv.1602.07868.
Spectral normalisation: Miyato et al. 2018, doi:10.48550/arXiv.1802.05957.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from converters.keras2 import build_model, stock_layer
from converters.mapping import MappingError, Move, apply_moves
from converters.readers import Checkpoint, read_keras2

Gelu = Literal["approximate", "exact"]

_PREFIX = "Addons>"
_ACTIVATIONS = {"mish": "mish", "hardshrink": "hard_shrink"}
_RENAMED = {"vector_u": "sn_u"}


def load_tensorflow_addons(
    path: str | Path,
    *,
    config: dict[str, Any] | None = None,
    gelu: Gelu | None = None,
    unwrap_spectral: bool = False,
) -> keras.Model:
    """Load a Keras 2 ``.h5`` whose model uses tensorflow-addons layers.

    Parameters
    ----------
    path
        File from ``model.save`` or ``model.save_weights``.
    config
        The parsed ``model.to_json()``, for a file that holds weights only.
    gelu
        Which form a bare ``"gelu"`` in the file means.  TensorFlow 2.13 and later write
        this word for the function of tensorflow-addons (approximate) and for that of
        Keras (exact by default) alike, so the file cannot tell.
    unwrap_spectral
        Leave out the spectral normalisation and keep the wrapped layer with the stored
        kernel: the same inference, but the critic cannot be trained on.

    Returns
    -------
    model : keras.Model
        Uncompiled functional model of stock layers; its inference agrees with the
        original within float32 rounding.

    Raises
    ------
    BadInput
        If the file cannot be read.
    MappingError
        If a layer has no equivalent, the config is missing, the meaning of ``"gelu"``
        is not stated, or tensors and weights do not match one to one.
    """
    checkpoint = read_keras2(path)
    config = config or checkpoint.config
    if config is None:
        raise MappingError(
            f"{path} holds weights only; give the model's to_json() as config"
        )
    rebuilt = _Rebuilt(checkpoint, gelu, unwrap_spectral)
    model = build_model(config, rebuilt.make)
    apply_moves(model, checkpoint.tensors, rebuilt.moves(), left_out=rebuilt.left_out)
    return model


class _Rebuilt:
    """The layers made so far, and where the tensors of each are to go."""

    def __init__(
        self, checkpoint: Checkpoint, gelu: Gelu | None, unwrap_spectral: bool
    ) -> None:
        self.checkpoint = checkpoint
        self.gelu = gelu
        self.unwrap_spectral = unwrap_spectral
        self.left_out: dict[str, str] = {}
        self._layers: list[tuple[str, str, keras.Layer]] = []
        self._kernels: dict[str, _Fold] = {}

    def make(
        self, kind: str, config: dict[str, Any], group: str
    ) -> Callable[[Any], Any]:
        """Turn the description of a layer into the layer, or a chain of two."""
        name = config["name"]
        match kind.removeprefix(_PREFIX):
            case "InstanceNormalization":
                layer = _normalisation(config, groups=-1)
            case "GroupNormalization":
                layer = _normalisation(config, groups=config["groups"])
            case "GELU":
                return _Gelu(approximate=bool(config["approximate"]))
            case "SpectralNormalization":
                layer, after = self._wrapped(config)
                if self.unwrap_spectral:
                    self._leave(name, group, "sn_u", "not needed for inference")
                else:
                    layer = keras.layers.SpectralNormalization(
                        layer, config["power_iterations"], name=name
                    )
                return self._keep(name, group, layer, after)
            case "WeightNormalization":
                layer, after = self._wrapped(config)
                self._fold(name, group, data_init=config["data_init"])
                return self._keep(name, group, layer, after)
            case known if not kind.startswith(_PREFIX):
                config, after = self._activation(config)
                return self._keep(name, group, stock_layer(known, config), after)
            case other:
                raise MappingError(
                    f"layer {name!r} is a {other} of tensorflow-addons, for which no "
                    "equivalent in Keras 3 is known"
                )
        return self._keep(name, group, layer, None)

    def moves(self) -> list[Move]:
        """State where every tensor goes; the layers must have been called."""
        moves = []
        for name, group, layer in self._layers:
            for weight in layer.weights:
                kind = _RENAMED.get(str(weight.name), str(weight.name))
                sources = (self._tensor(name, group, kind),)
                fold = self._kernels.get(name) if kind == "kernel" else None
                if fold is None:
                    moves.append(Move(weight.path, sources))
                else:
                    moves.append(Move(weight.path, (fold.g, *sources), combine=fold))
        return moves

    def _keep(
        self,
        name: str,
        group: str,
        layer: keras.Layer,
        after: Callable[[Any], Any] | None,
    ) -> Callable[[Any], Any]:
        self._layers.append((name, group, layer))
        return layer if after is None else lambda x: after(layer(x))

    def _wrapped(
        self, config: dict[str, Any]
    ) -> tuple[keras.Layer, Callable[[Any], Any] | None]:
        inner, after = self._activation(config["layer"]["config"])
        return stock_layer(config["layer"]["class_name"], inner), after

    def _activation(
        self, config: dict[str, Any]
    ) -> tuple[dict[str, Any], Callable[[Any], Any] | None]:
        """Replace an activation that Keras 3 does not know by this name."""
        stated = config.get("activation")
        if isinstance(stated, dict) and stated.get("module") in (None, "builtins"):
            stated = stated["config"]
        if not isinstance(stated, str):
            return config, None
        bare = stated.removeprefix(_PREFIX)
        if bare == "gelu":
            form = "approximate" if stated != bare else self.gelu
            if form is None:
                raise MappingError(
                    f"layer {config['name']!r} has the activation 'gelu', and the file "
                    "does not say which form; state gelu='approximate' (tensorflow-"
                    "addons) or gelu='exact' (Keras)"
                )
            after = _Gelu(approximate=form == "approximate")
            return config | {"activation": "linear"}, after
        if stated != bare and bare not in _ACTIVATIONS:
            raise MappingError(
                f"layer {config['name']!r} has the activation {bare} of tensorflow-"
                "addons, for which no equivalent in Keras 3 is known"
            )
        return config | {"activation": _ACTIVATIONS.get(bare, bare)}, None

    def _fold(self, name: str, group: str, *, data_init: bool) -> None:
        flag = self._leave(name, group, "initialized", "a flag, not a parameter")
        initialised = bool(self.checkpoint.tensors[flag])
        if data_init:
            if not initialised:
                raise MappingError(
                    f"layer {name!r} was saved before its data-dependent "
                    "initialisation; call the model once on data and save it again"
                )
            for tensor in self._tensors(name, group):
                if "/data_dep_init/" in tensor:
                    self.left_out[tensor] = "only used for the initialisation"
        g = self._tensor(name, group, "g")
        self._kernels[name] = _Fold(g, initialised)

    def _leave(self, name: str, group: str, weight: str, reason: str) -> str:
        tensor = self._tensor(name, group, weight)
        self.left_out[tensor] = reason
        return tensor

    def _tensors(self, name: str, group: str) -> list[str]:
        """List the tensors of a layer, which may be in the group of an outer model."""
        tensors = self.checkpoint.layers.get(group, ())
        return [t for t in tensors if name == group or f"/{name}/" in t]

    def _tensor(self, name: str, group: str, weight: str) -> str:
        found = [
            tensor
            for tensor in self._tensors(name, group)
            if tensor.rpartition("/")[2] == weight and "/data_dep_init/" not in tensor
        ]
        if len(found) != 1:
            raise MappingError(
                f"the checkpoint has {len(found) or 'no'} tensors for {weight} of "
                f"layer {name!r}; is the config that of this file?"
            )
        return found[0]


class _Gelu:
    def __init__(self, *, approximate: bool) -> None:
        self.approximate = approximate

    def __call__(self, x: Any) -> Any:
        return ops.gelu(x, approximate=self.approximate)


class _Fold:
    """Weight normalisation as one kernel; see `fold_weight_norm`."""

    def __init__(self, g: str, initialised: bool) -> None:
        self.g = g
        self.initialised = initialised

    def __call__(self, g: np.ndarray, v: np.ndarray) -> np.ndarray:
        # before its first call the layer has g = 1 and sets it to the norm of v
        return fold_weight_norm(g, v) if self.initialised else v


def fold_weight_norm(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the kernel that weight normalisation computes with.

    Each slice of `v` along the last axis is scaled to the length that `g` gives.

    Parameters
    ----------
    g
        Length of each slice, (last axis of `v`,).
    v
        Direction, any number of axes.

    Returns
    -------
    kernel
        g · v / ‖v‖ in the type of `v`.

    Examples
    --------
    >>> fold_weight_norm(np.array([10.0]), np.array([[3.0], [4.0]])).ravel()
    array([6., 8.])
    """
    square = np.sum(np.square(v, dtype="float64"), axis=tuple(range(v.ndim - 1)))
    return (v * (g / np.sqrt(np.maximum(square, 1e-12)))).astype(v.dtype)


def _normalisation(config: dict[str, Any], *, groups: int) -> keras.Layer:
    # a saved InstanceNormalization states its channel count as groups
    names = ("name", "trainable", "axis", "epsilon", "center", "scale")
    return keras.layers.GroupNormalization(
        groups=groups, **{name: config[name] for name in names}
    )
