"""An emitter seen several ways is put together where it is."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.core.symmetry import SPOT_VIEWS
from zoo.layers.views import SHARED, seen, together
from zoo.models.smnet import smnet
from zoo.models.zelger_vgg16 import zelger_vgg16

SYMMETRIES = [name for name in SPOT_VIEWS if name != "none"]


def spots(size, count=6):
    """Return elongated Gaussians (b, y, x, 1) and their x, y, z, light."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-1.5, 1.5, (2, count))
    z = rng.uniform(-1, 1, count)
    k = np.arange(size) - size // 2
    along_x = np.exp(-((k - x[:, None]) ** 2) / 2 / (1.5 + 0.5 * z[:, None]) ** 2)
    along_y = np.exp(-((k - y[:, None]) ** 2) / 2 / (1.5 - 0.5 * z[:, None]) ** 2)
    images = along_y[:, :, None] * along_x[:, None, :]
    images /= images.sum((1, 2), keepdims=True)
    light = rng.uniform(1, 2, count)
    images = images * light[:, None, None]
    return images[..., None].astype(np.float32), np.stack([x, y, z, light], 1)


def moments(regions):
    """Return x, y, z and light of spots as their moments have them."""
    k = ops.cast(ops.arange(regions.shape[1]), "float32") - regions.shape[1] // 2
    light = ops.sum(regions, axis=(1, 2, 3))
    x, y = (ops.sum(regions, axis=(axis, 3)) / light[:, None] for axis in (1, 2))
    middle = [ops.sum(part * k, axis=1) for part in (x, y)]
    widths = [
        ops.sqrt(ops.sum(part * ops.square(k - at[:, None]), axis=1))
        for part, at in zip((x, y), middle, strict=True)
    ]
    return ops.stack([*middle, widths[0] - widths[1], light], axis=1)


@pytest.mark.parametrize("size", [31, 32])
@pytest.mark.parametrize("symmetry", SPOT_VIEWS)
def test_every_view_says_the_same_of_an_emitter(symmetry, size):
    regions, truth = spots(size)
    views = seen(ops.convert_to_tensor(regions), symmetry)
    assert views.shape == (len(SPOT_VIEWS[symmetry]) * len(regions), size, size, 1)
    said = moments(views)
    np.testing.assert_allclose(together(said, symmetry, deviations=0), truth, atol=1e-3)
    # views that agree leave the deviation of each
    said = ops.concatenate([said, ops.ones_like(said)], axis=1)
    both = together(said, symmetry, deviations=4)
    np.testing.assert_allclose(both, np.c_[truth, np.ones_like(truth)], atol=1e-3)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_views_that_disagree_are_less_in_common(symmetry):
    rng, count = np.random.default_rng(6), len(SPOT_VIEWS[symmetry])
    values = rng.normal(0.0, 1.0, (count * 4000, 3)).astype(np.float32)

    def merged(stated):
        said = np.concatenate([values, np.full_like(values, stated)], axis=1)
        both = together(ops.convert_to_tensor(said), symmetry, deviations=3)
        return np.split(np.asarray(both), 2, axis=1)

    mean, spread = merged(3.0)
    expected = 3.0**2 - (1 - 1 / count)
    assert abs(np.mean(np.square(spread)) / expected - 1) < 0.01
    assert abs(np.std(mean) * count**0.5 - 1) < 0.03
    _, spread = merged(0.5)  # views are further apart than they say
    assert np.median(spread) == pytest.approx(0.5 * SHARED**0.5)


def small_smnet(**more):
    return smnet(width=0.125, outputs=3, stem_stride=2, stride=2, deviations=3, **more)


def small_zelger(**more):
    return zelger_vgg16(width=0.0625, dense=16, deviations=5, **more)


@pytest.mark.parametrize(
    ("build", "symmetry"),
    [
        (small_smnet, "mirror"),
        (small_zelger, "half_turn"),
        (small_zelger, "quarter_turns"),
    ],
)
def test_a_network_with_views_is_the_mean_of_the_network_without(build, symmetry):
    keras.utils.set_random_seed(2)
    plain, viewing = build(), build(symmetry=symmetry)
    assert [w.path for w in plain.weights] == [w.path for w in viewing.weights]
    viewing.set_weights(plain.get_weights())
    regions = np.random.default_rng(1).poisson(40, (3, 32, 32, 1)).astype(np.float32)
    half = plain.output_shape[-1] // 2
    values, total = [], 0.0
    for view in SPOT_VIEWS[symmetry]:
        turned = regions
        for axis, flip in ((1, view.flip_y), (2, view.flip_x)):
            if flip:  # pixel 0 has no mirror image: the last one stands twice
                order = [31, *range(31, 0, -1)]
                turned = turned.take(order, axis)
        turned = turned.swapaxes(1, 2) if view.swap else turned
        said = np.asarray(plain(turned, training=False))
        place, spread = said[:, :half].copy(), said[:, half:].copy()
        if view.swap:
            for part in (place, spread):
                part[:, :2] = part[:, 1::-1]
            place[:, 2] *= -1
        place[:, 0] *= -1 if view.flip_x else 1
        place[:, 1] *= -1 if view.flip_y else 1
        values.append(place)
        total = total + spread**2
    stated = total / len(values)
    expected = np.sqrt(np.maximum(stated - np.var(values, axis=0), SHARED * stated))
    found = np.asarray(viewing(regions, training=False))
    np.testing.assert_allclose(found[:, :half], np.mean(values, 0), atol=1e-4)
    np.testing.assert_allclose(found[:, half:], expected, rtol=1e-3, atol=1e-5)


def test_only_positions_are_put_together():
    with pytest.raises(ValueError, match="needs the outputs x, y, z, not 1"):
        smnet(symmetry="mirror")
    with pytest.raises(ValueError, match="needs 3 outputs, x, y, z, or 5"):
        zelger_vgg16(outputs=8, symmetry="half_turn")
    with pytest.raises(ValueError, match="symmetry must be one of none, mirror"):
        zelger_vgg16(symmetry="round")
