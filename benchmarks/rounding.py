"""How far the output of a package moves by rounding, and by a wrong weight.

Every setting of the environment, each a set of processor instructions, computes in a
process of its own; differences are relative to the largest output of an image.  Run as
``python benchmarks/rounding.py specs/dfcan_sim [--images 10]``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SETTINGS: dict[str, dict[str, str]] = {
    "default": {},
    "oneDNN off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "oneDNN AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"},
    "oneDNN AVX512": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "DNNL_MAX_CPU_ISA": "AVX512_CORE",
    },
    "oneDNN SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "DNNL_MAX_CPU_ISA": "SSE41"},
    "OpenBLAS Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "OpenBLAS SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "one thread": {"OMP_NUM_THREADS": "1", "ROUNDING_THREADS": "1"},
}
"""Instruction sets, as far as the libraries let one choose; ONNX Runtime does not."""

NOISE = 1e-7
"""Relative standard deviation of the noise that stands for rounding of the input."""

CHANGE = 1e-3
"""Change of one weight, in units of its kernel's norm, that must be told from it."""

INPUTS, ANSWER = "inputs.npy", "outputs.npz"


def inputs(package: Path, images: int) -> np.ndarray:
    """Return the package's test input and simulated ones, behind its processing."""
    from zoo import catalog
    from zoo.core.processing import apply
    from zoo.core.random import generator

    recipe = catalog.recipe(package.name)
    test = np.load(package / "test_input.npy")
    source = recipe.source.override(crop_px=int(test.shape[1]))
    test = apply(recipe.contract.before, test, recipe.contract.grid.input_axes)
    drawn = [source.sample(generator(10, number))[0][None] for number in range(images)]
    return np.concatenate([test, *drawn])


def compute(package: Path, folder: Path) -> None:
    """Write the output of Keras, of its traced graph and of ONNX Runtime."""
    import keras
    import onnxruntime
    import tensorflow as tf

    threads = int(os.environ.get("ROUNDING_THREADS", "0"))
    options = onnxruntime.SessionOptions()
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        options.intra_op_num_threads = threads
    frames = np.load(folder / INPUTS)
    model = keras.saving.load_model(package / "weights.keras", compile=False)
    traced = tf.function(lambda x: model(x, training=False))
    session = onnxruntime.InferenceSession(
        package / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    ways = {
        "keras": lambda x: keras.ops.convert_to_numpy(model(x, training=False)),
        "graph": lambda x: traced(tf.constant(x)).numpy(),
        "onnx": lambda x: session.run(None, {name: x})[0],
    }
    outputs = {
        way: np.concatenate([function(x[None]) for x in frames])
        for way, function in ways.items()
    }
    np.savez(folder / ANSWER, **outputs)


def difference(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the largest difference of every image, relative to its largest value."""
    axes = tuple(range(1, expected.ndim))
    return np.abs(found - expected).max(axis=axes) / np.abs(expected).max(axis=axes)


def settings(package: Path, frames: np.ndarray) -> None:
    """Print differences between instruction sets, from the default in Keras."""
    outputs: dict[str, np.ndarray] = {}
    for label, setting in SETTINGS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            np.save(folder / INPUTS, frames)
            subprocess.run(
                [sys.executable, __file__, str(package), "--answer", name],
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | setting,
                check=True,
            )
            with np.load(folder / ANSWER) as answer:
                outputs |= {f"{label}, {way}": answer[way] for way in answer}
    expected = outputs["default, keras"]
    for label, found in outputs.items():
        moved = difference(found, expected)
        print(f"{label:28} test {moved[0]:.1e}  all {moved.max():.1e}", flush=True)
    labels = list(outputs)
    worst = max(
        (float(difference(outputs[a], outputs[b]).max()), a, b)
        for a in labels
        for b in labels
    )
    print(f"farthest apart: {worst[0]:.1e}, {worst[1]} and {worst[2]}", flush=True)
    for number in range(len(frames)):
        apart = max(
            float(difference(outputs[a], outputs[b])[number])
            for a in labels
            for b in labels
        )
        print(f"  image {number}: {apart:.1e}")


def condition(package: Path, frames: np.ndarray, draws: int = 4) -> None:
    """Print how far noise of the input moves the stages of a SIM reconstruction."""
    import keras

    from zoo.layers.sim.components import components
    from zoo.layers.sim.pattern import estimate_pattern

    model = keras.saving.load_model(package / "weights.keras", compile=False)
    names = [layer.name for layer in model.layers]
    maps = [n for n in ("reconstructions",) if n in names]
    tensors = [*(model.get_layer(name).output for name in maps), model.output]
    parts = keras.Model(model.input, tensors)
    rng = np.random.default_rng(0)

    def stages(image: np.ndarray) -> dict[str, np.ndarray]:
        values = dict(zip([*maps, "output"], parts(image, training=False), strict=True))
        if maps:
            tensor = keras.ops.convert_to_tensor(image)
            values |= estimate_pattern(*components(tensor))._asdict()
        return {name: keras.ops.convert_to_numpy(v) for name, v in values.items()}

    for number in range(len(frames)):
        image = frames[number : number + 1]
        expected = stages(image)
        worst = dict.fromkeys(expected, 0.0)
        for _ in range(draws):
            noise = 1 + NOISE * rng.normal(size=image.shape)
            moved = stages((image * noise).astype(np.float32))
            for name, value in moved.items():
                scale = np.abs(expected[name]).max()
                change = float(np.abs(value - expected[name]).max() / scale)
                worst[name] = max(worst[name], change)
        print(f"noise, image {number}:", *(f"{n} {v:.1e}" for n, v in worst.items()))


def weights(package: Path, frames: np.ndarray, count: int) -> None:
    """Print how far the output moves if one value of a kernel is wrong."""
    import keras

    model = keras.saving.load_model(package / "weights.keras", compile=False)
    rng = np.random.default_rng(0)

    def output() -> np.ndarray:
        return keras.ops.convert_to_numpy(model(frames[:1], training=False))

    expected = output()
    kernels = [w for w in model.trainable_weights if w.path.endswith("/kernel")]
    moved: list[tuple[float, str]] = []
    for number in range(count):
        kernel = kernels[number % len(kernels)]
        exact = keras.ops.convert_to_numpy(kernel)
        wrong = exact.copy()
        place = tuple(int(rng.integers(size)) for size in exact.shape)
        wrong[place] += CHANGE * np.linalg.norm(exact)
        kernel.assign(wrong)
        moved.append((float(difference(output(), expected)[0]), kernel.path))
        kernel.assign(exact)
    moved.sort()
    sizes = np.array([size for size, _ in moved])
    for share in (0, 1, 5, 10, 25, 50):
        print(f"wrong weight, {share:2} %: {np.percentile(sizes, share):.1e}")
    print("smallest:", *(f"{path} {size:.1e}" for size, path in moved[:8]), sep="\n  ")


def main() -> None:
    """Measure one package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--weights", type=int, default=120)
    parser.add_argument("--answer", type=Path)
    chosen = parser.parse_args()
    if chosen.answer:
        compute(chosen.package, chosen.answer)
        return
    frames = inputs(chosen.package, chosen.images)
    settings(chosen.package, frames)
    condition(chosen.package, frames)
    weights(chosen.package, frames, chosen.weights)


if __name__ == "__main__":
    main()
