"""onnxruntime-node 1.12.1, the release that opset 17 asks for.  Needs node and npm."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from _environments import node_modules
from _package import main, opened

SCRIPT = Path(__file__).with_suffix(".js")


def run(path: Path) -> bool:
    modules = node_modules("onnxruntime-node", "onnxruntime-node@1.12.1")
    with opened(path) as package, tempfile.TemporaryDirectory() as name:
        image, result = package.network_input(), Path(name) / "output.bin"
        (Path(name) / "input.bin").write_bytes(image.tobytes())
        shape = ",".join(map(str, image.shape))
        command = ["node", str(SCRIPT), str(modules), str(package.weights("onnx"))]
        done = subprocess.run(
            [*command, f"{name}/input.bin", shape, str(result)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            print(f"onnxruntime-node: {path.name} FAILED\n{done.stderr[-3000:]}")
            return False
        dims = [int(n) for n in done.stdout.split()[-1].split(",")]
        found = np.frombuffer(result.read_bytes(), "float32").reshape(dims)
        return package.compare(found, f"onnxruntime-node 1.12.1: {path.name}")


if __name__ == "__main__":
    main(run, __doc__)
