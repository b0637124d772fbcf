import functools
import hashlib
import http.server
import io
import json
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from zoo import cards
from zoo.core.errors import BadInput, BadPackage, UnknownPackage
from zoo.io import archives, library
from zoo.io.archives import safe_extract, unpacked
from zoo.io.description import axis_letters
from zoo.io.download import DownloadError
from zoo.io.package import MAX_DOCUMENTATION, Package, cards_folder, specs_folder
from zoo.verify.bounds import check_paths, check_weights

# pooch leaves the closing of connections to the collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def sha(content):
    return hashlib.sha256(content).hexdigest()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


TEST_INPUT = np.arange(64 * 64, dtype="float32").reshape(1, 64, 64, 1)
TEST_OUTPUT = np.ones((1, 128, 128, 1), "float32")


def description(files):
    """Describe a package as this zoo writes it (format 0.5)."""

    def file(name):
        return {"source": name, "sha256": sha(files[name])}

    def space(axis, **fields):
        return {"type": "space", "id": axis, **fields}

    channel = {"type": "channel", "channel_names": ["intensity"]}
    return {
        "format_version": "0.5.10",
        "type": "model",
        "id": "small_network",
        "name": "A small network",
        "inputs": [
            {
                "id": "input",
                "axes": [
                    {"type": "batch"},
                    space("y", size=64, scale=4),
                    space("x", size=64, scale=4),
                    channel,
                ],
                "test_tensor": file("test_input.npy"),
                "preprocessing": [
                    {"id": "scale_range", "kwargs": {"axes": ["y", "x", "channel"]}}
                ],
            }
        ],
        "outputs": [
            {
                "id": "output",
                "axes": [
                    {"type": "batch"},
                    *(
                        space(
                            a, scale=2, halo=8,
                            size={"tensor_id": "input", "axis_id": a, "offset": 0},
                        )
                        for a in "yx"
                    ),
                    channel,
                ],
                "test_tensor": file("test_output.npy"),
            }
        ],
        "weights": {
            "onnx": {**file("model.onnx"), "parent": "keras_v3", "opset_version": 17},
            "keras_v3": {**file("weights.keras"), "keras_version": "3.15.1"},
        },
        "config": {"superres_zoo": {"version": 1, "task": "image", "scale": 2}},
    }  # fmt: skip


GRAPH = b"\x3a\x00"  # an ONNX file without operations


def contents(salt=b""):
    files = {
        "weights.keras": b"keras weights" + salt,
        "model.onnx": GRAPH + (b"\x32" + bytes([len(salt)]) + salt if salt else b""),
        "test_input.npy": npy(TEST_INPUT),
        "test_output.npy": npy(TEST_OUTPUT),
        "README.md": b"# A small network\n",
    }
    files["rdf.yaml"] = yaml.safe_dump(description(files)).encode()
    return files


def make_folder(folder, files=None):
    folder.mkdir(parents=True)
    for name, content in (files or contents()).items():
        (folder / name).write_bytes(content)
    return folder


def make_zip(path, files=None, prefix=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (files or contents()).items():
            archive.writestr(prefix + name, content)
    return path


def one_line(caught):
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Let the code believe that it lies in an empty installation."""
    root = tmp_path / "site" / "zoo"
    (root / "cards").mkdir(parents=True)
    (root / "index.json").write_text('{"base_url": null, "packages": {}}')
    monkeypatch.setattr("zoo.io.package.ROOT", root)
    monkeypatch.setenv("SUPERRES_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SUPERRES_ZOO_TIMEOUT", "5")
    monkeypatch.delenv("SUPERRES_ZOO_URL", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def checkout(place):
    """Make the installation a checkout with one package."""
    (place.parent / "pyproject.toml").write_text('[project]\nname = "superres-zoo"\n')
    return make_folder(place.parent / "specs" / "small_network").parent


def add_card(place, name="small_network", *, with_weights=()):
    files = contents()
    kept = ("rdf.yaml", "README.md", *with_weights)
    return make_folder(place / "cards" / name, {k: files[k] for k in kept})


def add_index(place, zip_path, base_url=None, name="small_network"):
    content = zip_path.read_bytes()
    entry = {"file": zip_path.name, "size": len(content), "sha256": sha(content)}
    index = {"base_url": base_url, "packages": {name: entry}}
    (place / "index.json").write_text(json.dumps(index))


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    instance = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    instance.daemon_threads = True
    instance.folder = folder
    instance.url = f"http://127.0.0.1:{instance.server_address[1]}"
    thread = threading.Thread(target=instance.serve_forever, args=(0.02,))
    thread.start()
    yield instance
    instance.shutdown()
    instance.server_close()
    thread.join()


# ---- opening


@pytest.mark.parametrize("kind", ["folder", "zip", "zip with a folder", "yaml"])
def test_opening_whatever_holds_a_package(tmp_path, kind):
    if kind.startswith("zip"):
        path = make_zip(tmp_path / "p.zip", prefix="inside/" if "with" in kind else "")
    else:
        path = make_folder(tmp_path / "p")
        path = path / "rdf.yaml" if kind == "yaml" else path
    for given in (path, str(path)):
        package = library.open_package(given)
        assert package.name == "small_network"
        assert package.zoo["task"] == "image"
        assert package.weights_path("onnx").read_bytes() == GRAPH
        assert package.sha256 == sha(b"keras weights")
        np.testing.assert_array_equal(package.test_input(), TEST_INPUT)
        np.testing.assert_array_equal(package.test_output(), TEST_OUTPUT)


def test_tensors_of_format_05():
    package_input = _opened().inputs[0]
    package_output = _opened().outputs[0]
    assert axis_letters(package_input) == axis_letters(package_output) == "byxc"
    assert package_input["axes"][1]["size"] == 64
    assert package_output["axes"][1]["halo"] == 8
    assert package_input["preprocessing"][0]["id"] == "scale_range"


@functools.cache
def _opened_rdf():
    return yaml.safe_load(contents()["rdf.yaml"])


def _opened():
    package = Package.__new__(Package)
    package.rdf = _opened_rdf()
    return package


def test_old_name_of_the_description(tmp_path):
    files = contents()
    files["bioimageio.yaml"] = files.pop("rdf.yaml")
    assert library.open_package(make_folder(tmp_path / "p", files)).zoo


def test_a_zip_is_unpacked_once(tmp_path):
    path = make_zip(tmp_path / "p.zip")
    first = library.open_package(path).folder
    mark = first / "mark"
    mark.write_text("still here")
    assert library.open_package(path).folder == first
    assert mark.exists()
    make_zip(path, contents(b"2"))
    assert library.open_package(path).folder != first


@pytest.mark.parametrize("name", ["weights.keras", "test_input.npy"])
def test_files_that_differ_from_their_hash_are_refused(tmp_path, name):
    folder = make_folder(tmp_path / "p")
    (folder / name).write_bytes(b"something else")
    package = library.open_package(folder)
    assert package.weights_path("onnx")
    read = {
        "weights.keras": lambda: package.weights_path("keras_v3"),
        "test_input.npy": package.test_input,
    }
    with pytest.raises(BadPackage, match="differs from the hash in rdf") as caught:
        read[name]()
    assert f"{name} of small_network" in one_line(caught)


def test_entries_and_files_that_are_not_there(tmp_path):
    folder = make_folder(tmp_path / "p")
    package = library.open_package(folder)
    with pytest.raises(BadPackage, match="no torchscript weights; it has keras_v3, on"):
        package.weights_path("torchscript")
    (folder / "model.onnx").unlink()
    with pytest.raises(BadPackage, match=r"model\.onnx of small_network is not in"):
        package.weights_path("onnx")


@pytest.mark.parametrize("source", ["../secret", "/etc/passwd", "C:\\a", "a/../../b"])
def test_a_description_that_leads_outside_is_refused(tmp_path, source):
    files = contents()
    rdf = yaml.safe_load(files["rdf.yaml"])
    rdf["weights"]["onnx"] = {"source": source}
    files["rdf.yaml"] = yaml.safe_dump(rdf).encode()
    (tmp_path / "secret").write_text("secret")
    package = library.open_package(make_folder(tmp_path / "p", files))
    with pytest.raises(BadPackage, match="outside its folder"):
        package.weights_path("onnx")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", "not valid YAML"),
        ("- 1\n- 2\n", "does not describe a model"),
        ("", "does not describe a model"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("format_version: 0.5.3\ntype: dataset\n", "describes a dataset"),
        ("format_version: 0.3.6\ntype: model\n", "format version 0.3.6; 0.4 and"),
        ("type: model\n", "format version unknown"),
        ("format_version: 0.5.3\ntype: model\n", "states no inputs"),
    ],
)
def test_bad_descriptions(tmp_path, text, words):
    folder = make_folder(tmp_path / "p", {"rdf.yaml": text.encode()})
    with pytest.raises(BadPackage, match=words) as caught:
        library.open_package(folder)
    assert str(folder) in one_line(caught)


def test_tensors_that_break_the_format(tmp_path):
    files = contents()
    rdf = yaml.safe_load(files["rdf.yaml"])
    del rdf["inputs"][0]["axes"]
    files["rdf.yaml"] = yaml.safe_dump(rdf).encode()
    package = library.open_package(make_folder(tmp_path / "p", files))
    with pytest.raises(BadPackage, match="inputs of 'A small network' are not desc"):
        _ = package.inputs


def test_what_is_no_package(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BadPackage, match=r"holds no rdf\.yaml"):
        library.open_package(tmp_path / "empty")
    for name in ("a.txt", "a.zip"):
        with pytest.raises(BadPackage, match="is not a package"):
            library.open_package(tmp_path / name)
    for given in (tmp_path / "none", str(tmp_path / "none"), "none.zip"):
        with pytest.raises(UnknownPackage, match="does not exist"):
            library.open_package(given)


# ---- format 0.4


OLD = {
    "format_version": "0.4.10",
    "type": "model",
    "name": "Old network",
    "test_inputs": ["in.npy"],
    "test_outputs": ["out.npy"],
    "sample_inputs": ["in.tif"],
    "inputs": [
        {
            "name": "raw",
            "axes": "bcyx",
            "data_type": "float32",
            "shape": {"min": [1, 2, 32, 16], "step": [0, 0, 16, 0]},
            "preprocessing": [
                {
                    "name": "zero_mean_unit_variance",
                    "kwargs": {
                        "mode": "fixed", "axes": "yx", "mean": [1, 2], "std": [3, 4],
                        "eps": 1e-6,
                    },
                },
                {"name": "scale_range",
                 "kwargs": {"mode": "per_sample", "axes": "cyx", "max_percentile": 99}},
                {"name": "scale_range",
                 "kwargs": {"mode": "per_dataset", "axes": "yx"}},
                {"name": "scale_linear",
                 "kwargs": {"axes": "yx", "gain": [2, 3], "offset": [0, 1]}},
            ],
        }
    ],
    "outputs": [
        {
            "name": "restored",
            "axes": "bcyx",
            "data_type": "float32",
            "halo": [0, 0, 8, 8],
            "shape": {
                "reference_tensor": "raw",
                "scale": [1, 0, 2, 2],
                "offset": [0, 0.5, 0, -4],
            },
            "postprocessing": [{"name": "sigmoid"}],
        }
    ],
    "weights": {"onnx": {"source": "a.onnx", "sha256": sha(b"old weights")}},
}  # fmt: skip


def test_format_04_is_seen_as_05(tmp_path):
    files = {
        "rdf.yaml": yaml.safe_dump(OLD).encode(),
        "a.onnx": b"old weights",
        "in.npy": npy(TEST_INPUT),
        "out.npy": npy(TEST_OUTPUT),
    }
    package = library.open_package(make_folder(tmp_path / "p", files))
    assert package.zoo == {}
    source, target = package.inputs[0], package.outputs[0]
    assert axis_letters(source) == axis_letters(target) == "bcyx"
    assert source["axes"][0] == {"id": "batch", "type": "batch"}
    assert source["axes"][1]["channel_names"] == ["channel0", "channel1"]
    assert [axis["size"] for axis in source["axes"][2:]] == [
        {"min": 32, "step": 16},
        16,
    ]
    y, x = target["axes"][2:]
    assert y["size"] == {"tensor_id": "raw", "axis_id": "y", "offset": 0}
    assert x["size"]["offset"] == -8
    assert (y["scale"], y["halo"]) == (0.5, 8)
    assert target["axes"][1]["channel_names"] == ["channel0"]
    assert source["preprocessing"] == [
        {
            "id": "fixed_zero_mean_unit_variance",
            "kwargs": {"axis": "channel", "mean": [1, 2], "std": [3, 4]},
        },
        {
            "id": "scale_range",
            "kwargs": {"axes": ["channel", "y", "x"], "max_percentile": 99},
        },
        {"id": "scale_range", "kwargs": {"axes": ["batch", "y", "x"]}},
        {
            "id": "scale_linear",
            "kwargs": {"axis": "channel", "gain": [2, 3], "offset": [0, 1]},
        },
    ]
    assert target["postprocessing"] == [{"id": "sigmoid", "kwargs": {}}]
    np.testing.assert_array_equal(package.test_input(), TEST_INPUT)
    assert source["sample_tensor"] == {"source": "in.tif"}


def test_format_04_with_fixed_shapes():
    package = Package.__new__(Package)
    package.rdf = {
        "inputs": [{"name": "a", "axes": "byxc", "shape": [1, 64, 32, 3]}],
        "outputs": [{"name": "b", "axes": "bic", "shape": [1, 5, 3]}],
    }
    assert [a.get("size") for a in package.inputs[0]["axes"]] == [None, 64, 32, None]
    assert len(package.inputs[0]["axes"][3]["channel_names"]) == 3
    with pytest.raises(ValueError, match="unknown axes index"):
        axis_letters(package.outputs[0])


# ---- finding


def test_a_checkout_comes_first(checkout, place, tmp_path):
    make_zip(tmp_path / "small_network.zip", contents(b"other"))
    add_index(place, tmp_path / "small_network.zip", "http://127.0.0.1:9")
    assert specs_folder() == checkout
    assert cards_folder() == checkout
    assert library.find_package("small_network") == checkout / "small_network"
    assert library.locate("small_network") == checkout / "small_network"
    assert library.package_names() == ["small_network"]
    assert library.read_card("small_network")["name"] == "A small network"
    assert library.open_package("small_network").name == "small_network"


@pytest.mark.parametrize("name", ["weights.keras", "model.onnx"])
def test_a_changed_checkout_is_refused_and_left_alone(
    checkout, place, server, monkeypatch, name
):
    path = checkout / "small_network" / name
    path.write_bytes(b"trained a little more")
    make_zip(server.folder / "small_network.zip")
    add_index(place, server.folder / "small_network.zip")
    monkeypatch.setenv("SUPERRES_ZOO_URL", server.url)
    for find in (library.find_package, library.open_package, library.download):
        with pytest.raises(BadPackage, match="differs from the hash") as caught:
            find("small_network")
        assert f"git checkout -- specs/small_network/{name}" in one_line(caught)
    assert path.read_bytes() == b"trained a little more"
    assert not (archives.cache_folder() / "small_network.zip").exists()


def test_another_project_is_no_checkout(place):
    (place.parent / "pyproject.toml").write_text('[project]\nname = "else"\n')
    make_folder(place.parent / "specs" / "small_network")
    assert specs_folder() is None
    assert library.package_names() == []


def test_the_working_directory_does_not_matter(tmp_path, monkeypatch):
    make_folder(tmp_path / "here" / "specs" / "small_network")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UnknownPackage):
        library.find_package("small_network")


def test_a_name_wins_over_a_folder_of_the_same_name(checkout, tmp_path, monkeypatch):
    make_folder(tmp_path / "here" / "small_network", contents(b"mine"))
    monkeypatch.chdir(tmp_path / "here")
    ours = library.open_package("small_network")
    mine = library.open_package("./small_network")
    assert ours.folder == checkout / "small_network"
    assert mine.sha256 != ours.sha256
    assert library.open_package(Path("small_network")).sha256 == mine.sha256


def test_a_download_lands_in_the_cache_once(place, server):
    add_card(place)
    make_zip(server.folder / "small_network.zip")
    add_index(place, server.folder / "small_network.zip", server.url + "/")
    assert library.locate("small_network") is None
    folder = library.find_package("small_network")
    assert Package(folder).weights_path("keras_v3").read_bytes() == b"keras weights"
    assert library.locate("small_network") is not None
    (server.folder / "small_network.zip").unlink()
    assert library.find_package("small_network") == folder
    assert library.open_package("small_network").name == "small_network"


def test_the_address_can_be_set(place, server, monkeypatch):
    add_card(place)
    make_zip(server.folder / "small_network.zip")
    add_index(place, server.folder / "small_network.zip", "http://127.0.0.1:9/nowhere")
    monkeypatch.setenv("SUPERRES_ZOO_URL", server.url)
    assert library.find_package("small_network").is_dir()


def test_an_outdated_cache_is_replaced(place, server, tmp_path):
    add_card(place)
    (tmp_path / "cache").mkdir()
    make_zip(tmp_path / "cache" / "small_network.zip", contents(b"old"))
    make_zip(server.folder / "small_network.zip")
    add_index(place, server.folder / "small_network.zip", server.url)
    folder = library.find_package("small_network")
    assert (folder / "weights.keras").read_bytes() == b"keras weights"


def test_a_server_with_another_file_is_not_believed(place, server, tmp_path):
    add_card(place)
    add_index(place, make_zip(tmp_path / "small_network.zip"), server.url)
    content = bytearray((tmp_path / "small_network.zip").read_bytes())
    content[100] ^= 1
    (server.folder / "small_network.zip").write_bytes(content)
    with pytest.raises(BadPackage, match="SHA-256 differs"):
        library.find_package("small_network")
    cache = archives.cache_folder()
    assert [p.name for p in cache.iterdir() if p.suffix != ".lock"] == []


@pytest.mark.parametrize("listed", [True, False])
def test_an_installation_without_weights_says_what_to_do(place, tmp_path, listed):
    add_card(place)
    if listed:
        add_index(place, make_zip(tmp_path / "small_network.zip"))
    assert library.package_names() == ["small_network"]
    assert library.read_card("small_network")["id"] == "small_network"
    with pytest.raises(BadPackage, match="not on this machine") as caught:
        library.open_package("small_network")
    text = one_line(caught)
    for remedy in ("SUPERRES_ZOO_URL", "package folder or zip", "checkout"):
        assert remedy in text


def test_what_an_installation_brings_is_used_where_it_lies(place):
    folder = add_card(place, with_weights=["model.onnx"])
    assert library.locate("small_network") == folder
    assert library.find_package("small_network") == folder
    opened = library.open_package("small_network")
    assert opened.present == ["onnx"]
    assert opened.weights_path("onnx").read_bytes() == GRAPH
    with pytest.raises(BadPackage, match="path of a complete package") as caught:
        opened.weights_path("keras_v3")
    one_line(caught)


def test_a_changed_installation_is_refused(place):
    folder = add_card(place, with_weights=["model.onnx"])
    (folder / "model.onnx").write_bytes(b"trained a little more")
    with pytest.raises(BadPackage, match="install superres-zoo again") as caught:
        library.open_package("small_network")
    one_line(caught)


def test_weights_that_an_installation_lacks_are_downloaded(place, server):
    add_card(place, with_weights=["model.onnx"])
    with pytest.raises(BadPackage, match="the keras_v3 weights of small_network"):
        library.find_package("small_network", needs="keras_v3")
    make_zip(server.folder / "small_network.zip")
    add_index(place, server.folder / "small_network.zip", server.url)
    complete = library.find_package("small_network", needs="keras_v3")
    assert Package(complete).present == ["keras_v3", "onnx"]
    assert library.download("small_network") == complete
    opened = library.open_package("small_network", needs="keras_v3")
    assert opened.folder == complete.absolute()
    assert library.open_package("small_network").folder == place / "cards" / opened.name


def test_an_installation_without_network_says_what_to_do(place, tmp_path):
    add_card(place)
    # the port of a server that is gone
    gone = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    gone.server_close()
    address = f"http://127.0.0.1:{gone.server_address[1]}"
    add_index(place, make_zip(tmp_path / "small_network.zip"), address)
    with pytest.raises(DownloadError, match="check the network") as caught:
        library.open_package("small_network")
    one_line(caught)


def test_cards_of_a_checkout_without_weights_lead_to_the_cache(checkout, server, place):
    for name in ("weights.keras", "model.onnx"):
        (checkout / "small_network" / name).unlink()
    make_zip(server.folder / "small_network.zip")
    add_index(place, server.folder / "small_network.zip", server.url)
    assert archives.cache_folder() in library.find_package("small_network").parents


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("smal_network", "small_network"), ("small", "small_network"), ("", None)],
)
@pytest.mark.usefixtures("checkout")
def test_unknown_names_list_the_near_ones(wrong, right):
    for find in (library.find_package, library.read_card, library.download):
        with pytest.raises(UnknownPackage) as caught:
            find(wrong)
        text = one_line(caught)
        assert "zoo list" in text
        assert right is None or f"did you mean {right}?" in text
    with pytest.raises(UnknownPackage, match="no package 'qqq'; there are small"):
        library.find_package("qqq")


# ---- download to a folder


def test_download_to_a_folder(checkout, tmp_path):
    target = library.download("small_network", tmp_path / "out")
    assert target == tmp_path / "out" / "small_network"
    assert {p.name for p in target.iterdir()} == set(contents())
    assert library.download("small_network", tmp_path / "out") == target
    assert [p.name for p in target.parent.iterdir()] == ["small_network"]
    assert library.download("small_network") == checkout / "small_network"


@pytest.mark.usefixtures("checkout")
def test_download_does_not_overwrite(tmp_path):
    target = library.download("small_network", tmp_path)
    (target / "weights.keras").write_bytes(b"mine")
    with pytest.raises(BadInput, match="is not this package") as caught:
        library.download("small_network", tmp_path)
    one_line(caught)
    assert (target / "weights.keras").read_bytes() == b"mine"


# ---- addresses


def test_opening_the_address_of_a_zip(server):
    make_zip(server.folder / "any.zip")
    package = library.open_package(f"{server.url}/any.zip")
    assert package.weights_path("onnx").read_bytes() == GRAPH


def test_opening_the_address_of_a_description(server):
    make_folder(server.folder / "any")
    package = library.open_package(f"{server.url}/any/rdf.yaml")
    assert package.weights_path("onnx").read_bytes() == GRAPH
    np.testing.assert_array_equal(package.test_output(), TEST_OUTPUT)


def test_a_description_with_full_addresses(server):
    files = contents()
    rdf = yaml.safe_load(files["rdf.yaml"])
    for entry in rdf["weights"].values():
        entry["source"] = f"{server.url}/elsewhere/{entry['source']}"
    make_folder(server.folder / "elsewhere", files)
    files = {k: v for k, v in files.items() if "weights" not in k and "onnx" not in k}
    files["rdf.yaml"] = yaml.safe_dump(rdf).encode()
    make_folder(server.folder / "any", files)
    package = library.open_package(f"{server.url}/any/rdf.yaml")
    assert package.weights_path("keras_v3").read_bytes() == b"keras weights"


def test_an_address_of_something_else(server):
    (server.folder / "page.html").write_text("<html>")
    with pytest.raises(BadPackage, match="neither a zip nor"):
        library.open_package(f"{server.url}/page.html")
    with pytest.raises(DownloadError, match="404"):
        library.open_package(f"{server.url}/none.zip")


# ---- zips that mean harm


def zip_with(path, *entries):
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


def link(name, target):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/tmp/evil",
        "C:/evil",
        "C:evil",
        "..\\evil",
        "a\\..\\..\\evil",
        "..",
    ],
)
def test_entries_that_lead_outside(tmp_path, name):
    path = zip_with(tmp_path / "a.zip", ("fine.txt", "x"), (name, "evil"))
    (tmp_path / "deep").mkdir()
    with pytest.raises(BadPackage, match="lies outside the folder") as caught:
        safe_extract(path, tmp_path / "deep" / "out")
    one_line(caught)
    assert list((tmp_path / "deep").iterdir()) == []
    assert {p.name for p in tmp_path.iterdir()} <= {"a.zip", "deep", "site"}


def test_links_are_refused(tmp_path):
    path = zip_with(tmp_path / "a.zip", link("a", "/etc"), ("a/passwd", "evil"))
    with pytest.raises(BadPackage, match="is a link"):
        safe_extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["rdf.yaml", "RDF.yaml", "rdf.yaml/"])
def test_names_that_are_there_twice(tmp_path, second):
    path = zip_with(tmp_path / "a.zip", ("rdf.yaml", "good"), (second, ""))
    with pytest.raises(BadPackage, match="is there twice"):
        safe_extract(path, tmp_path / "out")


def test_a_file_that_is_also_a_folder(tmp_path):
    path = zip_with(tmp_path / "a.zip", ("a", "x"), ("a/b", "y"))
    with pytest.raises(BadPackage):
        safe_extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bombs_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    path = zip_with(tmp_path / "a.zip", *[(str(i), bytes(300)) for i in range(4)])
    with pytest.raises(BadPackage, match="would fill"):
        safe_extract(path, tmp_path / "out")
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    with pytest.raises(BadPackage, match="holds 4 files"):
        safe_extract(path, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip", "site"}


def test_a_bomb_that_lies_about_its_size(tmp_path, monkeypatch):
    """Both headers state 10 bytes, the data hold 100,000."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(100_000))
    content = path.read_bytes().replace(
        struct.pack("<I", 100_000), struct.pack("<I", 10)
    )
    path.write_bytes(content)
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    with pytest.raises(BadPackage):
        safe_extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_encrypted_entries_are_refused(tmp_path):
    path = zip_with(tmp_path / "a.zip", ("a", "x"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(BadPackage, match="is encrypted"):
        safe_extract(path, tmp_path / "out")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_broken_zips(tmp_path, share):
    path = make_zip(tmp_path / "a.zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadPackage, match="not an intact zip"):
        safe_extract(path, tmp_path / "out")
    flipped = bytearray(content)
    flipped[60] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(BadPackage, match="not an intact zip"):
        safe_extract(path, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip", "site"}


def test_extraction_keeps_folders_and_contents(tmp_path):
    path = zip_with(tmp_path / "a.zip", ("x/", ""), ("x/y/z.txt", "deep"), ("e", ""))
    safe_extract(path, tmp_path / "out")
    assert (tmp_path / "out" / "x" / "y" / "z.txt").read_text() == "deep"
    assert (tmp_path / "out" / "e").read_text() == ""
    with pytest.raises(BadInput, match="exists"):
        safe_extract(path, tmp_path / "out")


def test_two_at_once_share_one_result(tmp_path):
    path = make_zip(tmp_path / "p.zip")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(unpacked(path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(list(found[0].parent.iterdir())) == 1


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SUPERRES_ZOO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BadInput, match="SUPERRES_ZOO_CACHE") as caught:
        library.open_package(make_zip(tmp_path / "p.zip"))
    one_line(caught)


# ---- the real thing


def test_listing_packages_is_light():
    code = (
        "import sys, zoo.io.library as p; p.package_names(); "
        "print({'numpy', 'pooch', 'requests', 'tensorflow', 'keras', 'bioimageio', "
        "'tifffile'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert run.stdout.strip() == "set()"


def test_a_package_knows_its_place_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    description = {"type": "model", "format_version": "0.5.10", "name": "some model"}
    text = yaml.safe_dump(
        description | {"inputs": [1], "outputs": [1], "weights": {"onnx": {}}}
    )
    (tmp_path / "here" / "rdf.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    package = Package(Path("here"))
    assert package.folder.is_absolute()
    assert package.folder == tmp_path / "here"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{k}: &{k} [{', '.join([f'*{a}'] * 10)}]\n"
                      for a, k in pairwise("abcdefghij")),
            "describes more than 100000 values",
        ),
        ("a: &a [1, *a]\n", "refers to 'a' within 'a'"),
        ("a: " + "[" * 500 + "]" * 500, "nested more than 100 deep"),
        ("a: " + ":".join(["59"] * 100_000), "number of 299999 digits"),
        ("a: '" + "x" * 2**20 + "'", "larger than 1 MiB"),
    ],
)  # fmt: skip
def test_descriptions_that_expand_beyond_measure(tmp_path, text, message):
    (tmp_path / "rdf.yaml").write_text(text)
    start = time.perf_counter()
    with pytest.raises(BadPackage, match=message) as caught:
        Package(tmp_path)
    assert time.perf_counter() - start < 5
    one_line(caught)


def test_a_few_aliases_are_what_programs_write(tmp_path):
    folder = make_folder(tmp_path / "p")
    text = (folder / "rdf.yaml").read_text()
    text += "authors: &people\n- {name: me}\nmaintainers: *people\n"
    (folder / "rdf.yaml").write_text(text)
    assert Package(folder).rdf["maintainers"] == [{"name": "me"}]


def test_a_zip_that_unpacks_to_a_multiple_is_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w") as file,
    ):
        for _ in range(300):
            file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(BadPackage, match=r"would fill 0\.3 GiB, which no package"):
        library.open_package(path)


def test_an_onnx_file_that_declares_more_than_it_holds(tmp_path):
    # graph (7), initializer (5), dims (1) of 2^34
    content = b"\x3a\x08\x2a\x06\x08\x80\x80\x80\x80\x40"
    folder = make_folder(tmp_path / "p")
    (folder / "model.onnx").write_bytes(content)
    text = (folder / "rdf.yaml").read_text()
    text = text.replace(sha(GRAPH), sha(content))
    (folder / "rdf.yaml").write_text(text)
    with pytest.raises(BadPackage, match="declares an array of"):
        Package(folder).weights_path("onnx")


@pytest.mark.parametrize(
    "named", ["../secret.md", "/etc/hostname", "link.md", "folder/secret.md"]
)
def test_documentation_outside_the_package_is_not_read(tmp_path, named):
    (tmp_path / "secret.md").write_text("secret")
    folder = make_folder(tmp_path / "p")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "folder").symlink_to(tmp_path)
    with (folder / "rdf.yaml").open("a") as file:
        file.write(f"documentation: {named}\n")
    package = Package(folder)
    with pytest.raises(BadPackage, match="outside its folder"):
        package.documentation()
    with pytest.raises(BadPackage, match="outside its folder"):
        cards.describe(str(folder))
    with pytest.raises(BadPackage, match="outside its folder"):
        check_paths(package)


def test_a_saved_model_that_unpacks_to_a_multiple_is_not_run(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "p")
    content = b"\x0a\x80\x80\x40" + bytes(2**20)  # a field that says nothing
    make_zip(folder / "saved_model.zip", {"saved_model.pb": content})
    text = (folder / "rdf.yaml").read_text()
    entry = "weights:\n  tensorflow_saved_model_bundle: {source: saved_model.zip}\n"
    (folder / "rdf.yaml").write_text(text.replace("weights:\n", entry))
    package = Package(folder)
    check_weights(package, "tensorflow_saved_model_bundle")
    monkeypatch.setattr(archives, "BLANK_BYTES", 2**16)
    with pytest.raises(BadPackage, match="which no package does"):
        check_weights(package, "tensorflow_saved_model_bundle")


def test_documentation_is_read_up_to_a_limit(tmp_path):
    folder = make_folder(tmp_path / "p")
    (folder / "README.md").write_text("ä" * (MAX_DOCUMENTATION + 9))
    assert Package(folder).documentation() == "ä" * MAX_DOCUMENTATION
    (folder / "README.md").rename(folder / "doc.md")
    assert Package(folder).documentation() == ""
    with (folder / "rdf.yaml").open("a") as file:
        file.write("documentation: {source: doc.md}\n")
    assert Package(folder).documentation()[:3] == "äää"


def test_a_description_sends_nobody_to_another_server(server):
    path = make_folder(server.folder / "p") / "rdf.yaml"
    path.write_text(
        path.read_text().replace("model.onnx", "http://127.0.0.2:9/model.onnx")
    )
    with pytest.raises(BadPackage, match="on another server, which is not asked"):
        library.open_package(f"{server.url}/p/rdf.yaml")
