"""Checks in a process of their own, in which this project cannot be imported.

`run` starts this file as a program.  The child blocks the import of ``zoo``, so
that a weights file which needs our code fails, reads a request and writes an
answer, both JSON.  Unless the package is trusted it has no network, bounded memory,
and may write to folders for this purpose only (`zoo.verify.confinement`).  It ends
with the process that started it, and computes on the CPU, where all formats should
give the same numbers.
"""

import json
import os
import runpy
import shutil
import site
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SECONDS = 1800
"""A child that takes longer is stopped."""


def run(
    requests: list[dict[str, Any]],
    *,
    writable: Iterable[Path] = (),
    trust: bool = False,
    seconds: float = SECONDS,
) -> list[dict[str, Any]]:
    """Do tasks one after the other in one fresh process and return their answers.

    Parameters
    ----------
    requests
        Each names its ``task``, a function below (``"official"``, ``"tiles"``,
        ``"weights"`` or ``"constants"``), and holds its arguments, as JSON can hold
        them.
    writable
        Folders that the answers name files in.
    trust
        Whether the process may use the network and whatever else the user may.
    seconds
        Time after which the process is stopped.

    Returns
    -------
    answers : list of dict
        In the order of the requests; ``{"error": reason}`` for one that failed.
    """
    # the child runs this file as a program, where our code cannot be imported
    from zoo.core.files import temporary

    with temporary("zoo-check") as folder:
        request = {
            "parent": os.getpid(),
            "trust": trust,
            "writable": [str(path) for path in writable],
            "requests": requests,
        }
        (folder / "request.json").write_text(json.dumps(request))
        command = [sys.executable, "-P", "-W", "ignore", str(Path(__file__).resolve())]
        try:
            done = subprocess.run(
                [*command, str(folder)],
                cwd=folder,
                env=os.environ | _environment(folder),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
            last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
            reason = f"exit status {done.returncode}: {''.join(last)}"
        except subprocess.TimeoutExpired:
            reason = f"no answer within {seconds:g} seconds"
        path = folder / "answers.json"
        answers = json.loads(path.read_text()) if path.is_file() else []
        missing = len(requests) - len(answers)
        return answers + [{"error": reason} for _ in range(missing)]


def _environment(folder: Path) -> dict[str, str]:
    """Return where libraries keep what they may keep, and how they compute."""
    home = str(folder)
    return {
        "KERAS_BACKEND": "tensorflow",
        "ORT_DISABLE_TELEMETRY": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONUSERBASE": site.getuserbase(),  # which HOME would change
        **dict.fromkeys(
            ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "KERAS_HOME"), home
        ),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "BIOIMAGEIO_CACHE_PATH": str(folder / "cache" / "bioimageio"),
    }


def official(
    folder: str, entry: str, predict: list[list[str]], scratch: Path
) -> dict[str, Any]:
    """Let bioimageio.core test a package with one weights entry and predict with it.

    Parameters
    ----------
    folder
        Unpacked package.
    entry
        The weights entry; all others are taken out of the description.
    predict
        Pairs of an input ``.npy`` and the output to write, without padding.
    scratch
        Folder for the package with one entry.
    """
    from bioimageio.core import create_prediction_pipeline, load_description_and_test
    from bioimageio.core.digest_spec import create_sample_for_model, get_member_ids

    single = _single_entry(Path(folder), entry, scratch)
    kind: Any = entry
    result: Any = load_description_and_test(single, weight_format=kind)
    summary = result.validation_summary
    errors = [
        f"{detail.name}: {' '.join(error.msg.split())[:400]}"
        for detail in summary.details
        for error in detail.errors
    ]
    answer: dict[str, Any] = {"passed": summary.status == "passed", "errors": errors}
    if not answer["passed"] or not predict:
        return answer
    import numpy as np

    with create_prediction_pipeline(result, weight_format=kind) as pipeline:
        for source, target in predict:
            inputs = {get_member_ids(result.inputs)[0]: np.load(source)}
            sample = create_sample_for_model(result, inputs=inputs, sample_id="check")
            output = pipeline.predict_sample_without_blocking(
                sample, skip_input_padding=True, skip_output_cropping=True
            )
            tensor = next(iter(output.members.values()))
            np.save(target, tensor.data.to_numpy())
    return answer


def tiles(
    folder: str,
    entry: str,
    image: str,
    border: list[int],
    whole: bool,
    first: str | None,
    scratch: Path,
) -> dict[str, Any]:
    """Predict an image larger than the declared size in blocks and as a whole.

    A network of one size cannot take it as a whole; then its first block is compared
    with the prediction for that block alone, if it is known.

    Parameters
    ----------
    folder, entry, scratch
        As for `official`.
    image
        Input, ``.npy``.
    border
        Output pixels to leave out at each side of each axis: where the image ends,
        core mirrors it before cutting blocks.
    whole
        Whether the network can take the image as a whole.
    first
        Begin of the output of the first block alone, ``.npy``, for one that cannot.

    Returns
    -------
    dict
        ``shape`` of the blockwise output, ``difference`` relative to the largest value,
        None if there is nothing to compare with.
    """
    import numpy as np
    from bioimageio.core import create_prediction_pipeline, load_description
    from bioimageio.core.digest_spec import create_sample_for_model, get_member_ids

    kind: Any = entry
    model: Any = load_description(_single_entry(Path(folder), entry, scratch))
    array = np.load(image)
    outputs = []
    with create_prediction_pipeline(model, weight_format=kind) as pipeline:
        for blockwise in (True, False) if whole else (True,):
            inputs = {get_member_ids(model.inputs)[0]: array}
            sample = create_sample_for_model(model, inputs=inputs, sample_id="check")
            output = (
                pipeline.predict_sample_with_blocking(sample)
                if blockwise
                else pipeline.predict_sample_without_blocking(
                    sample, skip_input_padding=True, skip_output_cropping=True
                )
            )
            outputs.append(next(iter(output.members.values())).data.to_numpy())
    shape = list(outputs[0].shape)
    if whole:
        inside = tuple(slice(n, -n) if n else slice(None) for n in border)
        blocks, expected = (output[inside] for output in outputs)
    elif first is not None:
        expected = np.load(first)
        blocks = outputs[0][tuple(slice(n) for n in expected.shape)]
    else:
        return {"shape": shape, "difference": None}
    largest = max(float(np.abs(expected).max()), 1e-30)
    return {
        "shape": shape,
        "difference": float(np.abs(blocks - expected).max() / largest),
    }


def weights(
    path: str, kind: str, runs: list[list[str]], scratch: Path
) -> dict[str, Any]:
    """Run a weights file on arrays.

    Parameters
    ----------
    path
        Weights file.
    kind
        Name of its entry in the description.
    runs
        Pairs of an input ``.npy`` and the output to write.
    scratch
        Folder to unpack a bundle in.
    """
    import numpy as np

    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        for source, target in runs:
            found: Any = session.run(None, {name: np.load(source)})[0]
            np.save(target, found)
        return {"passed": True}
    import keras

    if kind == "tensorflow_saved_model_bundle":
        shutil.unpack_archive(path, scratch / "bundle", "zip")
        network: Any = keras.layers.TFSMLayer(
            scratch / "bundle", call_endpoint="serving_default"
        )
    else:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    for source, target in runs:
        output: Any = network(np.load(source))
        output = next(iter(output.values())) if isinstance(output, dict) else output
        np.save(target, np.asarray(keras.ops.convert_to_numpy(output)))
    return {"passed": True}


def constants(path: str, kind: str, target: str, scratch: Path) -> dict[str, Any]:
    """Write every tensor that a weights file holds to an ``.npz``.

    Parameters
    ----------
    path, kind
        As for `weights`.
    target
        The ``.npz``.
    scratch
        Not used.
    """
    import io
    import zipfile

    import numpy as np

    del scratch
    arrays: dict[str, Any] = {}
    if kind == "onnx":
        import onnx

        graph = onnx.load(path).graph
        for tensor in graph.initializer:
            arrays[tensor.name] = onnx.numpy_helper.to_array(tensor)
    elif kind == "tensorflow_saved_model_bundle":
        import tensorflow as tf
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

        with zipfile.ZipFile(path) as archive:
            saved = SavedModel.FromString(archive.read("saved_model.pb"))
        for node in saved.meta_graphs[0].graph_def.node:
            if node.op == "Const":
                arrays[node.name] = tf.make_ndarray(node.attr["value"].tensor)
    else:
        import h5py

        def keep(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                arrays[name] = item[()]

        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(content, "r") as file:
            file.visititems(keep)
    numbers = {k: v for k, v in arrays.items() if v.dtype.kind == "f"}
    np.savez(target, **{k.replace("/", "."): v for k, v in numbers.items()})
    return {"passed": True}


def _single_entry(folder: Path, entry: str, scratch: Path) -> Path:
    """Copy a package and leave one weights entry in its description."""
    import yaml

    copy = scratch / "package"
    shutil.copytree(folder, copy)
    path = copy / "rdf.yaml"
    if not path.is_file():  # other programs name it differently
        path = copy / "bioimageio.yaml"
    rdf = yaml.safe_load(path.read_text(encoding="utf-8"))
    kept = rdf["weights"][entry]
    kept.pop("parent", None)
    rdf["weights"] = {entry: kept}
    path.write_text(yaml.safe_dump(rdf, sort_keys=False, allow_unicode=True), "utf-8")
    return path


def _main(folder: Path) -> None:
    sys.modules["zoo"] = None  # type: ignore[assignment]  # importing it now fails
    request = json.loads((folder / "request.json").read_text())
    rules = runpy.run_path(str(Path(__file__).with_name("confinement.py")))
    if not request["trust"]:
        rules["confine"]([str(folder), *request["writable"]])
    rules["end_with"](request["parent"])
    tasks: dict[str, Any] = {
        "official": official,
        "tiles": tiles,
        "weights": weights,
        "constants": constants,
    }
    answers: list[dict[str, Any]] = []
    for number, arguments in enumerate(request["requests"]):
        scratch = folder / f"scratch-{number}"
        scratch.mkdir()
        try:
            answer = tasks[arguments.pop("task")](**arguments, scratch=scratch)
        except Exception as error:  # whatever other programs raise is the answer
            answer = {
                "error": f"{type(error).__name__}: {' '.join(str(error).split())}"
            }
        answers.append(answer)
        # after each task: a crash of the next one does not lose it
        part = folder / "answers.part"
        part.write_text(json.dumps(answers))
        part.replace(folder / "answers.json")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
