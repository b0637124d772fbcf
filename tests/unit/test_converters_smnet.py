"""Checkpoints of smNet's PyTorch port, against a NumPy rendering of the network.

The files are written here in the layouts of PyTorch, without PyTorch: pickles that name
its functions and classes, and blocks of numbers.  The network is rendered from its
description, with tensors (channel, x, y) as the port reads them, not from our layers.
"""

import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import yaml

from converters import registry
from converters.checkpoints.smnet import (
    Layout,
    describe_network,
    load_smnet,
    read_layout,
)
from converters.mapping import MappingError
from converters.packages import Origin
from converters.torch_file import read_torch
from zoo.core.errors import BadInput
from zoo.io.library import open_package
from zoo.predict.predictor import Predictor

SIZE = 8
RESIDUALS = [(128, 128)] * 3 + [(128, 256)] + [(256, 256)] * 3


def state(*, channels=1, outputs=1, size=SIZE):
    """Return a state_dict of the port by its names, in its order."""
    rng = np.random.default_rng(3)
    tensors = OrderedDict()

    def conv(name, before, after, kernel):
        scale = np.sqrt(2 / (before * kernel**2))
        shape = (after, before, kernel, kernel)
        tensors[f"{name}.weight"] = rng.normal(0, scale, shape).astype("f4")
        tensors[f"{name}.bias"] = rng.normal(0, 0.1, after).astype("f4")

    def norm(name, width):
        tensors[f"{name}.weight"] = rng.uniform(0.5, 1.5, width).astype("f4")
        tensors[f"{name}.bias"] = rng.normal(0, 0.2, width).astype("f4")
        tensors[f"{name}.running_mean"] = rng.normal(0, 0.2, width).astype("f4")
        tensors[f"{name}.running_var"] = rng.uniform(0.5, 2.0, width).astype("f4")
        tensors[f"{name}.num_batches_tracked"] = np.array(7)

    def slope(name):
        tensors[f"{name}.weight"] = rng.uniform(0.1, 0.5, 1).astype("f4")

    for first, before, after, kernel in ((0, channels, 64, 7), (3, 64, 128, 5)):
        conv(f"features.{first}", before, after, kernel)
        norm(f"features.{first + 1}", after)
        slope(f"features.{first + 2}")
    for number, (before, after) in enumerate(RESIDUALS, start=6):
        name = f"features.{number}"
        widths = (before, after // 4, after // 2, after)
        for part in range(3):
            conv(f"{name}.residual.{3 * part}", widths[part], widths[part + 1], 3)
            norm(f"{name}.residual.{3 * part + 1}", widths[part + 1])
            if part < 2:
                slope(f"{name}.residual.{3 * part + 2}")
        if before != after:
            conv(f"{name}.identity.0", before, after, 1)
            norm(f"{name}.identity.1", after)
        slope(f"{name}.prelu")
    for first, before, after in ((13, 256, 128), (16, 128, 64), (19, 64, 1)):
        conv(f"features.{first}", before, after, 1)
        norm(f"features.{first + 1}", after)
        slope(f"features.{first + 2}")
    for name, before, after in (("FCs.0", size**2, 10), ("FCs.2", 10, outputs)):
        weight = rng.normal(0, 0.5 / np.sqrt(before), (after, before))
        tensors[f"{name}.weight"] = weight.astype("f4")
        tensors[f"{name}.bias"] = rng.normal(0, 0.3, after).astype("f4")
        if name == "FCs.0":
            slope("FCs.1")
    return tensors


def module(kind, tensors, **words):
    """Nest tensors by their names into instances with the state of a module."""
    made = object.__new__(kind)
    made.__dict__ |= {
        "training": False,
        "_parameters": OrderedDict(),
        "_buffers": OrderedDict(),
        "_modules": OrderedDict(),
        **words,
    }
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if rest:
            made._modules.setdefault(first, {})[rest] = tensor
        else:
            made._parameters[name] = tensor
    for name, inner in made._modules.items():
        made._modules[name] = module(kind, inner)
    return made


def reference(region, w, limit):
    """Return what the network makes of a region (channel, x, y)."""

    def conv(x, name):
        kernel = w[f"{name}.weight"].astype(float)
        edge = kernel.shape[2] // 2
        padded = np.pad(x, [(0, 0), (edge, edge), (edge, edge)])
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, kernel.shape[2:], axis=(1, 2)
        )
        out = np.tensordot(kernel, windows, ((1, 2, 3), (0, 3, 4)))
        return out + w[f"{name}.bias"][:, None, None]

    def norm(x, name):
        mean, var, gain, shift = (
            w[f"{name}.{part}"].astype(float)[:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(var + 1e-3) * gain + shift

    def prelu(x, name):
        return np.where(x > 0, x, x * w[f"{name}.weight"][0])

    def unit(x, stem, first):
        x = norm(conv(x, f"{stem}.{first}"), f"{stem}.{first + 1}")
        return prelu(x, f"{stem}.{first + 2}")

    x = region / region.max()
    x = unit(unit(x, "features", 0), "features", 3)
    for number in range(6, 13):
        name = f"features.{number}.residual"
        y = unit(unit(x, name, 0), name, 3)
        y = norm(conv(y, f"{name}.6"), f"{name}.7")
        name = f"features.{number}.identity"
        if f"{name}.0.weight" in w:
            x = norm(conv(x, f"{name}.0"), f"{name}.1")
        x = prelu(x + y, f"features.{number}.prelu")
    for first in (13, 16, 19):
        x = unit(x, "features", first)
    x = w["FCs.0.weight"] @ x.ravel() + w["FCs.0.bias"]
    x = w["FCs.2.weight"] @ prelu(x, "FCs.1") + w["FCs.2.bias"]
    return np.clip(x, -limit, limit)


def regions(channels=1):
    """Return three regions (n, y, x, channel) of one emitter that is not round."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIZE, :SIZE]
    planes = [
        np.exp(-((x - 3.3 - n) ** 2) / 4 - (y - 4 + c) ** 2 / 12)
        for n in range(3)
        for c in range(channels)
    ]
    counts = rng.poisson(np.reshape(planes, (3, channels, SIZE, SIZE)) * 900 + 5)
    return counts.transpose(0, 2, 3, 1).astype("f4")


@pytest.mark.parametrize("zipped", [True, False])
def test_the_network_computes_what_the_port_does(tmp_path, pytorch, zipped):
    tensors = state(channels=2, outputs=2)
    path = pytorch.write(
        tmp_path / "model9.pth", {"state_dict": tensors, "epoch": 9}, zipped=zipped
    )
    model = load_smnet(path)
    assert model.input_shape == (None, SIZE, SIZE, 2)
    batch = regions(channels=2)
    found = np.asarray(model(batch))
    expected = [reference(r.transpose(2, 1, 0), tensors, 2.0) for r in batch]
    assert np.ptp(expected, axis=0).min() > 1e-3
    np.testing.assert_allclose(found, expected, atol=2e-5)
    mirrored = [reference(r.transpose(2, 0, 1), tensors, 2.0) for r in batch]
    assert np.abs(found - mirrored).max() > 1e-3


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_module_is_read_with_its_clipping(tmp_path, pytorch, zipped):
    tensors = state()
    inner = module(pytorch.nn.Net, tensors)
    inner._modules["Hardtanh"] = module(
        pytorch.nn.Hardtanh, {}, min_val=-0.25, max_val=0.25, inplace=False
    )
    parallel = module(pytorch.nn.Net, {})
    parallel._modules["module"] = inner
    path = pytorch.write(tmp_path / "model9.pth", parallel, zipped=zipped)
    checkpoint = read_torch(path)
    assert list(checkpoint.tensors) == list(tensors)
    assert read_layout(checkpoint, path).limit == 0.25
    found = np.asarray(load_smnet(path)(regions()))[:, 0]
    assert np.abs(found).max() == pytest.approx(0.25)


def test_the_list_of_options_beside_is_obeyed(tmp_path, pytorch):
    path = pytorch.write(tmp_path / "model9.pth", state(), zipped=True)
    assert read_layout(read_torch(path), path).quantity == "z"
    options = tmp_path / "opt.txt"
    options.write_text("['crange: ', 8]\n['mode: ', 'z']\n")
    assert read_layout(read_torch(path), path).limit == 8.0
    options.write_text("['crange: ', 90]\n['mode: ', 'alpha']\n")
    with pytest.raises(MappingError, match="gives 1 numbers for 'alpha'"):
        load_smnet(path)


@pytest.mark.tensorflow
def test_zoo_convert_makes_a_package(tmp_path, pytorch):
    tensors = state(outputs=2)
    path = pytorch.write(tmp_path / "model9.pth", tensors, zipped=True)
    made = registry.checkpoint("smnet")(str(path), tmp_path / "made", verify=False)
    rdf = yaml.safe_load((made / "rdf.yaml").read_text(encoding="utf-8"))
    assert rdf["license"] is None
    assert rdf["config"]["superres_zoo"]["converted_from"]["file"] == "model9.pth"
    assert open_package(made).test_input().shape == (1, SIZE, SIZE, 1)
    batch = regions()
    expected = np.array([reference(r.transpose(2, 1, 0), tensors, 2) for r in batch])
    model = Predictor(made, engine="onnx")
    table = model.predict(batch[..., 0], pixel_size_nm=130.0).localizations
    np.testing.assert_allclose(table.x_nm, 130.0 * expected[:, 0], atol=0.02)
    np.testing.assert_allclose(table.y_nm, 130.0 * expected[:, 1], atol=0.02)
    with pytest.raises(BadInput, match="in pixels; give it with --pixel-size-nm"):
        model.predict(batch[..., 0])


def test_depths_become_nanometres():
    layout = Layout("z", size=32, channels=2, outputs=1, limit=20.0)
    contract = describe_network(layout, Origin("w.pth", "0" * 64, {})).contract
    assert contract.task.columns == ("z_nm",)
    assert contract.task.factors == (100.0,)
    assert contract.grid.channels == ("plane_1", "plane_2")


def test_other_networks_are_refused_in_one_line(tmp_path, pytorch):
    def refused(tensors, text):
        path = pytorch.write(tmp_path / "model9.pth", tensors, zipped=True)
        with pytest.raises(MappingError, match=text) as caught:
            load_smnet(path)
        assert "\n" not in str(caught.value)

    refused({"features.0.weight": np.zeros((64, 1, 7, 7), "f4")}, "for aberrations")
    refused(state(outputs=12), "gives 12 numbers for 'aberration'")
    refused(state() | {"extra.weight": np.zeros(1, "f4")}, "left over: extra.weight")
    wide = state()
    wide["FCs.0.weight"] = np.zeros((10, 7 * 8), "f4")
    refused(wide, "not square")


class Attack:
    """Something that would run a program when it is loaded."""

    def __reduce__(self):
        return print, ("executed",)


def test_nothing_in_a_file_is_executed(tmp_path, pytorch, capsys):
    tensors = {"a.weight": np.ones(3, "f4"), "evil": Attack()}
    path = pytorch.write(tmp_path / "evil.pth", tensors, zipped=True)
    assert list(read_torch(path).tensors) == ["a.weight"]
    assert capsys.readouterr().out == ""


def test_damaged_and_foreign_files_are_refused(tmp_path, pytorch):
    def refused(name, content, text):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=text) as caught:
            read_torch(tmp_path / name)
        assert "\n" not in str(caught.value)

    good = {"a": np.arange(6, dtype="f4").reshape(2, 3).T}
    whole = pytorch.write(tmp_path / "good.pth", good, zipped=False).read_bytes()
    np.testing.assert_array_equal(
        read_torch(tmp_path / "good.pth").tensors["a"], good["a"]
    )
    with pytest.raises(BadInput, match="is not a file"):
        read_torch(tmp_path / "none.pth")
    refused("cut.pth", whole[:-4], "reaches beyond its data|buffer size")
    refused("text.pth", b"hello", "cannot be read as a PyTorch file")
    refused("pickle.pth", pickle.dumps([1, 2]), "no PyTorch file")
    refused(
        "empty.pth",
        pytorch.write(tmp_path / "e", {}, zipped=True).read_bytes(),
        "no tensors",
    )
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", pickle.dumps({}, protocol=2) * 9)
    refused("z.pth", (tmp_path / "z.zip").read_bytes(), "declares more than it holds")
    half = {"a": np.zeros(2, "f4")}
    stream = pytorch.write(tmp_path / "h", half, zipped=False).read_bytes()
    stream = stream.replace(b"FloatStorage", b"QInt8Storage")
    refused("kind.pth", stream, "numbers of the type QInt8Storage")
