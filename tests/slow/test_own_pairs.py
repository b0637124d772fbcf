"""Ten small pairs of a user's microscope make a published network better for it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.io.write import write_ome_tiff
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import expose

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]

PHOTONS = 60.0
SHIFTED = SimPairs(
    modality="widefield",
    crop_px=96,
    structures=("microtubules",),
    na=(1.2, 1.2),
    wavelength_nm=(680.0, 680.0),
    # about twice the width that the published network knows at most
    blur=(0.2, 0.2),
    photons=(PHOTONS, PHOTONS),
    background=(1.0, 1.0),
    haze=(1.0, 1.0),
)
"""A blurry microscope with as much light from elsewhere as from the structure."""
MOVED = (3, -4)
"""Shift of its target, target px."""


def write_pairs(folder: Path, count: int) -> None:
    """Write pairs whose targets are shifted against their inputs."""
    for end in ("input", "target"):
        (folder / end).mkdir(parents=True)
    for number in range(count):
        rng = generator(5, number)
        scene = SHIFTED.scene(rng, "microtubules")
        [counts] = expose(scene, rng, SHIFTED.camera.draw(rng), PHOTONS)
        target = np.roll(scene.target, MOVED, (0, 1))
        target = (1000 * target / target.max()).clip(0).astype(np.uint16)
        nm = SHIFTED.pixel_size_nm
        for end, image, edge in (("input", counts, nm), ("target", target, nm / 2)):
            path = folder / end / f"cell{number}.ome.tif"
            write_ome_tiff(path, image, pixel_size_nm=edge, axes="yx")


def test_ten_pairs_help(tmp_path):
    write_pairs(tmp_path / "pairs", 10)
    run = tmp_path / "run"
    words = ["train", "dfcan_widefield", "--data", tmp_path / "pairs", "-o", run]
    words += ["--budget", "smoke", "--set", "budgets.smoke.stages.0.steps=12"]
    done = subprocess.run(
        [sys.executable, "-m", "zoo", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pairs = json.loads((run / "pairs" / "pairs.json").read_text())["pairs"]
    shifts = np.array([pair["shift_px"] for pair in pairs])
    np.testing.assert_allclose(np.median(shifts, axis=0), MOVED, atol=0.3)
    found = json.loads((run / "comparison.json").read_text())["mean"]
    assert found["images"] == found["better"] == 2
    assert found["after"]["psnr"] > found["before"]["psnr"] + 0.3
    assert found["after"]["psnr"] > found["bicubic"]["psnr"] + 1
    assert len(list((run / "validation").glob("epoch-*.png"))) == 2
