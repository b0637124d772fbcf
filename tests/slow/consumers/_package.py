"""What the scripts of this folder know about a package: tensors and a tolerance."""

import argparse
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import yaml
from _environments import Unreachable

from zoo.core.processing import apply

SKIPPED = 77
"""Exit status that says: not run, because the package registries cannot be reached."""


class Package:
    """A package, unpacked, with what goes into and should come out of its network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rdf = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
        (self.input,), (self.output,) = self.rdf["inputs"], self.rdf["outputs"]
        self.entries = list(self.rdf["weights"])

    def weights(self, entry: str) -> Path:
        return self.folder / self.rdf["weights"][entry]["source"]

    def network_input(self) -> np.ndarray:
        """Return the test input after the declared preprocessing."""
        return self._processed(self.input, "preprocessing", self._test(self.input))

    def compare(self, raw: np.ndarray, what: str) -> bool:
        """Apply the postprocessing to a network's output; print and judge its error."""
        found = self._processed(self.output, "postprocessing", raw)
        expected = self._test(self.output)
        return report(found, expected, self.tolerance(), what)

    def tolerance(self) -> tuple[float, float]:
        """Return the declared (relative, absolute) tolerance."""
        declared = self.rdf["config"]["bioimageio"]["reproducibility_tolerance"][0]
        return declared["relative_tolerance"], declared["absolute_tolerance"]

    def _test(self, tensor: dict) -> np.ndarray:
        return np.load(self.folder / tensor["test_tensor"]["source"])

    def _processed(self, tensor: dict, key: str, array: np.ndarray) -> np.ndarray:
        axes = "".join(axis["id"][0] for axis in tensor["axes"])
        done = apply(tensor.get(key, []), array.astype("float32"), axes)
        return np.ascontiguousarray(done, dtype="float32")


def report(
    found: np.ndarray, expected: np.ndarray, tolerance: tuple[float, float], what: str
) -> bool:
    """Print the largest difference; say whether every element is within tolerance."""
    if found.shape != expected.shape:
        print(f"{what}: shape {found.shape}, not {expected.shape}")
        return False
    relative, absolute = tolerance
    error = np.abs(found.astype("float64") - expected)
    largest = np.abs(expected).max()
    ok = bool((error <= absolute + relative * np.abs(expected)).all())
    print(
        f"{what}: max error {error.max():.3g}, {error.max() / largest:.2e} of the "
        f"largest output {largest:.4g}: {'ok' if ok else 'WRONG'}"
    )
    return ok


@contextmanager
def opened(path: Path):
    """Give the package in a folder or zip."""
    if path.is_dir():
        yield Package(path)
        return
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        yield Package(Path(folder))


def main(run: Callable[[Path], bool], description: str | None) -> None:
    """Run a consumer on the packages of the command line and exit 0, 1 or 77."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("package", type=Path, nargs="+", help="folder or zip")
    try:
        good = [run(path.resolve()) for path in parser.parse_args().package]
    except Unreachable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    sys.exit(0 if all(good) else 1)
