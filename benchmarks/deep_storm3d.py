"""DeepSTORM3D: frames per second in ONNX Runtime, Keras and PyTorch, same weights.

    python benchmarks/deep_storm3d.py PACKAGE [--edge 121] [--rounds 3] [--threads 1]

Plain and folded ONNX graphs, ``predict`` of Keras and, where torch is installed, the
authors' layers in PyTorch are timed in turns in one run, with the same weights and the
same number of threads.  Wall time and processor time are told, the latter of which a
busy machine does not change much.  The peak memory of the packaged graph on a large
frame comes last: in tiles, as the predictor runs it.
"""

import argparse
import importlib
import importlib.util
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]


def onnx_run(path: Path, threads: int) -> Run:
    """Return an ONNX graph ready to run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda frame: np.asarray(session.run(None, {name: frame})[0])


def torch_run(model: Any, threads: int) -> Run | None:
    """Return the layers of the paper in PyTorch with the weights of a Keras model."""
    if importlib.util.find_spec("torch") is None:
        return None
    torch: Any = importlib.import_module("torch")
    functional: Any = importlib.import_module("torch.nn.functional")

    torch.set_num_threads(threads)
    weights = {
        w.path: torch.from_numpy(np.array(w.numpy(), np.float32)) for w in model.weights
    }
    rates = {
        layer.name.removesuffix("_conv"): layer.dilation_rate[0]
        for layer in model.layers
        if layer.name.endswith("_conv")
    }

    def norm(x: Any, name: str) -> Any:
        parts = ("moving_mean", "moving_variance", "gamma", "beta")
        mean, variance, gain, offset = (weights[f"{name}/{p}"] for p in parts)
        return functional.batch_norm(x, mean, variance, gain, offset, eps=1e-5)

    def conv(x: Any, name: str) -> Any:
        kernel = weights[f"{name}_conv/kernel"].permute(3, 2, 0, 1)
        rate = rates[name]
        edge = rate * (kernel.shape[-1] // 2)
        bias = weights[f"{name}_conv/bias"]
        return functional.conv2d(x, kernel, bias, padding=edge, dilation=rate)

    def unit(x: Any, name: str) -> Any:
        return norm(functional.leaky_relu(conv(x, name), 0.2), f"{name}_norm")

    def network(frame: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            image = norm(torch.from_numpy(frame).permute(0, 3, 1, 2), "norm")
            x = unit(image, "layer1")
            for number in range(2, 7):
                x = x + unit(torch.cat([x, image], 1), f"layer{number}")
            x = torch.cat([x, image], 1)
            for name in ("deconv1", "deconv2"):
                x = unit(functional.interpolate(x, scale_factor=2), name)
            x = unit(x, "layer7")
            for name in ("layer8", "layer9"):
                x = x + unit(x, name)
            return functional.hardtanh(conv(x, "layer10"), 0, 800).numpy()[..., None]

    return network


def operations(model: Any, edge: int) -> None:
    """Print where a network's multiplications are: on coarse or fine pixels."""
    sums = {"camera pixels": 0.0, "enlargement": 0.0, "volume": 0.0}
    finer = 1
    for layer in model.layers:
        if layer.name.endswith("_enlarge"):
            finer *= 2
        if not hasattr(layer, "kernel"):
            continue
        pixels = (edge * finer) ** 2
        enlarging = layer.name.startswith("deconv")
        place = "enlargement" if enlarging else "volume"
        place = "camera pixels" if finer == 1 else place
        sums[place] += pixels * float(np.prod(layer.kernel.shape))
    total = sum(sums.values())
    parts = ", ".join(f"{part} {n / total:.0%}" for part, n in sums.items())
    print(f"{total / 1e9:.1f} billion multiplications per frame: {parts}")


def memory(package: Path, edge: int) -> None:
    """Print the peak memory of a prediction on a large frame, in another process."""
    pid = os.fork()
    if not pid:
        from zoo.predict.predictor import Predictor

        predictor = Predictor(package, engine="onnx")
        frame = np.random.default_rng(0).poisson(50.0, (1, edge, edge)).astype("u2")
        start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = predictor.predict(frame, pixel_size_nm=110.0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        planes = predictor.contract.grid.planes or 1
        whole = 4 * planes * (4 * edge) ** 2
        print(
            f"{edge} x {edge} px: peak {peak / 1024:.0f} MB, {start / 1024:.0f} MB "
            f"before; one whole volume has {whole / 2**20:.0f} MB; "
            f"{result.report.get('seconds')} s"
        )
        os._exit(0)
    os.waitpid(pid, 0)


def main() -> None:
    """Print frames per second, processor seconds per frame and largest differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--edge", type=int, default=121, help="edge of a frame, px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--large", type=int, default=0, help="edge of a large frame")
    arguments = parser.parse_args()
    if arguments.large:
        memory(arguments.package, arguments.large)
    threads = str(arguments.threads)
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = threads
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    from zoo.package import export

    model: Any = export.load_keras(arguments.package / "weights.keras")
    edge = arguments.edge
    operations(model, edge)
    frame = np.random.default_rng(0).random((1, edge, edge, 1), np.float32)
    runs: dict[str, Run | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        plain, folded = (Path(folder) / f"{name}.onnx" for name in ("plain", "folded"))
        plain.write_bytes(export._onnx_bytes(export.as_float32(model)))
        export.export_onnx(model, folded)
        runs["onnx plain"] = onnx_run(plain, arguments.threads)
        runs["onnx folded"] = onnx_run(folded, arguments.threads)
        runs["keras predict"] = lambda x: np.asarray(model.predict(x, verbose=0))
        runs["torch"] = torch_run(model, arguments.threads)
        wall: dict[str, list[float]] = {}
        spent: dict[str, list[float]] = {}
        outputs: dict[str, np.ndarray] = {}
        for _ in range(arguments.rounds + 1):
            for name, run in runs.items():
                if run is None:
                    continue
                start, begin = time.perf_counter(), time.process_time()
                outputs[name] = run(frame)
                spent.setdefault(name, []).append(time.process_time() - begin)
                wall.setdefault(name, []).append(time.perf_counter() - start)
    largest = np.abs(outputs["onnx plain"]).max()
    print(f"{edge} x {edge} px, {threads} thread(s), best of {arguments.rounds} rounds")
    for name, output in outputs.items():
        best, used = min(wall[name][1:]), min(spent[name][1:])
        off = np.abs(output - outputs["onnx plain"]).max() / largest
        print(
            f"{name:14} {1 / best:6.3f} frames/s, {used:6.3f} s of processor time per "
            f"frame, differs by {off:.0e} of the largest output"
        )
    if runs["torch"] is None:
        print("torch is not installed: not timed")


if __name__ == "__main__":
    main()
