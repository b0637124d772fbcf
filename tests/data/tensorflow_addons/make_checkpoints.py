"""Write the checkpoints of this folder with the real tensorflow-addons.

Run in an environment of its own (see README.md)::

    python make_checkpoints.py

Everything is seeded: the same versions give the same numbers.
"""

import json
import os
import platform
from importlib import metadata
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import h5py
import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

HERE = Path(__file__).parent
keras = tf.keras
layers = tf.keras.layers


def instance_norm():
    """Two instance normalisations, affine and plain, around a skip connection."""
    image = keras.Input((12, 10, 2), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="enc_conv")(image)
    x = tfa.layers.InstanceNormalization(name="enc_norm")(x)
    x = skip = layers.LeakyReLU(0.2, name="enc_relu")(x)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="mid_conv")(x)
    x = tfa.layers.InstanceNormalization(
        center=False, scale=False, epsilon=1e-5, name="mid_norm"
    )(x)
    x = layers.Add(name="skip")([x, skip])
    x = layers.Conv2D(1, 1, activation="tanh", name="out_conv")(x)
    return keras.Model(image, x, name="instance_norm")


def group_norm():
    """Group normalisation, batch normalisation, GELU and Mish in a chain."""
    return keras.Sequential(
        [
            keras.Input((9, 8, 1), name="image"),
            layers.Conv2D(6, 3, padding="same", name="conv1"),
            tfa.layers.GroupNormalization(groups=3, name="norm1"),
            layers.Activation(tfa.activations.gelu, name="gelu1"),
            layers.Conv2D(6, 3, activation=tfa.activations.mish, name="conv2"),
            layers.BatchNormalization(name="norm2"),
            layers.MaxPooling2D(name="pool"),
            tfa.layers.GELU(approximate=False, name="gelu2"),
            tfa.layers.GroupNormalization(groups=1, epsilon=1e-4, name="norm3"),
            layers.Activation(tfa.activations.hardshrink, name="shrink"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation=tfa.activations.gelu, name="dense"),
        ],
        name="group_norm",
    )


def spectral_norm():
    """A small critic: three wrapped layers, one with several power iterations."""
    image = keras.Input((8, 8, 1), name="image")
    x = tfa.layers.SpectralNormalization(
        layers.Conv2D(4, 3, strides=2, padding="same", name="conv1"), name="sn1"
    )(image)
    x = layers.LeakyReLU(0.1, name="relu1")(x)
    x = tfa.layers.SpectralNormalization(
        layers.Conv2D(5, 3, padding="same", use_bias=False, name="conv2"),
        power_iterations=3,
        name="sn2",
    )(x)
    x = layers.ReLU(name="relu2")(x)
    x = layers.Flatten(name="flat")(x)
    x = tfa.layers.SpectralNormalization(layers.Dense(1, name="dense"), name="sn3")(x)
    return keras.Model(image, x, name="spectral_norm")


def weight_norm():
    """Weight normalisation with both kinds of initialisation, one model nested."""
    block_in = keras.Input((7, 7, 3), name="block_image")
    block_out = tfa.layers.WeightNormalization(
        layers.Conv2D(3, 3, padding="same", activation="relu", name="block_conv"),
        data_init=False,
        name="block_wn",
    )(block_in)
    block = keras.Model(block_in, block_out, name="block")

    image = keras.Input((7, 7, 1), name="image")
    x = tfa.layers.WeightNormalization(
        layers.Conv2D(3, 3, padding="same", name="conv1"), data_init=True, name="wn1"
    )(image)
    x = block(x)
    x = tfa.layers.WeightNormalization(
        layers.Conv2DTranspose(2, 2, strides=2, use_bias=False, name="up"),
        data_init=False,
        name="wn2",
    )(x)
    x = layers.Flatten(name="flat")(x)
    x = tfa.layers.WeightNormalization(layers.Dense(2, name="dense"), name="wn3")(x)
    return keras.Model(image, x, name="weight_norm")


def train_step(model, x, rng):
    """One step of gradient descent on random targets."""
    model.compile(keras.optimizers.legacy.SGD(0.01), "mse")
    model.train_on_batch(x, rng.normal(size=model(x).shape).astype("float32"))


def save(model, name, *, weights_only=False):
    """Save the model, without the optimiser, and say what it weighs."""
    path = HERE / f"{name}.h5"
    if weights_only:
        model.save_weights(path, save_format="h5")
    else:
        model.save(path, save_format="h5", include_optimizer=False)
    print(path.name, path.stat().st_size, "bytes")


def main():
    record = {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": metadata.version("keras"),
        "tensorflow_addons": tfa.__version__,
        "numpy": np.__version__,
        "h5py": h5py.__version__,
    }
    arrays = {}
    for name, build in {
        "instance_norm": instance_norm,
        "group_norm": group_norm,
        "spectral_norm": spectral_norm,
        "weight_norm": weight_norm,
    }.items():
        keras.utils.set_random_seed(2018)
        rng = np.random.default_rng(2018)
        model = build()
        x = rng.normal(size=(2, *model.input_shape[1:])).astype("float32")
        arrays[f"{name}_input"] = x
        if name == "spectral_norm":
            save(model, "spectral_norm_fresh")
            arrays["spectral_norm_fresh_output"] = model(x, training=False).numpy()
            # one call in training mode normalises the kernels in place
            arrays["spectral_norm_called_output"] = model(x, training=True).numpy()
            for layer in model.layers:
                if layer.name.startswith("sn"):
                    arrays[f"spectral_norm_called_{layer.name}_u"] = layer.u.numpy()
                    arrays[f"spectral_norm_called_{layer.name}_kernel"] = (
                        layer.w.numpy()
                    )
            train_step(model, x, rng)
            save(model, "spectral_norm_trained")
            arrays["spectral_norm_trained_output"] = model(x, training=False).numpy()
            continue
        if name == "weight_norm":
            save(model, "weight_norm_fresh")
        train_step(model, x, rng)
        save(model, name)
        if name == "instance_norm":
            save(model, "instance_norm_weights", weights_only=True)
            config = json.loads(model.to_json())
            (HERE / "instance_norm_weights.json").write_text(
                json.dumps(config, indent=1) + "\n"
            )
        arrays[f"{name}_output"] = model(x, training=False).numpy()
    for name, array in arrays.items():
        np.save(HERE / f"{name}.npy", array)
    (HERE / "versions.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
