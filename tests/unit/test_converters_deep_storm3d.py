"""Checkpoints of DeepSTORM3D, against a NumPy rendering of the authors' network.

The files are written here in the layouts of PyTorch, without PyTorch: pickles that name
its functions and classes, and blocks of numbers.
"""

import logging
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import yaml

from converters import registry
from converters.checkpoints.deep_storm3d import (
    convert,
    halo_px,
    load_deep_storm3d,
    placed,
)
from converters.deep_storm3d_settings import SETTINGS_FILE, Given, settled
from converters.deep_storm3d_training import measured, told_dilation
from converters.mapping import MappingError
from converters.pickles import read_values
from converters.torch_file import read_torch
from zoo.core.errors import BadInput
from zoo.physics.masks import PhaseMap
from zoo.physics.pupil import PupilOptics
from zoo.predict.predictor import Predictor

PLANES = 5
DEMO = Path(__file__).parents[3] / "shared" / "data" / "deep_storm3d"
CHECKPOINT = DEMO / "tetrapod_demo3_weights_best_loss.pkl"
MASK = DEMO / "mask_tetrapod.mat"
published = pytest.mark.skipif(
    not CHECKPOINT.is_file(), reason="the published checkpoint is not there"
)


def state(planes=PLANES):
    """Return a state_dict of the authors' network by its names, in its order."""
    rng = np.random.default_rng(3)
    tensors = OrderedDict()

    def norm(name, width):
        tensors[f"{name}.weight"] = rng.uniform(0.5, 1.5, width).astype("f4")
        tensors[f"{name}.bias"] = rng.normal(0, 0.2, width).astype("f4")
        tensors[f"{name}.running_mean"] = rng.normal(0, 0.2, width).astype("f4")
        tensors[f"{name}.running_var"] = rng.uniform(0.5, 2.0, width).astype("f4")
        tensors[f"{name}.num_batches_tracked"] = np.array(7)

    def conv(name, before, after, kernel=3):
        scale = np.sqrt(1 / (before * kernel**2))
        shape = (after, before, kernel, kernel)
        tensors[f"{name}.weight"] = rng.normal(0, scale, shape).astype("f4")
        tensors[f"{name}.bias"] = rng.normal(0, 0.1, after).astype("f4")

    norm("norm", 1)
    widths = [("layer1", 1, 64)] + [(f"layer{n}", 65, 64) for n in range(2, 7)]
    widths += [("deconv1", 65, 64), ("deconv2", 64, 64), ("layer7", 64, planes)]
    widths += [("layer8", planes, planes), ("layer9", planes, planes)]
    for name, before, after in widths:
        conv(f"{name}.conv", before, after)
        norm(f"{name}.bn", after)
    conv("layer10", planes, planes, kernel=1)
    return tensors


def reference(frame, w, dilations):
    """Return what the network makes of a frame (y, x): (planes, 4y, 4x)."""

    def normed(x, name):
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, var, gain, offset = (
            w[f"{name}.{p}"].astype(float)[:, None, None] for p in parts
        )
        return (x - mean) / np.sqrt(var + 1e-5) * gain + offset

    def unit(x, name, rate=1):
        kernel = w[f"{name}.conv.weight"].astype(float)
        height, width = x.shape[1:]
        padded = np.pad(x, [(0, 0), (rate, rate), (rate, rate)])
        total = np.zeros((len(kernel), height, width))
        for i in range(3):
            for j in range(3):
                part = padded[:, i * rate : i * rate + height, j * rate :][..., :width]
                total += np.tensordot(kernel[:, :, i, j], part, 1)
        total += w[f"{name}.conv.bias"][:, None, None]
        return normed(np.where(total > 0, total, 0.2 * total), f"{name}.bn")

    image = normed(frame[None].astype(float), "norm")
    x = unit(image, "layer1")
    for number, rate in enumerate(dilations, start=2):
        x = x + unit(np.concatenate([x, image]), f"layer{number}", rate)
    x = np.concatenate([x, image])
    for name in ("deconv1", "deconv2"):
        x = unit(x.repeat(2, axis=1).repeat(2, axis=2), name)
    x = unit(x, "layer7")
    for name in ("layer8", "layer9"):
        x = x + unit(x, name)
    x = np.tensordot(w["layer10.weight"][:, :, 0, 0].astype(float), x, 1)
    return np.clip(x + w["layer10.bias"][:, None, None], 0, 800)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("dilation", "rates", "zipped"),
    [(16, (1, 2, 4, 8, 16), False), (4, (1, 2, 4, 1, 1), True)],
)
def test_the_authors_output_is_reproduced(tmp_path, pytorch, dilation, rates, zipped):
    tensors = state()
    path = pytorch.write(tmp_path / "w.pkl", tensors, zipped=zipped)
    model = load_deep_storm3d(path, dilation=dilation)
    assert model.count_params() == sum(
        t.size for name, t in tensors.items() if not name.endswith("tracked")
    )
    frame = np.random.default_rng(1).random((18, 15)).astype("f4")
    expected = reference(frame, tensors, rates)
    result = np.asarray(model(frame[None, ..., None]))
    assert result.shape == (1, PLANES, 72, 60, 1)
    assert expected.max() > 0
    np.testing.assert_allclose(result[0, ..., 0], expected, atol=1e-5 * expected.max())


@pytest.mark.tensorflow
@pytest.mark.parametrize("dilation", [16, 4])
def test_a_voxel_sees_no_further_than_the_halo(tmp_path, pytorch, dilation):
    path = pytorch.write(tmp_path / "w.pkl", state(2), zipped=False)
    model = load_deep_storm3d(path, dilation=dilation)
    halo = halo_px(dilation)
    size = 2 * halo + 9
    frame = np.random.default_rng(2).random((1, size, size, 1)).astype("f4")
    other = frame.copy()
    other[0, size // 2, size // 2] += 5.0
    # before the clipping, so that no difference is hidden
    unclipped = model.get_layer("layer10_conv").output
    import keras

    both = keras.Model(model.input, unclipped).predict_on_batch(
        np.concatenate([frame, other])
    )
    # fast convolutions work on tiles, within which one pixel changes how others round
    different = np.abs(both[0] - both[1]) > 1e-5 * np.abs(both).max()
    changed = np.argwhere(different.any(axis=-1)) // 4
    reach = np.abs(changed - size // 2).max()
    assert reach <= halo
    assert reach >= halo - 2


def test_code_in_a_pickle_is_refused_and_named(tmp_path, pytorch):
    class Evil:
        def __reduce__(self):
            return os.system, ("exit 3",)

    for name, zipped in (("old.pkl", False), ("new.pkl", True)):
        content = state() | {"layer11": Evil()}
        path = pytorch.write(tmp_path / name, content, zipped=zipped)
        with pytest.raises(BadInput, match=r"names (posix|nt)\.system"):
            convert(path, tmp_path / "package", z_range_nm=(0, 4000))
    assert not (tmp_path / "package").exists()


def test_other_networks_are_refused(tmp_path, pytorch):
    tensors = state()
    del tensors["layer10.weight"]
    path = pytorch.write(tmp_path / "w.pkl", tensors, zipped=False)
    with pytest.raises(MappingError, match=r"layer7\.conv\.weight|layer10"):
        load_deep_storm3d(path)
    (tmp_path / "x.pkl").write_bytes(b"no pickle at all")
    with pytest.raises(BadInput, match="cannot be read as a PyTorch file"):
        load_deep_storm3d(tmp_path / "x.pkl")


def settings(**changes):
    """Return the settings of the authors' program, in its words and units."""
    return {
        "D": PLANES, "zmin": 2, "zmax": 6.0, "dilation_flag": False,
        "project_01": True, "global_factors": None, "scaling_factor": 800.0,
        "NFP": 4.5, "lamda": 0.58, "NA": 1.45, "noil": 1.518, "nwater": 1.33,
        "pixel_size_CCD": 11, "pixel_size_SLM": 24, "M": 100, "f_4f": 15e4,
        "nsig_unif_range": [10000, 60000], "mask_init": np.zeros((329, 329)),
    } | changes  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_settings_of_the_program_are_found(tmp_path, pytorch, protocol):
    content = settings(device=pytorch.torch.device(), zmax=np.float64(6))
    beside = tmp_path / SETTINGS_FILE
    beside.write_bytes(pickle.dumps(content, protocol=protocol))
    assert "device" not in read_values(beside)
    training = settled(PLANES, Given(), tmp_path / "w.pkl", "")
    assert training.z_range_nm == (2000.0, 6000.0)
    assert (training.dilation, training.normalisation) == (4, "frame")
    assert training.pixel_size_nm == pytest.approx(110.0)
    assert training.photons == (10000.0, 60000.0)
    assert training.label_shift_px is None  # measured behind the mask
    assert training.optics.wavelength_nm == pytest.approx(580.0)
    assert training.optics.focus_nm == pytest.approx(4500.0)
    assert set(training.stated.values()) == {SETTINGS_FILE, "the authors' program"}
    told = settled(PLANES, Given(z_range_nm=(0, 2000)), tmp_path / "w.pkl", "")
    assert told.z_range_nm == (0.0, 2000.0)
    with pytest.raises(BadInput, match="5 planes, the checkpoint has 7"):
        settled(7, Given(), tmp_path / "w.pkl", "")


def test_demonstrations_are_known_by_their_planes(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    storm = settled(121, Given(), tmp_path / "w.pkl", "")
    assert storm.z_range_nm == (0.0, 4000.0)
    assert (storm.normalisation, storm.global_factors) == ("global", (0.0, 250.0))
    assert (storm.dilation, storm.label_shift_px) == (16, 2)
    assert "demonstration with 121 planes" in caplog.text
    telomeres = settled(81, Given(dilation=4), tmp_path / "w.pkl", "")
    assert telomeres.z_range_nm == (2000.0, 6000.0)
    assert (telomeres.normalisation, telomeres.label_shift_px) == ("frame", 0)


def test_what_is_not_found_is_asked_for(tmp_path, pytorch):
    path = pytorch.write(tmp_path / "w.pkl", state(), zipped=False)
    with pytest.raises(BadInput, match=r"which depths.*z_range_nm=\[2000,6000\]"):
        convert(path, tmp_path / "package")
    with pytest.raises(BadInput, match="how its frames were scaled"):
        convert(path, tmp_path / "package", z_range_nm=(0, 4000))
    with pytest.raises(BadInput, match=r"normalisation: .*'frame' or 'global'"):
        convert(path, tmp_path / "package", normalisation="log")
    with pytest.raises(BadInput, match="there is no such field"):
        convert(path, tmp_path / "package", depths=3)
    assert registry.settings(convert, ["z_range_nm=[0,4000]"]) == {
        "z_range_nm": [0, 4000]
    }
    smnet = registry.checkpoint("smnet")
    with pytest.raises(BadInput, match="needs nothing but the checkpoint"):
        registry.settings(smnet, ["a=1"])


def test_masks_of_other_shapes_are_refused_and_others_wrapped(tmp_path, caplog):
    path, mask = tmp_path / "w.pkl", tmp_path / "mask.npy"
    known = {"z_range_nm": (0, 4000), "normalisation": "frame", "wavelength_nm": 670}
    for shape, match in (((40, 50), "square"), ((64, 64), "give pupil_px")):
        np.save(mask, np.zeros(shape))
        with pytest.raises(BadInput, match=match):
            settled(PLANES, Given(mask=str(mask), **known), path, "")
    np.save(mask, np.full((64, 64), 3 * np.pi / 2))
    given = Given(mask=str(mask), pupil_px=40, **known)
    caplog.set_level(logging.WARNING)
    optics = settled(PLANES, given, path, "").optics
    assert "wrapped" in caplog.text
    np.testing.assert_allclose(optics.mask.array(), -np.pi / 2, atol=1e-2)
    with pytest.raises(BadInput, match="is not a file"):
        settled(PLANES, Given(mask=str(tmp_path / "no.mat"), **known), path, "")
    (tmp_path / "no.mat").write_bytes(b"text")
    with pytest.raises(BadInput, match="cannot be read as a MATLAB file"):
        settled(PLANES, Given(mask=str(tmp_path / "no.mat"), **known), path, "")


@pytest.mark.tensorflow
def test_volumes_of_shifted_labels_are_moved_back(tmp_path, pytorch):
    model = load_deep_storm3d(pytorch.write(tmp_path / "w.pkl", state(), zipped=False))
    frame = np.random.default_rng(1).random((1, 12, 10, 1)).astype("f4")
    before = np.asarray(model(frame))
    after = np.asarray(placed(model, 2)(frame))
    np.testing.assert_array_equal(after[:, :, 2:, 2:], before[:, :, :-2, :-2])
    assert not after[:, :, :2].any()
    assert not after[:, :, :, :2].any()
    assert placed(model, 0) is model


@pytest.mark.tensorflow
def test_a_package_predicts_with_the_right_scale(tmp_path, pytorch):
    path = pytorch.write(tmp_path / "w.pkl", state(), zipped=False)
    folder = convert(
        path,
        tmp_path / "package",
        verify=False,
        z_range_nm=(1000, 2000),
        dilation=4,
        normalisation="global",
        global_factors=(10, 200),
        label_shift_px=2,
    )
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    axes = {axis["id"]: axis for axis in rdf["outputs"][0]["axes"]}
    assert axes["z"]["size"] == PLANES
    assert list(axes) == ["batch", "z", "y", "x", "channel"]
    assert axes["x"]["scale"] == 4
    readme = (folder / "README.md").read_text()
    assert "Labels of this checkpoint lie 2 fine pixels" in readme
    assert "told by the user" in readme
    model = Predictor(folder, engine="onnx", threshold=1e-6, volume=True)
    task = model.contract.task
    assert (task.z_first_nm, task.z_step_nm) == (1100.0, 200.0)
    (step,) = model.contract.preprocessing
    assert step["kwargs"]["gain"] == pytest.approx(1 / 200)
    assert step["kwargs"]["offset"] == pytest.approx(-10 / 200)
    frames = np.random.default_rng(4).integers(20, 200, (2, 40, 36)).astype("u2")
    result = model.predict(frames, pixel_size_nm=110)
    image = result.main
    assert image.array.shape == (PLANES, 160, 144)
    assert image.pixel_size_nm == {"y": 27.5, "x": 27.5, "z": 200.0}
    network = load_deep_storm3d(path, dilation=4)
    expected = sum(
        np.asarray(network(((f - 10.0) / 200)[None, ..., None].astype("f4")))[0, ..., 0]
        for f in frames
    )
    np.testing.assert_allclose(
        image.array[:, 2:, 2:], expected[:, :-2, :-2], atol=1e-4 * expected.max()
    )
    tiled = Predictor(folder, engine="onnx", threshold=1e-6, volume=True, tile=32)
    other = tiled.predict(frames, pixel_size_nm=110)
    np.testing.assert_allclose(
        other.main.array, image.array, atol=1e-4 * expected.max()
    )


@published
@pytest.mark.tensorflow
def test_the_published_checkpoint_tells_its_dilation_and_origin():
    tensors = read_torch(CHECKPOINT, only_tensors=True).tensors
    assert sum(t.size for n, t in tensors.items() if "running" not in n
               and "tracked" not in n) == 435_743  # fmt: skip

    def network(dilation):
        return load_deep_storm3d(CHECKPOINT, dilation=dilation)

    assert told_dilation(network, tensors, None) == 16


@published
@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_published_checkpoint_localizes_without_bias():
    known = settled(81, Given(mask=str(MASK), dilation=16), CHECKPOINT, "")
    assert isinstance(known.optics, PupilOptics)
    assert isinstance(known.optics.mask, PhaseMap)
    training, errors = measured(
        known, lambda d: load_deep_storm3d(CHECKPOINT, dilation=d), {}
    )
    # with the two fine pixels of the published post-processing it would be 55 nm
    assert training.label_shift_px == 0
    assert set(errors) == {"errors", "errors_z"}
    assert "Jaccard index 0.9" in training.checked
