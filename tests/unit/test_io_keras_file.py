"""`zoo.io.keras_file`: what is refused before Keras sees it."""

import copy
import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from converters.readers import read_keras2
from zoo.core.errors import BadPackage
from zoo.io.keras_file import check_keras_file


def _layer(class_name, *, module="keras.layers", registered_name=None, **config):
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered_name,
    }


PLAIN = {
    "module": "keras.src.models.functional",
    "class_name": "Functional",
    "registered_name": "Functional",
    "config": {
        "layers": [
            _layer("InputLayer"),
            _layer(
                "Conv2D",
                kernel_initializer=_layer("Zeros", module="keras.initializers"),
                activation="relu",
            ),
            _layer(
                "Activation",
                activation={
                    "module": "builtins",
                    "class_name": "function",
                    "config": "relu",
                    "registered_name": "function",
                },
            ),
            _layer(
                "DepthToSpace",
                module="keras.src.ops.nn",
                registered_name="DepthToSpace",
                node={"class_name": "__keras_tensor__", "config": {"shape": [1]}},
            ),
        ]
    },
}


def _hdf5(fill=None):
    """Return the bytes of an HDF5 file."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["layers/conv/vars/0"] = np.ones((3, 3, 1, 4), np.float32)
        if fill is not None:
            fill(file)
    return content.getvalue()


def _write(path, config, *, extra=(), drop=(), weights=None):
    members = {
        "metadata.json": "{}",
        "config.json": config if isinstance(config, str) else json.dumps(config),
        "model.weights.h5": _hdf5() if weights is None else weights,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            if name not in drop:
                archive.writestr(name, text)
        for name in extra:
            archive.writestr(name, "x")
    return path


def _with(entry):
    """Hide an entry deep inside a sound description."""
    config = copy.deepcopy(PLAIN)
    inner = {
        **PLAIN,
        "config": {"layers": [_layer("TimeDistributed", inner=[{"deep": entry}])]},
    }
    config["config"]["layers"].append(inner)
    return config


def test_plain_network_passes(tmp_path):
    check_keras_file(_write(tmp_path / "a.keras", PLAIN))
    check_keras_file(_write(tmp_path / "b.keras", _with(_layer("ReLU"))))


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (_layer("Lambda"), "Lambda layer"),
        ({"class_name": "__lambda__", "config": {"value": "4wAA"}}, "pickled"),
        (_layer("Scale", module="my_lab.layers"), "my_lab.layers"),
        (_layer("Hub", module="keras_hub.layers"), "keras_hub.layers"),
        (_layer("Conv2D", module=None), "module None"),
        (_layer("Scale", registered_name="my_lab>Scale"), "my_lab>Scale"),
        (_layer("TFSMLayer"), "another file's graph"),
        (_layer("StringLookup", vocabulary="/etc/hosts"), "opens files"),
        (_layer("get_file", module="keras.utils"), "keras.utils"),
        (_layer("run", module="keras.src.utils.file_utils"), "file_utils"),
        (
            {"class_name": "function", "module": "os", "config": "system"},
            "'system' from module 'os'",
        ),
        (
            {"class_name": "function", "module": "builtins", "config": "os.system"},
            "os.system",
        ),
        (
            {"class_name": "function", "module": "keras.layers", "config": "Lambda"},
            "Lambda",
        ),
        ({"registered_name": "lab>Thing", "config": {}}, "lab>Thing"),
        (_layer("Novelty"), "'Novelty' from module 'keras.layers', which does more"),
        (_layer("WhileLoop", module="keras.src.ops.core"), "does more than compute"),
        (_layer("Novelty", module="keras"), "does more than compute"),
        (_layer("Dense", module="keras.src.ops.function"), "does more than compute"),
        (
            {
                "class_name": "function",
                "module": "keras.layers",
                "config": "deserialize",
            },
            "does more than compute",
        ),
    ],
)
def test_foreign_object_is_refused_at_any_depth(tmp_path, entry, named):
    path = _write(tmp_path / "net.keras", _with(entry))
    with pytest.raises(BadPackage, match="holds") as caught:
        check_keras_file(path)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"extra": ["weights.pkl"]}, "weights.pkl"),
        ({"extra": ["assets/vocabulary.txt"]}, "does not belong"),
        ({"drop": ["config.json"]}, "lacks 'config.json'"),
        ({"config": "{not json"}, "damaged config.json"),
        ({"config": "[1, 2]"}, "describes no network"),
        ({"config": "[" * 200_000}, "cannot be read|damaged"),
    ],
)
def test_unsound_archive_is_refused(tmp_path, arguments, message):
    path = _write(tmp_path / "net.keras", **({"config": PLAIN} | arguments))
    with pytest.raises(BadPackage, match=message):
        check_keras_file(path)


def _external_link(file):
    file["layers/other"] = h5py.ExternalLink("/tmp/secret.h5", "/x")


def _external_storage(file):
    file.create_dataset(
        "layers/out", (4,), "f4", external=[("/tmp/secret.bin", 0, h5py.h5f.UNLIMITED)]
    )


def _virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/secret.h5", "x", (4,))
    file.create_virtual_dataset("layers/virtual", layout)


def _huge(file):
    file.create_dataset("layers/huge", (60_000, 60_000), "f4")


def _huge_compressed(file):
    file.create_dataset("a", (60_000, 60_000), "f4", chunks=(600, 600), compression=1)


def _many(file):
    for number in range(50):
        file.create_dataset(f"layers/{number}", (400,), "f4")


def _text(file):
    file["layers/text"] = ["word"] * 3


FOREIGN_ARRAYS = [
    (_external_link, "'other' is a link to another file"),
    (_external_storage, "'/layers/out' .* lies in another file"),
    (_virtual, "'/layers/virtual' .* lies in another file"),
    (_huge, r"declares 1\.44e\+10 bytes and stores 0"),
    (_huge_compressed, r"declares 1\.44e\+10 bytes and stores 0"),
    (_many, "declares arrays of"),
    (_text, "holds no numbers"),
]


@pytest.mark.parametrize(("fill", "message"), FOREIGN_ARRAYS)
def test_weights_that_are_elsewhere_or_not_there_are_refused(tmp_path, fill, message):
    path = _write(tmp_path / "net.keras", PLAIN, weights=_hdf5(fill))
    assert path.stat().st_size < 200_000
    with pytest.raises(BadPackage, match=message):
        check_keras_file(path)


@pytest.mark.parametrize(("fill", "message"), FOREIGN_ARRAYS)
def test_converters_refuse_the_same_files(tmp_path, fill, message):
    (tmp_path / "old.h5").write_bytes(_hdf5(fill))
    with pytest.raises(BadPackage, match=message):
        read_keras2(tmp_path / "old.h5")


def test_links_within_a_file_and_circles_are_no_fault(tmp_path):
    def fill(file):
        file["again"] = file["layers"]
        file["layers/up"] = file["/"]
        file["soft"] = h5py.SoftLink("/layers")
        zeros = np.zeros((500, 500), np.float32)
        file.create_dataset("zeros", data=zeros, compression=9, chunks=(500, 500))

    check_keras_file(_write(tmp_path / "net.keras", PLAIN, weights=_hdf5(fill)))


def test_weights_that_unpack_to_a_multiple_are_refused(tmp_path):
    path = _write(tmp_path / "net.keras", PLAIN)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        zipfile.ZipFile(_write(tmp_path / "sound.keras", PLAIN)) as sound,
    ):
        for name in ("metadata.json", "config.json"):
            archive.writestr(name, sound.read(name))
        archive.writestr("model.weights.h5", bytes(80 * 2**20))
    with pytest.raises(BadPackage, match=r"weights would fill 0\.078 GiB"):
        check_keras_file(path)
    with pytest.raises(BadPackage, match="damaged weights"):
        check_keras_file(_write(path, PLAIN, weights=b"no HDF5"))


def test_something_else_under_that_name(tmp_path):
    path = tmp_path / "net.keras"
    with pytest.raises(BadPackage, match="does not exist"):
        check_keras_file(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(BadPackage, match="zip archive"):
        check_keras_file(path)
    sound = _write(tmp_path / "sound.keras", PLAIN).read_bytes()
    path.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(BadPackage, match=r"not a \.keras file"):
        check_keras_file(path)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore:::keras", "ignore:::tensorflow")
def test_real_files(tmp_path):
    import keras

    frame = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="gelu")(frame)
    x = keras.layers.BatchNormalization()(x)
    x = keras.ops.nn.depth_to_space(x, 2)
    keras.Model(frame, x).save(tmp_path / "plain.keras")
    check_keras_file(tmp_path / "plain.keras")

    y = keras.layers.Lambda(lambda t: t * 2)(x)
    keras.Model(frame, y).save(tmp_path / "code.keras")
    with pytest.raises(BadPackage, match="Lambda"):
        check_keras_file(tmp_path / "code.keras")
