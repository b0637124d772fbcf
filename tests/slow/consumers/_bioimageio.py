"""Run the official command line on a package, then each weights entry by itself."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
from _package import opened, report

PROBE = Path(__file__).with_name("_bioimageio_probe.py")


def test(python: Path, path: Path, *, named: str) -> bool:
    """Validate with ``bioimageio test``, then compare each entry with the test output.

    The command line has no name for the entry ``keras_v3`` alone; the second part asks
    for it, and for every other one, in a process of its own.
    """
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "NO_COLOR": "1",
    }
    bioimageio = str(python.with_name("bioimageio"))
    command = [bioimageio, "test", str(path)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    good = done.returncode == 0
    print(f"{named}: bioimageio test {path.name}: {'passed' if good else 'FAILED'}")
    if not good:
        print((done.stdout + done.stderr)[-6000:])
    with opened(path) as package:
        for entry in package.entries:
            probe = [str(python), str(PROBE), str(path), entry]
            done = subprocess.run(
                probe, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"{named}: {entry} FAILED\n{done.stderr[-3000:]}")
                good = False
                continue
            answer = json.loads(done.stdout.splitlines()[-1])
            found, expected = (np.load(answer[key]) for key in ("found", "expected"))
            what = f"{named} with {answer['versions']}: {path.name} {entry}"
            good &= report(found, expected, package.tolerance(), what)
            for key in ("found", "expected"):
                Path(answer[key]).unlink()
    return good
