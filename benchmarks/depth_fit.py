"""How far `--refine` of volumes is to be trusted: the fit on foreign optics.

    python benchmarks/depth_fit.py deep_storm3d_tetrapod
    python benchmarks/depth_fit.py deep_storm3d_learned --emitters 34 --frames 6

The fit takes the optics of the package, the camera that it is told and a smooth
background for granted.  Frames are drawn here with one of these at a time off: another
objective or focus, unknown aberrations, wider spots, dimmer emitters, more of them, a
camera that is told wrong.  Scores are those of the frozen test sets (Jaccard index
within 100 nm along each direction, root mean squares in nm, mean error in depth), of
the network and behind the fit; then the mean square residual that the fit leaves, in
units of the noise, the aberrations that it finds lacking, rad, and whether `zoo
predict` warned; at last the scores with ``--adapt-optics``, which takes these up.
"""

import argparse
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from common import print_row

from zoo.core.random import generator
from zoo.evaluate.scoring import frozen_test_set
from zoo.io.library import open_package
from zoo.physics.optics_score import aberrated
from zoo.physics.pupil import PupilOptics
from zoo.physics.zernike import ABERRATIONS
from zoo.predict.predictor import Predictor
from zoo.test_sets.dense_emitters import DenseEmitterTestSet

SEED = 77
"""Not that of a frozen test set, nor one of training."""
TOLD = {"offset_adu": 0.0, "photons_per_adu": 1.0}
"""Camera of the frames: one count per photon."""
TITLES = ("", "J", "lateral", "axial", "bias z", "J fit", "lateral", "axial",
          "bias z", "residual", "lacking", "warned", "J adapted", "lateral", "axial",
          "bias z")  # fmt: skip
WIDTHS = (26, 7, 9, 8, 8, 8, 9, 8, 8, 10, 9, 8, 11, 9, 8, 8)
SCORES = ("jaccard", "rmse_lateral_nm", "rmse_axial_nm", "bias_z_nm")


def foreign(optics: PupilOptics, rms_rad: float) -> PupilOptics:
    """Return optics with a further aberration of a given root mean square."""
    weights = generator(SEED, 9).normal(size=len(ABERRATIONS))
    weights *= rms_rad / np.linalg.norm(weights)
    return aberrated(optics, weights, modes=ABERRATIONS)


def conditions(
    test_set: DenseEmitterTestSet,
) -> Iterator[tuple[str, dict[str, Any], dict[str, float]]]:
    """Yield names, what changes in the frames, and what is told of the camera."""
    optics: Any = test_set.optics
    fewest, most = test_set.photons
    blur_px = test_set.blur_px
    yield "as declared", {}, TOLD
    for rms in (0.1, 0.2, 0.4):
        yield f"aberrated, {rms:g} rad", {"optics": foreign(optics, rms)}, TOLD
    for shift in (100.0, 300.0):
        moved = optics.override(focus_nm=optics.focus_nm + shift)
        yield f"focus {shift:g} nm deeper", {"optics": moved}, TOLD
    yield "sample index + .02", {"optics": _more(optics, "sample_index", 0.02)}, TOLD
    yield "aperture - .03", {"optics": _more(optics, "na", -0.03)}, TOLD
    yield "wavelength + 15 nm", {"optics": _more(optics, "wavelength_nm", 15.0)}, TOLD
    wider = (blur_px[1], 1.4 * blur_px[1])
    yield "blur up to 1.4 times", {"blur_px": wider}, TOLD
    yield "a third of the photons", {"photons": (fewest / 3, most / 3)}, TOLD
    yield "gain told a fifth less", {}, TOLD | {"photons_per_adu": 0.8}
    yield "gain told a fifth more", {}, TOLD | {"photons_per_adu": 1.2}
    yield "offset told 15 more", {}, TOLD | {"offset_adu": 15.0}


def _more(optics: PupilOptics, name: str, change: float) -> PupilOptics:
    return optics.override(**{name: getattr(optics, name) + change})


def scores(
    name: str, test_set: DenseEmitterTestSet, **options: Any
) -> dict[str, float | None]:
    """Return scores of the frames with emitters, what the fit leaves and warnings."""
    predictor = Predictor(name, **options, **test_set.wanted)
    case = next(iter(test_set.cases()))
    result = predictor.predict(case.input, pixel_size_nm=case.pixel_size_nm)
    (row,) = test_set.metrics([(case.name, test_set.score(case, result))])[
        "emitters"
    ].values()
    found = {score: row.get(score) for score in SCORES}
    told = result.report
    refined = told.get("refined", {})
    warned = any(
        words in warning
        for words in ("the fit leaves", "the spots have aberrations")
        for warning in told["warnings"]
    )
    return found | {
        "residual": refined.get("chi_square"),
        "lacking": refined.get("lacking_aberrations_rad"),
        "warned": warned,
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", help="of volumes that states its optics")
    parser.add_argument("--emitters", type=int, default=10, help="per frame, 10")
    parser.add_argument("--frames", type=int, default=8, help="of each condition, 8")
    parser.add_argument("--only", nargs="+", help="conditions that begin like this")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    declared: Any = frozen_test_set(open_package(chosen.package))
    if not isinstance(declared, DenseEmitterTestSet):
        parser.error(f"{chosen.package} is not tested on dense emitters in depth")
    test_set = declared.override(
        seed=SEED, emitters=(chosen.emitters,), frames=(chosen.frames,)
    )
    if not chosen.json:
        print_row(TITLES, WIDTHS)
    found: dict[str, Any] = {}
    for name, changes, told in conditions(test_set):
        if chosen.only and not name.startswith(tuple(chosen.only)):
            continue
        drawn = test_set.override(**changes)
        network = scores(chosen.package, drawn)
        told = told | {"refine": True}
        fit = scores(chosen.package, drawn, **told)
        adapted = scores(chosen.package, drawn, adapt_optics=True, **told)
        found[name] = {"network": network, "fit": fit, "adapted": adapted}
        if not chosen.json:
            cells = [
                [_shown(row[s], s) for s in SCORES] for row in found[name].values()
            ]
            tail = [_shown(fit[s], s) for s in ("residual", "lacking")]
            tail.append("yes" if fit["warned"] else "")
            print_row((name, *cells[0], *cells[1], *tail, *cells[2]), WIDTHS)
    if chosen.json:
        print(json.dumps(found, indent=2))


def _shown(value: float | None, score: str) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if score.endswith("_nm") else f"{value:.2f}"


if __name__ == "__main__":
    main()
