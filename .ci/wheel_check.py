"""Use an installed wheel as somebody does who has nothing else; run by .ci/wheel."""

import json
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np

LARGEST = 95e6
BLOCKED = ("tensorflow", "keras", "jax", "torch", "bioimageio", "onnx", "tf2onnx")
CODE = f"""
import sys
class Blocked:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError("blocked", name=name)
sys.meta_path.insert(0, Blocked())
from zoo.cli import main
main()
"""


def zoo(*words: object) -> str:
    """Run a command; return what it prints."""
    command = [sys.executable, "-I", "-c", CODE, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print("zoo", *words, "->", done.returncode, flush=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def check_archives(folder: Path) -> None:
    """Refuse wheels and source distributions that hold too much."""
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        roots = {name.split("/")[0] for name in archive.namelist()}
    roots = {name for name in roots if not name.endswith(".dist-info")}
    with tarfile.open(source) as archive:
        parts = {name.split("/")[1] for name in archive.getnames()}
    for path in (wheel, source):
        size = path.stat().st_size
        print(f"{path.name}: {size / 1e6:.1f} MB")
        assert size < LARGEST, f"{path.name} has more than {LARGEST / 1e6:g} MB"
    assert roots == {"zoo", "converters"}, f"the wheel installs {sorted(roots)}"
    assert not parts & {"tests", "benchmarks", "runs", ".ci"}, sorted(parts)


def small_input(card: dict, path: Path) -> float | None:
    """Write noise with a few spots as a package takes it; return its pixel size, nm."""
    contract = card["contract"]
    axes, channels = contract["grid"]["axes"], contract["grid"]["channels"]
    shape = [axes[a].get("size") or axes[a].get("minimum") or 64 for a in "yx"]
    if contract["input"]["kind"] != "regions":
        shape = [max(length, 64) for length in shape]
    rng = np.random.default_rng(0)
    lit = rng.random((max(len(channels), 2), *shape)) < 0.01
    np.save(path, rng.poisson(100 + 2000 * lit).astype(np.uint16))
    low, high = contract["training"].get("pixel_size_nm", (100.0, 100.0))
    return (low + high) / 2


def main() -> None:
    """Check archives, then every command that needs no extra."""
    check_archives(Path(sys.argv[1]))
    for name in BLOCKED:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        sys.exit(f"{name} came with the wheel")
    zoo("demo", "-o", "demo")
    rows = json.loads(zoo("list", "--json"))
    bundled = [row["name"] for row in rows if row["weights"] != "download"]
    assert bundled, "no package is bundled"
    for name in bundled:
        zoo("show", name)
        card = json.loads(zoo("show", name, "--json"))
        source, target = Path(f"{name}.npy"), Path(f"{name}-result")
        pixel_nm = small_input(card, source)
        pixel = ("--pixel-size-nm", pixel_nm)
        zoo("predict", name, source, "-o", target, *pixel)
        zoo("check", source, "--for", name, *pixel)
        report = json.loads((target / "report.json").read_text(encoding="utf-8"))
        assert report["package"]["name"] == name
        assert report["engine"] == "onnx"
        written = {path.name for path in target.iterdir()}
        assert written & {"image.ome.tif", "localizations.csv"}, sorted(written)
    scored = zoo("evaluate", "demo/result/localizations.csv", "--truth",
                 "demo/truth.csv", "-o", "scores")  # fmt: skip
    assert "Jaccard" in scored
    print(f"{len(bundled)} of {len(rows)} packages are bundled and run")


if __name__ == "__main__":
    main()
