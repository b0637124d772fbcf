"""What the tensors of a DeepSTORM3D checkpoint and simulated frames show of a training.

The statistics in a checkpoint tell its dilation; frames that are simulated behind its
phase mask tell where its labels lie and how large its errors are.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from converters.deep_storm3d_settings import SHIFT_PX, Training
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.metrics.localizations import score
from zoo.metrics.matching import match
from zoo.physics.engineered import PUPILS
from zoo.physics.pupil import PupilOptics
from zoo.simulate.dense_emitters import DenseEmitters
from zoo.tasks.volume import Volume

UNSURE = 0.85
"""Ratio of the two misfits from which the dilation is not told by the statistics."""

_CHECK = {"frames": 8, "emitters": 17}  # as many as in the authors' validation
_LEAST_RECALL = 0.4

Network = Callable[[int], keras.Model]
"""The network of the checkpoint by its largest dilation."""


def measured(
    training: Training, network: Network, tensors: Mapping[str, np.ndarray]
) -> tuple[Training, dict[str, Any]]:
    """Return a training with what was open measured, and the errors of localizations.

    Parameters
    ----------
    training
        As it is known.
    network
        The network of the checkpoint by its dilation.
    tensors
        Of the checkpoint.

    Returns
    -------
    training, errors
        Fields of `zoo.tasks.volume.Volume`; none without a phase mask.

    Raises
    ------
    BadInput
        If the dilation cannot be told, or the network does not find emitters behind
        the given mask.
    """
    if training.dilation is None:
        dilation = told_dilation(network, tensors, training.optics)
        stated = {"dilation": "statistics of the checkpoint"}
        training = replace(training, dilation=dilation, stated=training.stated | stated)
    if training.optics is None:
        return training, {}
    return _checked(training, network(training.dilation or 16))


def told_dilation(
    network: Network,
    tensors: Mapping[str, np.ndarray],
    optics: PupilOptics | None,
) -> int:
    """Tell the largest dilation by the means that the normalisations remember.

    A checkpoint keeps the mean of every feature over its training.  On frames of
    overlapping spots the network with the right dilations meets these means, whatever
    the phase mask; with others it does not from the fifth layer on.

    Raises
    ------
    BadInput
        If both fit alike.
    """
    source = DenseEmitters(optics=optics or PUPILS["tetrapod"])
    numbers = np.array([4, 10, 20, 34])
    frames = source.frames(generator(2020, 1, 0), numbers, size_px=96).counts
    ready = frames.astype(np.float32)
    ready = (ready - ready.mean()) / ready.std()
    ready *= np.sqrt(tensors["norm.running_var"])
    ready += tensors["norm.running_mean"]
    names = ("layer5", "layer6", "deconv1")
    misfits: dict[int, float] = {}
    for dilation in (16, 4):
        model = network(dilation)
        features = [model.get_layer(f"{name}_norm").input for name in names]
        outputs: Any = keras.Model(model.input, features).predict_on_batch(
            ready[..., None]
        )
        misfits[dilation] = 0.0
        for name, values in zip(names, outputs, strict=True):
            mean = np.asarray(values).mean(axis=(0, 1, 2))
            off = np.abs(mean - tensors[f"{name}.bn.running_mean"])
            scale = np.sqrt(tensors[f"{name}.bn.running_var"] + 1e-5)
            misfits[dilation] += float(np.median(off / scale))
    best = min(misfits, key=lambda dilation: misfits[dilation])
    if min(misfits.values()) > UNSURE * max(misfits.values()):
        raise BadInput(
            "the checkpoint does not tell whether its largest dilation is 16 or 4; "
            "give dilation=16 (wide spots) or dilation=4 (compact ones)"
        )
    return best


def _simulated(training: Training) -> DenseEmitters:
    """Return what draws frames like those of the training."""
    optics = training.optics or PUPILS["tetrapod"]
    source: dict[str, Any] = {"optics": optics, "z_nm": training.z_range_nm}
    if training.normalisation == "global":  # the authors' blinking dyes, less minimum
        source |= {
            "gamma": (3.0, 3000.0),
            "photons": (6000.0, 60000.0),
            "background_photons": (0.01, 0.02),
            "baseline_photons": (20.0, 40.0),
            "read_noise_photons": (8.0, 14.0),
            "blur_px": (0.99, 1.01),
        }
    elif training.photons is not None:
        source["photons"] = training.photons
    return DenseEmitters(**source)


def _checked(training: Training, model: keras.Model) -> tuple[Training, dict[str, Any]]:
    """Measure shift, scores and errors on simulated frames behind the mask."""
    low, high = training.z_range_nm
    output: Any = model.output
    step = (high - low) / output.shape[1]
    pixel = training.pixel_size_nm / 4
    task = Volume(
        ideal_peak=training.peak, z_first_nm=low + step / 2, z_step_nm=step
    ).uncalibrated()
    numbers = np.full(_CHECK["frames"], _CHECK["emitters"])
    simulation = _simulated(training).frames(
        generator(2020, 2, 0), numbers, border_px=20
    )
    truth: Any = simulation.truth
    tables: list[Localizations] = []
    for number, counts in enumerate(simulation.counts, start=1):
        frame = scaled(counts.astype(np.float32), training)
        volume: Any = model.predict_on_batch(frame[None, ..., None])
        rows, _ = task.localize(np.asarray(volume)[0, ..., 0], pixel_nm=pixel)
        tables.append(rows.with_columns(frame=np.full(len(rows), number)))
    found = Localizations.concatenate(tables)
    wide = match(truth, found, radius_nm=200.0, axial_radius_nm=200.0)
    if len(wide) < _LEAST_RECALL * len(truth):
        raise BadInput(
            f"behind the given phase mask the network finds {len(wide)} of "
            f"{len(truth)} simulated emitters: mask, depths or scaling are not those "
            "of the checkpoint; tell the right ones, or leave out the mask"
        )
    stated = dict(training.stated)
    shift = training.label_shift_px
    if shift is None:
        off = [
            float(
                np.median(getattr(found, c)[wide.found] - getattr(truth, c)[wide.truth])
            )
            for c in ("x_nm", "y_nm")
        ]
        shift = SHIFT_PX if np.mean(off) < -SHIFT_PX * pixel / 2 else 0
        stated["origin of the labels"] = (
            f"measured on simulated frames, {np.mean(off):+.0f} nm"
        )
    found = found.with_columns(
        x_nm=found.x_nm + shift * pixel, y_nm=found.y_nm + shift * pixel
    )
    pairs = match(truth, found, radius_nm=100.0, axial_radius_nm=100.0)
    units = {"x_nm": pixel, "y_nm": pixel, "z_nm": step}
    error = {
        c: (getattr(found, c)[pairs.found] - getattr(truth, c)[pairs.truth]) / unit
        for c, unit in units.items()
    }
    rows: Any = found.select(pairs.found)
    errors = task.calibration(
        {
            "uncertainty_nm": rows.uncertainty_nm / pixel,
            "uncertainty_z_nm": rows.uncertainty_z_nm / step,
        },
        {
            "uncertainty_nm": np.stack([error["x_nm"], error["y_nm"]], axis=1),
            "uncertainty_z_nm": error["z_nm"],
        },
        np.ones(len(rows)),
    )
    values = score(
        truth,
        found,
        field_nm=121 * training.pixel_size_nm,
        border_nm=0.0,
        radius_nm=100.0,
        axial_radius_nm=100.0,
    )
    checked = (
        f"On {_CHECK['frames']} simulated frames of {_CHECK['emitters']} emitters "
        "behind its phase mask (121 x 121 px, matched within 100 nm): Jaccard index "
        f"{values['jaccard']:.2f}, RMSE {values['rmse_lateral_nm']:.0f} nm laterally "
        f"and {values['rmse_axial_nm']:.0f} nm axially, mean errors "
        f"{values['bias_x_nm']:+.1f} nm in x, {values['bias_y_nm']:+.1f} nm in y and "
        f"{values['bias_z_nm']:+.1f} nm in z. The stated uncertainties were measured "
        "on the same frames."
    )
    return replace(
        training, label_shift_px=shift, stated=stated, checked=checked
    ), errors


def scaled(frame: np.ndarray, training: Training) -> np.ndarray:
    """Return a frame scaled as in the training."""
    if training.normalisation == "frame":
        return (frame - frame.min()) / max(float(np.ptp(frame)), 1e-6)
    offset, scale = training.global_factors
    return (frame - offset) / scale
