"""Localizations in volumes fitted to the frames they were found in."""

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.core.localizations import Localizations
from zoo.core.products import Product, Table
from zoo.core.random import generator
from zoo.inputs.frames import Frames
from zoo.metrics.matching import match
from zoo.physics.engineered import PUPILS
from zoo.physics.optics_score import MODES, aberrated
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.tasks import refining_depth
from zoo.tasks.uncertainty import Errors
from zoo.tasks.volume import Volume, VolumeOptions

OPTICS = PUPILS["tetrapod"]
PIXEL_NM, STEP_NM, PLANES, SIDE = OPTICS.pixel_nm, 50.0, 24, 64
TASK = Volume(
    z_first_nm=1500 + STEP_NM / 2,
    z_step_nm=STEP_NM,
    optics=OPTICS,
    blurs_nm=(80.0, 130.0),
    errors=Errors(spread=(0.0, 1.0), error=(0.3, 0.4)),
)
AXIS = Axis(scale=4, halo=2)
CONTRACT = Contract(
    grid=Grid(
        output_axes="bzyxc",
        axes={"y": AXIS, "x": AXIS},
        planes=PLANES,
        outputs=("density",),
    ),
    input=Frames(),
    task=TASK,
    training={"photons": (10000.0, 60000.0)},
)
OFFSET, PER_COUNT = 100.0, 0.5
REFINE = VolumeOptions(refine=True, offset_adu=OFFSET, photons_per_adu=PER_COUNT)
TRUTH = Localizations(
    x_nm=np.array([2012.0, 2580.0, 4230.0]),
    y_nm=np.array([2255.0, 2404.0, 4433.0]),
    z_nm=np.array([1800.0, 2300.0, 2100.0]),
    photons=np.array([20000.0, 30000.0, 15000.0]),
)


def repeated(frames: int) -> Localizations:
    """Return the same emitters in every frame."""
    return Localizations.concatenate(
        [
            TRUTH.with_columns(frame=np.full(3, number))
            for number in range(1, frames + 1)
        ]
    )


def movie(truth: Localizations, optics: PupilOptics = OPTICS) -> np.ndarray:
    """Return counts, (t, y, x)."""
    psf = PupilPsf(optics.override(blur_nm=100.0), samples=96)
    frames, rng = int(truth.frame.max()), generator(6)
    counts = np.empty((frames, SIDE, SIDE))
    for number in range(frames):
        rows = truth.select(truth.frame == number + 1)
        images = psf.images(rows.x_nm, rows.y_nm, rows.z_nm, (SIDE, SIDE))
        light = np.tensordot(rows.photons, images, axes=1) + 50
        counts[number] = OFFSET + rng.poisson(light) / PER_COUNT
    return counts


def coarse(truth: Localizations) -> np.ndarray:
    """Return a network's output of spikes that are one voxel off, (t, z, y, x, 1)."""
    frames = int(truth.frame.max())
    volume = np.zeros((frames, PLANES, 4 * SIDE, 4 * SIDE, 1), np.float32)
    for x, y, z, frame in zip(
        truth.x_nm, truth.y_nm, truth.z_nm, truth.frame, strict=True
    ):
        place = int((z - 1500) / STEP_NM) + 1, int(y / 27.5) + 1, int(x / 27.5) - 1
        volume[(int(frame) - 1, *place)] = 700.0
    return volume


def localized(
    options: VolumeOptions,
    *,
    counts: np.ndarray | None = None,
    truth: Localizations | None = None,
    chunk: int = 1,
    task: Volume = TASK,
) -> tuple[Localizations, dict, list[str]]:
    contract = CONTRACT.override(task=task)
    truth = repeated(2) if truth is None else truth
    output = coarse(truth)
    recording = contract.input.open(
        movie(truth) if counts is None else counts,
        contract,
        name="p",
        options=Frames.options(),
        pixel_size_nm=PIXEL_NM,
    )
    running = contract.task.start(recording, contract, options)
    products: list[Product] = []
    for first, frames in recording.chunks(chunk):
        part = output[first : first + len(frames)]
        products += running.add(frames, part, first)
    products += running.finish()
    tables = [p.rows for p in products if isinstance(p, Table)]
    return Localizations.concatenate(tables), running.report(), running.warnings()


def test_the_fit_is_nearer_and_knows_its_errors():
    plain, report, _ = localized(VolumeOptions())
    assert "refined" not in report
    fitted, report, warnings = localized(REFINE)
    truth = repeated(2)
    assert len(match(truth, fitted, radius_nm=40.0)) == len(truth) == len(fitted)
    order = np.argsort(fitted.x_nm + 1e5 * fitted.frame)
    depth_off = fitted.z_nm[order] - truth.z_nm
    assert np.sqrt(np.mean(depth_off**2)) < 25
    assert np.mean(match(truth, fitted, radius_nm=80.0).distance_nm) < 12
    assert np.mean(match(truth, plain, radius_nm=80.0).distance_nm) > 20
    assert np.all(np.abs(fitted.photons[order] / truth.photons - 1) < 0.1)
    assert np.all(fitted.uncertainty_z_nm < 25)
    assert fitted.response is None
    assert report["refined"]["network"] == report["refined"]["fit"] == 6
    assert report["refined"]["chi_square"] == pytest.approx(1, abs=0.1)
    assert report["localizations"] == 6
    assert report["options"]["photons_per_adu"] == PER_COUNT
    assert report["options"]["threshold"] == pytest.approx(0.06)
    assert report["uncertainty"]["origin"] == "bound of the fit"
    assert warnings == []


def test_a_wrong_camera_is_told():
    wrong = REFINE.model_copy(update={"photons_per_adu": 2 * PER_COUNT})
    _, report, warnings = localized(wrong)
    assert report["refined"]["chi_square"] > 1.5
    assert any("check --offset-adu" in warning for warning in warnings)


def test_frames_without_emitters_give_an_empty_table():
    dark = OFFSET + generator(7).poisson(50, (2, SIDE, SIDE)) / PER_COUNT
    fitted, report, warnings = localized(REFINE, counts=dark)
    assert len(fitted) == report["localizations"] == 0
    assert any("no localizations" in warning for warning in warnings)


LACKING = np.zeros(len(MODES))
LACKING[[MODES.index((2, 2)), MODES.index((3, 1)), MODES.index((4, 0))]] = (
    0.2,
    0.15,
    0.2,
)


def foreign() -> tuple[Localizations, np.ndarray]:
    """Return emitters of eighteen frames, and counts behind aberrated optics."""
    rng, frames = generator(8), 18
    truth = repeated(frames)
    shift = rng.uniform(-400, 400, (2, len(truth)))
    truth = truth.with_columns(
        x_nm=truth.x_nm + shift[0],
        y_nm=truth.y_nm + shift[1],
        z_nm=rng.uniform(1650, 2550, len(truth)),
    )
    return truth, movie(truth, aberrated(OPTICS, LACKING))


@pytest.mark.parametrize("chunk", [18, 4])
def test_other_optics_are_told_and_taken_up(chunk):
    truth, counts = foreign()

    def wrong_nm(table):
        """Root mean square error along depth of what was adapted from the start."""
        pairs = match(truth, table, radius_nm=150.0)
        assert len(pairs) > 0.9 * len(truth)
        off = table.z_nm[pairs.found] - truth.z_nm[pairs.truth]
        return np.sqrt(np.mean(off**2))

    fitted, report, warnings = localized(
        REFINE, counts=counts, truth=truth, chunk=chunk
    )
    size = np.linalg.norm(LACKING)
    assert report["refined"]["lacking_aberrations_rad"] == pytest.approx(size, rel=0.3)
    assert "aberrations_rad" not in report["refined"]
    (told,) = warnings
    assert "take them up with --adapt-optics" in told
    adapt = REFINE.override(adapt_optics=True)
    adapted, report, warnings = localized(
        adapt, counts=counts, truth=truth, chunk=chunk
    )
    assert wrong_nm(adapted) < 0.6 * wrong_nm(fitted)
    found = report["refined"]["aberrations_rad"]
    off = [found[f"{n},{m}"] - c for (n, m), c in zip(MODES, LACKING, strict=True)]
    assert np.linalg.norm(off) < 0.5 * size
    assert report["refined"]["lacking_aberrations_rad"] < 0.05
    (told,) = warnings
    assert "took up aberrations of 0." in told
    assert "only beads tell" in told


def test_right_optics_stay_and_few_emitters_change_nothing():
    adapt = REFINE.override(adapt_optics=True)
    truth = repeated(12)
    fitted, report, warnings = localized(adapt, truth=truth, chunk=12)
    assert len(fitted) == 36
    assert "aberrations_rad" not in report["refined"]
    assert warnings == []
    truth, counts = foreign()
    few = truth.select(truth.frame <= 6)
    _, report, _ = localized(adapt, counts=counts[:6], truth=few, chunk=6)
    assert "aberrations_rad" not in report["refined"]


def test_frames_are_held_back_only_as_long_as_they_fit(monkeypatch):
    truth, counts = foreign()
    adapt = REFINE.override(adapt_optics=True)
    monkeypatch.setattr(refining_depth, "MOST_HELD_PX", 1)
    fitted, report, _ = localized(adapt, counts=counts, truth=truth, chunk=4)
    assert "aberrations_rad" not in report["refined"]  # of twelve emitters
    assert set(fitted.frame) == set(range(1, 19))


@pytest.mark.parametrize(
    ("options", "task", "match_"),
    [
        (REFINE, TASK.override(optics=None), "no optics .* leave out --refine"),
        (VolumeOptions(refine=True), TASK, "--offset-adu and --photons-per-adu"),
        (VolumeOptions(adapt_optics=True), TASK, "part of the fit; give --refine"),
    ],
)
def test_what_the_fit_needs(options, task, match_):
    with pytest.raises(BadInput, match=match_):
        localized(options, task=task)


def test_gaussians_need_errors_or_the_fit():
    plain = TASK.override(errors=None)
    with pytest.raises(BadInput, match="or give --refine"):
        localized(VolumeOptions(render="gaussian"), task=plain)
    drawn = REFINE.model_copy(update={"render": "gaussian"})
    fitted, _, _ = localized(drawn, task=plain)
    assert len(fitted) == 6


def test_unknown_blurs_are_left_out_of_the_contract():
    assert "blurs_nm" not in Volume().model_dump()
    assert TASK.model_dump()["blurs_nm"] == (80.0, 130.0)
