import numpy as np
import pytest

from zoo.core.errors import BadPackage
from zoo.core.processing import OPERATIONS, apply

IDS = ["batch", "y", "x", "channel"]

STEPS = [
    [{"id": "clip", "kwargs": {"min": 110.0, "max": 140.0}}],
    [{"id": "clip", "kwargs": {"min": 0.0, "max": 1e6}}],
    [
        {
            "id": "clip",
            "kwargs": {
                "min_percentile": 5.0,
                "max_percentile": 95.0,
                "axes": ["y", "x"],
            },
        }
    ],
    [{"id": "scale_linear", "kwargs": {"gain": 0.5, "offset": -3.0}}],
    [
        {
            "id": "scale_linear",
            "kwargs": {"axis": "channel", "gain": [1.0, 2.0, 3.0], "offset": [0, 1, 2]},
        }
    ],
    [
        {
            "id": "scale_range",
            "kwargs": {
                "axes": ["y", "x", "channel"],
                "min_percentile": 0.0,
                "max_percentile": 100.0,
            },
        }
    ],
    [
        {
            "id": "scale_range",
            "kwargs": {
                "axes": ["y", "x"],
                "min_percentile": 1.0,
                "max_percentile": 99.8,
            },
        }
    ],
    [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x", "channel"]}}],
    [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}],
    [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 120.0, "std": 7.0}}],
    [
        {
            "id": "fixed_zero_mean_unit_variance",
            "kwargs": {
                "axis": "channel",
                "mean": [100.0, 110.0, 120.0],
                "std": [1.0, 2.0, 3.0],
            },
        }
    ],
    [{"id": "binarize", "kwargs": {"threshold": 125.0}}],
    [{"id": "sigmoid"}],
    [{"id": "softmax", "kwargs": {"axis": "channel"}}],
    [{"id": "ensure_dtype", "kwargs": {"dtype": "uint8"}}],
    [
        {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x", "channel"]}},
        {"id": "clip", "kwargs": {"min": -1.0, "max": 2.5}},
        {"id": "scale_linear", "kwargs": {"gain": 10.0, "offset": 1.0}},
    ],
]


def counts(shape=(2, 13, 17, 3)):
    rng = np.random.default_rng(5)
    return (120 + 9 * rng.normal(size=shape)).round().astype(np.float32)


def by_core(steps, array):
    """Run the steps with bioimageio.core's own operators."""
    from bioimageio.core.common import MemberId
    from bioimageio.core.proc_ops import get_proc
    from bioimageio.core.sample import Sample
    from bioimageio.core.stat_calculators import compute_measures
    from bioimageio.core.tensor import Tensor
    from bioimageio.spec.model.v0_5 import InputTensorDescr

    descr = InputTensorDescr.model_validate(
        {
            "id": "input",
            "axes": [
                {"type": "batch"},
                {"id": "y", "type": "space", "size": array.shape[1]},
                {"id": "x", "type": "space", "size": array.shape[2]},
                {"type": "channel", "channel_names": list("abc")},
            ],
            "data": {"type": "float32"},
            "preprocessing": steps,
        }
    )
    member = MemberId("input")
    sample = Sample(
        members={member: Tensor.from_numpy(array, dims=IDS)}, stat={}, id="s"
    )
    for step in descr.preprocessing:
        if step.id == "ensure_dtype" and {"id": "ensure_dtype"} not in [
            {"id": s["id"]} for s in steps
        ]:
            continue
        operator = get_proc(step, descr)
        sample.stat.update(compute_measures(operator.required_measures, [sample]))
        operator(sample)
    return sample.members[member].data.to_numpy()


@pytest.mark.parametrize("steps", STEPS, ids=lambda s: "+".join(x["id"] for x in s))
def test_equals_bioimageio_core(steps):
    array = counts()

    found = apply(steps, array, "byxc")

    expected = by_core(steps, array)
    assert found.shape == expected.shape
    np.testing.assert_allclose(
        found.astype(np.float64), expected.astype(np.float64), rtol=2e-6, atol=2e-6
    )


def test_every_operation_is_compared_with_core():
    assert {step["id"] for steps in STEPS for step in steps} == set(OPERATIONS)


def test_images_of_a_batch_are_scaled_separately_unless_batch_is_named():
    array = np.stack([np.full((4, 4, 1), 1.0), np.full((4, 4, 1), 9.0)])
    array[:, 0, 0, 0] = 0.0
    steps = [{"id": "scale_range", "kwargs": {"axes": ["y", "x", "channel"]}}]
    together = [{"id": "scale_range", "kwargs": {"axes": IDS}}]

    assert apply(steps, array, "byxc").max(axis=(1, 2, 3)) == pytest.approx(
        [1, 1], rel=1e-5
    )
    assert apply(together, array, "byxc").max(axis=(1, 2, 3)) == pytest.approx(
        [1 / 9, 1]
    )


def test_without_axes_statistics_run_over_the_whole_tensor():
    array = counts()
    found = apply([{"id": "zero_mean_unit_variance", "kwargs": {}}], array, "byxc")
    assert found.mean() == pytest.approx(0, abs=1e-5)
    assert found.std() == pytest.approx(1, abs=1e-5)


def test_a_tile_is_scaled_by_the_statistics_of_its_frame():
    frame = counts((1, 32, 32, 1))
    steps = [
        {"id": "scale_range", "kwargs": {"axes": ["y", "x", "channel"]}},
        {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x", "channel"]}},
    ]
    whole = apply(steps, frame, "byxc")

    tile = apply(steps, frame[:, 8:16, 8:20], "byxc", statistics_from=frame)

    np.testing.assert_allclose(tile, whole[:, 8:16, 8:20], rtol=1e-6)


def test_a_pedestal_does_not_cost_precision():
    frame = np.float32(60000) + np.linspace(0, 8, 33, dtype=np.float32).round()
    steps = [{"id": "scale_range", "kwargs": {"axes": ["x"]}}]
    expected = (frame.astype(float) - 60000) / (8 + 1e-6)
    np.testing.assert_allclose(apply(steps, frame, "x"), expected, rtol=1e-7)


def test_a_declared_eps_is_obeyed():
    steps = [{"id": "scale_range", "kwargs": {"axes": ["x"], "eps": 1.0}}]
    assert apply(steps, np.array([0.0, 1.0]), "x").tolist() == [0.0, 0.5]


def test_a_constant_image_stays_finite():
    array = np.full((1, 4, 4, 1), 7.0, np.float32)
    for name in ("scale_range", "zero_mean_unit_variance"):
        found = apply([{"id": name, "kwargs": {"axes": ["y", "x"]}}], array, "byxc")
        assert np.all(found == 0)


def test_sigmoid_does_not_overflow():
    found = apply([{"id": "sigmoid"}], np.array([-1e4, 0.0, 1e4]), "x")
    assert found.tolist() == [0.0, 0.5, 1.0]


def test_types_of_the_result():
    array = np.arange(6).reshape(2, 3)
    assert apply([], array, "yx").dtype == np.float32
    linear = [{"id": "scale_linear", "kwargs": {"gain": 2.0}}]
    assert apply(linear, array, "yx").dtype == np.float32
    cast = [{"id": "ensure_dtype", "kwargs": {"dtype": "int16"}}]
    assert apply(cast, array, "yx").dtype == np.int16
    assert (
        apply([{"id": "binarize", "kwargs": {"threshold": 2}}], array, "yx").sum() == 3
    )


def test_the_argument_is_not_changed():
    array = counts()
    before = array.copy()
    apply(STEPS[-1], array, "byxc")
    assert np.array_equal(array, before)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"id": "cellpose_flow_dynamics"}, "not supported; supported are binarize"),
        ({"id": "scale_range", "kwargs": {"axes": ["z"]}}, "the axes z"),
        ({"id": "clip", "kwargs": {}}, "needs a minimum or a maximum"),
        ({"id": "scale_linear", "kwargs": {"gain": [1, 2]}}, "names no axis"),
        (
            {"id": "scale_range", "kwargs": {"reference_tensor": "raw"}},
            "tensor 'raw', which was not given",
        ),
    ],
)
def test_what_cannot_be_done_is_said(step, message):
    with pytest.raises(BadPackage, match=message):
        apply([step], np.zeros((4, 4)), "yx")


def test_axes_must_fit_the_tensor():
    with pytest.raises(ValueError, match="2 dimensions, not 3"):
        apply([], np.zeros((1, 2, 3)), "yx")
