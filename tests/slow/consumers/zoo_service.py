"""The versions that the bioimage.io collection tests and serves models with.

Keras is one release older than the one that wrote the file, so that the entry
``keras_v3`` shows that it does not need the newest.  Needs Python 3.9 to 3.12.
"""

import sys
from pathlib import Path

from _bioimageio import test
from _environments import need, venv
from _package import main

PINS = (
    "bioimageio.core==0.10.4",
    "tensorflow-cpu==2.16.1",
    "keras==3.14.1",
    "onnxruntime==1.20.1",
    "numpy==1.26.4",
    "pydantic<2.14",
)


def run(path: Path) -> bool:
    need(sys.version_info < (3, 13), "Python 3.12 or earlier, as TensorFlow 2.16 does")
    return test(venv("zoo-service", *PINS), path, named="core 0.10.4")


if __name__ == "__main__":
    main(run, __doc__)
