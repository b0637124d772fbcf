"""Predict the test sample with one weights entry, in another environment."""

import json
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from bioimageio.core import create_prediction_pipeline, load_model_description
from bioimageio.core.digest_spec import get_test_input_sample, get_test_output_sample


def main(path: str, entry: str) -> None:
    model = load_model_description(path)
    pipeline = create_prediction_pipeline(model, weight_format=entry)
    # as the official test does: the test tensor is the whole picture, not a tile
    found = pipeline.predict_sample_without_blocking(
        get_test_input_sample(model),
        skip_input_padding=True,
        skip_output_cropping=True,
    )
    answer = {}
    samples = {"found": found, "expected": get_test_output_sample(model)}
    for name, sample in samples.items():
        (tensor,) = sample.members.values()
        with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as file:
            np.save(file, np.asarray(tensor.data))
        answer[name] = str(Path(file.name))
    versions = []
    programs = ("tensorflow", "tensorflow-cpu", "keras", "onnxruntime", "numpy")
    for program in programs:
        try:
            versions.append(f"{program} {version(program)}")
        except PackageNotFoundError:
            continue
    print(json.dumps({**answer, "versions": ", ".join(versions)}))


main(*sys.argv[1:])
