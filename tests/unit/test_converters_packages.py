"""A converted checkpoint as a package: the authors' numbers, and no claim beyond."""

import dfcan_program as program
import h5py
import numpy as np
import pytest
import yaml

from converters import registry
from converters.checkpoints.dfcan import convert, describe_network
from converters.mapping import MappingError
from converters.packages import Origin, refuse_filled
from zoo.core.errors import BadInput
from zoo.inputs.raw_frames import RawFrames
from zoo.io.library import open_package
from zoo.package.document import SECTIONS, missing_sections
from zoo.predict.contract import read_contract
from zoo.predict.predictor import Predictor

TILE = 24


@pytest.fixture(scope="module")
def weights():
    return program.convolutions(4, 4, channels=9, scale=3)


@pytest.fixture(scope="module")
def converted(tmp_path_factory, weights):
    folder = tmp_path_factory.mktemp("converted")
    path = program.write(folder / "weights.h5", weights)
    found = registry.checkpoint("dfcan")
    assert found is convert
    return found(str(path), folder / "made", tile=TILE, verify=False)


def reference(image, weights, monkeypatch):
    """Return what the authors' program makes of counts (y, x, c)."""
    monkeypatch.setattr(program, "SPECTRUM", 128)
    scaled = (image - image.min()) / (np.ptp(image) + 1e-6)
    return program.reference(scaled, weights, 4, 4, 0.8, 3)


@pytest.mark.tensorflow
def test_both_formats_compute_what_the_program_did(converted, weights, monkeypatch):
    import keras
    import onnxruntime

    package = open_package(converted)
    image = package.test_input()
    assert image.shape == (1, TILE, TILE, 9)
    expected = reference(image[0].astype(float), weights, monkeypatch)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(package.test_output()[0], expected, atol=2e-5)

    other = np.random.default_rng(24).random((TILE, TILE, 9))
    expected = program.reference(other, weights, 4, 4, 0.8, 3)
    batch = other[None].astype("float32")
    session = onnxruntime.InferenceSession(package.weights_path("onnx"))
    (found,) = session.run(None, {session.get_inputs()[0].name: batch})
    np.testing.assert_allclose(found[0], expected, atol=2e-5)
    model = keras.saving.load_model(package.weights_path("keras_v3"), compile=False)
    found = keras.ops.convert_to_numpy(model(batch))
    np.testing.assert_allclose(found[0], expected, atol=2e-5)


@pytest.mark.tensorflow
def test_our_predictor_runs_it_and_blends_larger_images(converted):
    model = Predictor(converted, engine="onnx", normalization="frame")
    image = model.package.test_input()
    found = model.predict(image, pixel_size_nm=60.0)
    expected = model.package.test_output()[0, ..., 0]
    np.testing.assert_allclose(found.image, expected, atol=2e-5)
    assert found.pixel_size_nm == pytest.approx(20.0)
    larger = np.tile(image, (1, 2, 2, 1))[:, : TILE + 9]
    assert model.predict(larger, pixel_size_nm=60.0).image.shape == (99, 144)


@pytest.mark.tensorflow
def test_a_converted_package_claims_no_training(converted):
    assert sorted(path.name for path in converted.iterdir()) == [
        "README.md",
        "cover.png",
        "model.onnx",
        "rdf.yaml",
        "sample_input.tif",
        "sample_output.tif",
        "test_input.npy",
        "test_output.npy",
        "weights.keras",
    ]
    rdf = yaml.safe_load((converted / "rdf.yaml").read_text(encoding="utf-8"))
    assert "training" not in rdf["config"]["bioimageio"]
    section = rdf["config"]["superres_zoo"]
    assert not {"run", "evaluations"} & set(section)
    origin = section["converted_from"]
    assert origin["file"] == "weights.h5"
    assert rdf["id"] == f"dfcan_converted_{origin['sha256'][:8]}"
    assert origin["written_by"] == {"keras": "2.2.4", "backend": "tensorflow"}
    contract = read_contract(open_package(converted))
    for axis in contract.grid.axes.values():
        assert (axis.scale, axis.size, axis.overlap) == (3, TILE, 6)
    assert contract.input == RawFrames(order="angle-major")
    assert contract.training == {}
    assert not section["published_architecture"]  # narrower than the paper's
    channels = rdf["inputs"][0]["axes"][-1]["channel_names"]
    assert channels[0] == "angle1_phase1"
    assert channels[-1] == "angle3_phase3"
    readme = (converted / "README.md").read_text(encoding="utf-8")
    assert not missing_sections(readme)
    assert readme.count("\n## ") == len(SECTIONS)
    assert origin["sha256"] in readme
    assert "Not scored" in readme
    assert "zoo train" not in readme


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_converted_package_passes_the_official_test(tmp_path):
    path = program.write(tmp_path / "weights.h5", program.convolutions(4, 4))
    made = convert(path, tmp_path / "made", tile=TILE)
    assert (made / "rdf.yaml").is_file()


@pytest.mark.parametrize(
    ("channels", "scale", "turns"), [(1, 2, None), (9, 2, 3), (25, 3, 5), (7, 2, None)]
)
def test_channels_and_scale_follow_from_the_network(channels, scale, turns):
    from zoo.models.dfcan import dfcan

    model = dfcan(channels=channels, scale=scale, tile=16, width=16, groups=1, blocks=1)
    identity = describe_network(model, Origin("w.h5", "0" * 64, {}))
    grid, source = identity.contract.grid, identity.contract.input
    assert {(a.scale, a.size) for a in grid.axes.values()} == {(scale, 16)}
    assert len(grid.channels) == channels
    if turns is None:
        assert source.kind == "frames"
        assert source.diffraction_limited == (channels == 1)
    else:
        assert source == RawFrames(orientations=turns, phases=turns)
        assert grid.channels[turns] == "angle2_phase1"
    assert 5 <= len(identity.title) <= 64


def test_other_checkpoints_are_refused_before_anything_is_written(tmp_path, weights):
    target = tmp_path / "new" / "made"
    path = program.write(tmp_path / "a", program.convolutions(5, 10))
    with pytest.raises(MappingError, match="generator of DFGAN"):
        convert(path, target)
    path = program.write(tmp_path / "b", weights[:-1])
    with pytest.raises(MappingError, match="82 convolutions"):
        convert(path, target)
    wrong = [*weights[:2], (weights[2][0][..., :8], weights[2][1][:8]), *weights[3:]]
    path = program.write(tmp_path / "c", wrong)
    with pytest.raises(MappingError, match="shapes differ"):
        convert(path, target, tile=TILE)
    (tmp_path / "d").write_bytes(b"PK\x03\x04 a zip")
    with pytest.raises(BadInput, match="cannot be read as a Keras 2 HDF5 file"):
        convert(tmp_path / "d", target)
    with h5py.File(tmp_path / "e", "w") as file:
        file.create_group("layers")
    with pytest.raises(BadInput, match=r"\.weights\.h5 of Keras 3"):
        convert(tmp_path / "e", target)
    assert not target.parent.exists()


def test_nothing_is_overwritten(tmp_path, weights):
    path = program.write(tmp_path / "w", weights)
    target = tmp_path / "mine"
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="exists already; choose another"):
        convert(path, target, tile=TILE)
    assert [item.name for item in target.iterdir()] == ["notes.txt"]
    (target / "notes.txt").unlink()
    refuse_filled(target)
