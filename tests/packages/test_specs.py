"""Every folder in ``specs/`` is true."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from zoo.core.files import sha256
from zoo.core.formats import KERAS, ONNX
from zoo.core.test_set import find_metric
from zoo.io.package import Package
from zoo.package.checks import verify_package
from zoo.package.document import (
    check_generated,
    drifted,
    missing_sections,
    pictures,
    unwritten_sections,
)
from zoo.package.trained import declared_recipe
from zoo.predict.contract import read_contract
from zoo.predict.predictor import Predictor
from zoo.verify.compare import relative_error
from zoo.verify.examination import Examination

ROOT = Path(__file__).parents[2]
SPECS = sorted(path.parent for path in (ROOT / "specs").glob("*/rdf.yaml"))
FILES = {
    "README.md",
    "cover.png",
    "metrics.json",
    "model.onnx",
    "rdf.yaml",
    "recipe.json",
    "sample_input.tif",
    "sample_output.tif",
    "test_input.npy",
    "test_output.npy",
    "weights.keras",
}
PUBLISHED = {
    "anna_palm_microtubules": (
        "95fb9fc397777fa1b6062d8bc668fa013c01aaeb1451a23601e62ffdc0725ac3",
        "d434a7a718438c1149ccca591a3ba8f23fcd46410db9d1116c511cfd8f80b392",
    ),
    "anna_palm_structures": (
        "2dc92ebd2f4a67a471f79bbbb1fc597df85e9bd03bac0cc2d94699a714991805",
        "ba1b2212bdc9e0b42fcebcfa258a18106fdba91b5cd8008d6fce1962f59b0393",
    ),
    "cross_modality_gan_confocal_sted": (
        "f4ec37e117d7f2bc4b7e87c0096975f5fe00fca8352aa9465aa948044664ea6d",
        "c2cb5ef0d24900da72ebc9641ac50e213d6f8e8915dc5623423ce66385548f96",
    ),
    "cross_modality_gan_tirf_sim": (
        "89bc334a97dea53c4c1da8e2e7ecb7f26844e70ca26f0a810bc85ba066e79272",
        "2dafb4cb27215657af55e019c2afe1507a8049a87b196efcd3ce1c947d1c39fb",
    ),
    "deep_storm3d_fast_tetrapod": (
        "e87952a505223ef79630ef980cb12bd68d0b0fa2e70010e12264684b60ef8de6",
        "d3cd759639113b9a03361ab292f3f17de693492e1241ec74558d6018323b470b",
    ),
    "deep_storm3d_learned": (
        "21a0d63ef5702e2c65e872ba74b525e9460b9a307a222ede3ce62686203c358a",
        "4466c45fc1f929ff607f41e0a398c01a3122f0b963fec3a413e29aa7428b4515",
    ),
    "deep_storm3d_tetrapod": (
        "4ebd8ad3f7fb70de0c46a19d62a49da0256fe6899542f715fe96627ac6f3ad7f",
        "11e2088c0dad1ffbc78264505e60beff5d661b53b765482c8c81673a46d267d1",
    ),
    "deep_storm_fast_microtubules": (
        "385fa2ef9f7016f2b2d34421f2003a7ce1e3b3b253417aff3fa920f190a7550e",
        "128e8cf6d0c7c28784e2393648be754c0fa357b7d677a4805faa4a39abe82cde",
    ),
    "deep_storm_microtubules": (
        "22a61f62b9b302692af102e0d08e2ae5ec42c4808789cf1d584edf0ccbda25ca",
        "54c4eb2a58311e5cb4e2374c63c127ebb124b7010603ccfe2e429b20044af10a",
    ),
    "dfcan_sim": (
        "cfc566b4cd1f8abe77a4cfee10518d177e85e02d77ab3388fe3937da71571002",
        "b055fe6c6478b2946091412c0cd74e609749cfda2f641d9d5e1cbaa0ca88c6dd",
    ),
    "dfcan_widefield": (
        "c76d863d9270c697ca667cbb2857373921f389f638bb2ce0e1e446895e41ef71",
        "217bda5d2675a053bfe418b7e610b31898bc3e0a74192fc86b3fb225e43cd555",
    ),
    "dfgan_sim": (
        "8472f2229e9bed09f8f6d76a6077ad64f49c79dbf5c606ecf1e5ed8b30cf382a",
        "685f7d49850ee9caeb05b69101ad0fd5cb702595c2ce813907ff3f5171859680",
    ),
    "dfgan_widefield": (
        "236f72c7858c0747ce2181d06275e6828a67242900f9010e677823f5e2127b00",
        "baf0e9bf33feb0f3c2853aa2dcc690cc2cad58216a694d6ed70a25eb5423cfb2",
    ),
    "gaire_resnet_three_color": (
        "6c0074a983cf16159e3dea3a07368b58a1603c1e486af28a576f4b45db7ac799",
        "d2f8f8d53781d09a3839b5c30f05fd96179650fa68e306dcb030b909ca1aa277",
    ),
    "gaire_resnet_two_color": (
        "4ca4fbeb163a2b1e0cfd43639007cd7d347249c37969f93306fded69c9414145",
        "97b96e495ed25e30dd5135cc6865a5fdd112e8c410b21ae1028043f80f98ca7b",
    ),
    "pssr_em": (
        "2b85ab2bbc9aac11b83dff0df852786bc08f7b848cae2476b50a1dbb7e82dd92",
        "c4c9e6a513ef59846454060ceb5774b8828b62e5ed6738b243a9b2a855f3b4df",
    ),
    "pssr_fluorescence": (
        "218b4df4c99c03bf084b506c5e93e609d63926bfaaf802765cb7096077cdba2c",
        "c4ecdb36c30046c63ba06ef8f483536c9b24f71083272ef360be743a54ec8a33",
    ),
    "pssr_movie": (
        "f24255f0faf3a35a138c21ab2b6135353f7bce205fb1c1af8301450419b75db1",
        "3371efc67263acb8e37b4ddc281e0baa718731be779b7bf53b9e3bb67af97121",
    ),
    "smnet_astigmatism": (
        "cbc3b61833eb18a21d2a0aa6b06e9a41aa5f04f82ddb47b510e8f3dbc789be12",
        "726dc2f70b48e98b865c8d81503b4e5a8e8fa06b6711d2446797a988179426c3",
    ),
    "smnet_complex": (
        "8aa5cf5c8320fd0db93f8aa3ae0e52526cfadd3469d440b429f4cce752eca36a",
        "09990317056e218cef3c7756dc371ee0a88b30d02ea3e996f87d5d7a0c764938",
    ),
    "zelger_vgg16_astigmatism": (
        "592cb6e11b90352febe2c884d8dc6056c846d7ab88757e2afd674fda5e7f9ffa",
        "8a1ec823633fa2c8c12cbcd6466f0e3161d94237781767e655887ec5c0f0c8f4",
    ),
}
"""SHA-256 of the published weights and of the graphs exported from them: whoever
changes one says so in the changelog."""
MIB = 2**20

each = pytest.mark.parametrize("folder", SPECS, ids=lambda path: path.name)


def shows_an_image(folder):
    return bool(read_contract(Package(folder)).grid.output_space)


@each
def test_files_and_sizes(folder):
    # a vector is no image, of which there could be a sample
    expected = FILES if shows_an_image(folder) else FILES - {"sample_output.tif"}
    record = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    # what a training made beside the weights, such as a mask
    expected = expected | set(record["run"].get("results", ()))
    shown = pictures((folder / "README.md").read_text(encoding="utf-8"))
    expected = expected | set(shown)
    assert {path.name for path in folder.iterdir()} == expected
    assert (folder / "weights.keras").stat().st_size <= 24 * MIB
    assert (folder / "model.onnx").stat().st_size <= 24 * MIB
    for picture in ("cover.png", *shown):
        assert (folder / picture).stat().st_size < 500_000


def test_all_packages_together_stay_small():
    total = sum(p.stat().st_size for p in (ROOT / "specs").rglob("*") if p.is_file())
    # above the 110 MiB of the plan: see the changelog
    assert total < 264 * MIB


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_are_the_same_bytes(name):
    folder = ROOT / "specs" / name
    found = sha256(folder / "weights.keras"), sha256(folder / "model.onnx")
    assert found == PUBLISHED[name]


@each
def test_hashes(folder):
    package = Package(folder)
    assert package.rdf["id"] == folder.name
    assert set(package.weights) == {KERAS.entry, ONNX.entry}
    for entry in package.weights:
        assert package.weights_path(entry).is_file()
    for tensor in (*package.inputs, *package.outputs):
        for key in ("test_tensor", "sample_tensor"):
            if key not in tensor:
                assert (key, shows_an_image(folder)) == ("sample_tensor", False)
                continue
            file = tensor[key]
            assert sha256(folder / file["source"]) == file["sha256"]


@each
def test_the_contract_is_that_of_the_recipe(folder):
    recipe = declared_recipe(folder.name)
    assert recipe is not None
    contract, promise = read_contract(Package(folder)), recipe.promise
    # measured when it was packaged
    for name in ("errors", "errors_z"):
        if hasattr(promise.task, name):
            measured = {f"task__{name}": getattr(contract.task, name)}
            promise = promise.override(**measured)
    processing = {"preprocessing": None, "postprocessing": None}
    assert contract.override(**processing) == promise.override(**processing)
    assert list(contract.before) == list(promise.before)
    assert list(contract.after) == list(promise.after)


def test_what_stands_before_the_layers_of_a_paper_is_said():
    folder = ROOT / "specs" / "dfcan_sim"
    assert Package(folder).zoo["published_architecture"] is False
    prose = (folder / "README.md").read_text(encoding="utf-8")
    first = prose.partition("## Description")[2].strip()
    assert first.startswith("**This is not the published DFCAN.**")


@each
def test_generated_files_have_not_drifted(folder):
    assert drifted(folder) == []


def test_nothing_in_the_checkout_has_drifted():
    assert check_generated(ROOT) == []


@each
def test_readme_is_complete(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert missing_sections(text) == []
    assert unwritten_sections(text) == []


@each
def test_scores_reach_what_the_recipe_requires(folder):
    recipe = declared_recipe(folder.name)
    assert recipe is not None
    assert recipe.acceptance
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    missed = {
        bound.metric: value
        for bound in recipe.acceptance
        if (value := find_metric(metrics, bound.metric)) is None
        or not bound.holds(value)
    }
    assert missed == {}


@each
def test_samples_and_cover_show_the_test_tensors(folder):
    package = Package(folder)
    shown = {"input": package.test_input()}
    if shows_an_image(folder):
        shown["output"] = package.test_output()
    for kind, tensor in shown.items():
        sample = tifffile.imread(folder / f"sample_{kind}.tif")
        planes = np.moveaxis(tensor[0], -1, 0)
        assert np.array_equal(sample, planes if len(planes) > 1 else planes[0])
    with Image.open(folder / "cover.png") as cover:
        assert cover.size[0] == 2 * cover.size[1]


@each
def test_predictor_reproduces_the_test_output(folder):
    package = Package(folder)
    model = Predictor(package, engine="onnx")
    found = model.forward(package.test_input())
    assert relative_error(found, package.test_output()) < 1e-4


@each
def test_a_wrong_kernel_is_caught(folder, tmp_path):
    """One value of any kernel of the ONNX file, wrong by 1e-3 of the kernel's norm."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(folder / "model.onnx")
    constants = [t for t in model.graph.initializer if len(t.dims) == 4]
    # vectors and single numbers are offsets, and slopes of rectifiers
    kernels = [t for t in constants if sum(size > 1 for size in t.dims) > 1]
    # another one in every package, and always the same
    rng = np.random.default_rng(list(folder.name.encode()))
    package = Package(folder)
    package.rdf["weights"][ONNX.entry]["source"] = "wrong.onnx"
    kernel = kernels[rng.integers(len(kernels))]
    values = np.array(numpy_helper.to_array(kernel))
    place = np.unravel_index(rng.integers(values.size), values.shape)
    values[place] += 1e-3 * np.linalg.norm(values)
    kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    examination = Examination(package, tmp_path, None)
    examination.runs.weights_file = {  # pyright: ignore[reportAttributeAccessIssue]
        KERAS.entry: folder / KERAS.file,
        ONNX.entry: tmp_path / "wrong.onnx",
    }.__getitem__
    with pytest.raises(Exception, match="onnx does not hold 1 of"):
        examination.kernels()


INSTRUCTIONS = {
    "sse4.1": {
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "DNNL_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "DNNL_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
}
"""What makes programs compute as on older processors."""


@each
@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("processor", INSTRUCTIONS)
def test_formats_agree_on_other_processors(folder, processor, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from zoo.io.package import Package\n"
        "from zoo.verify.examination import Examination\n"
        "seen = Examination(Package(Path(sys.argv[1])), Path(sys.argv[2]), None)\n"
        "print(seen.formats())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, tmp_path],
        env=os.environ | INSTRUCTIONS[processor],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]
    assert "agree" in done.stdout


@each
@pytest.mark.slow
@pytest.mark.tensorflow
def test_verification_passes(folder):
    report = verify_package(folder)
    assert report.failed == [], "\n".join(map(str, report.rows))
