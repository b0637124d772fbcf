"""smNet and Zelger's VGG16: widths, strides and stated deviations."""

import numpy as np
import pytest
from keras import ops

from zoo.models.smnet import smnet
from zoo.models.zelger_vgg16 import zelger_vgg16


def run(model, regions):
    return np.asarray(ops.convert_to_numpy(model(regions, training=False)))


@pytest.fixture(scope="module")
def regions():
    return np.random.default_rng(1).poisson(40, (3, 32, 32, 1)).astype(np.float32)


SMALL = {"width": 0.125, "outputs": 3, "limit": 22.0, "dense": 16}


@pytest.mark.parametrize(("stem_stride", "stride"), [(1, 1), (2, 2), (1, 4)])
def test_strides_of_smnet_keep_input_and_output(regions, stem_stride, stride):
    model = smnet(**SMALL, stem_stride=stem_stride, stride=stride)
    assert run(model, regions).shape == (3, 3)
    kernel = model.get_layer("dense1").kernel
    assert kernel.shape == ((32 // stem_stride // stride) ** 2, 16)


def test_smnet_sees_no_brightness_but_in_its_deviations(regions):
    model = smnet(**SMALL, stem_stride=2, stride=2, deviations=3)
    dim, bright = run(model, regions), run(model, 16 * regions)
    np.testing.assert_allclose(dim[:, :3], bright[:, :3], rtol=1e-4, atol=1e-4)
    assert (dim[:, 3:] > 0).all()
    # sixteen times the photons of the same shape: a fourth of the error
    np.testing.assert_allclose(bright[:, 3:], dim[:, 3:] / 4, rtol=1e-4)


def test_deviations_follow_the_outputs_of_all_branches(regions):
    one = smnet(width=0.125, outputs=2, branches=2, stem_stride=2, stride=4)
    both = smnet(
        width=0.125, outputs=2, branches=2, deviations=4, stem_stride=2, stride=4
    )
    names = {w.path for w in both.weights} - {w.path for w in one.weights}
    assert names == {
        f"branch{n}_deviations/{kind}" for n in (1, 2) for kind in ("kernel", "bias")
    }
    assert run(both, regions).shape == (3, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deviations": 2}, "deviations must be 0 or as many as the 1 outputs"),
        ({"stride": 3}, "size must be a multiple of the strides"),
        ({"stem_stride": 0}, "stem_stride must be positive"),
        ({"width": 0.0}, "width must be positive"),
        ({"dense": -1}, "dense must be positive"),
    ],
)
def test_impossible_smnets_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        smnet(**options)


def test_zelger_states_a_deviation_for_every_output(regions):
    model = zelger_vgg16(width=0.0625, dense=16, outputs=5, deviations=5)
    found = run(model, regions)
    assert found.shape == (3, 10)
    assert (found[:, 5:] > 0).all()
    assert (run(model, 1e4 * regions)[:, 5:] < np.inf).all()
    plain = zelger_vgg16(width=0.0625, dense=16, outputs=5)
    added = {w.path for w in model.weights} - {w.path for w in plain.weights}
    assert added == {"deviations/kernel", "deviations/bias"}
    with pytest.raises(ValueError, match="deviations must be 0 or as many as the 5"):
        zelger_vgg16(deviations=3)
