"""onnxruntime-web (wasm) in headless Chromium.

The browser comes out of the npm package @sparticuz/chromium; nothing is downloaded at
run time.  Another one can be named in $CHROMIUM.  Needs node (18 or later), npm and,
for the bundled browser, Linux on x86-64.
"""

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from _environments import node_modules
from _package import main, opened

SCRIPT = Path(__file__).with_suffix(".mjs")
PACKAGES = (
    "onnxruntime-web@1.30.0",
    "puppeteer-core@25.16.0",
    "@sparticuz/chromium@153.0.0",
)


def run(path: Path) -> bool:
    modules = node_modules("onnxruntime-web", *PACKAGES)
    with opened(path) as package, tempfile.TemporaryDirectory() as name:
        image, result = package.network_input(), Path(name) / "output.bin"
        (Path(name) / "input.bin").write_bytes(image.tobytes())
        (Path(name) / "model.onnx").write_bytes(package.weights("onnx").read_bytes())
        shape = ",".join(map(str, image.shape))
        command = ["node", str(SCRIPT), str(modules), name, shape]
        done = subprocess.run(
            command, env=dict(os.environ), capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"onnxruntime-web: {path.name} FAILED\n{done.stderr[-3000:]}")
            return False
        *browser, dims = done.stdout.split()
        found = np.frombuffer(result.read_bytes(), "float32")
        found = found.reshape([int(n) for n in dims.split(",")])
        what = f"onnxruntime-web 1.30.0 wasm in {' '.join(browser)}: {path.name}"
        return package.compare(found, what)


if __name__ == "__main__":
    main(run, __doc__)
