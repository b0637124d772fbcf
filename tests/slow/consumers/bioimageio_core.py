"""bioimageio.core in the environment of this project: every weights entry."""

import sys
from importlib.metadata import version
from pathlib import Path

from _bioimageio import test
from _package import main


def run(path: Path) -> bool:
    return test(Path(sys.executable), path, named=f"core {version('bioimageio.core')}")


if __name__ == "__main__":
    main(run, __doc__)
