"""Deep-STORM's loss against a plain NumPy formula."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.ndimage import convolve

from zoo.core.recipe import Loss
from zoo.losses import BlurredSpikes


def gaussian(edge: int = 7, sigma: float = 1.0) -> np.ndarray:
    y, x = np.mgrid[:edge, :edge] - edge // 2
    kernel = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def reference(
    target: np.ndarray,
    prediction: np.ndarray,
    *,
    factor: float = 100.0,
    gain: float = 2.0,
    sparsity: float = 1.0,
    kernel: np.ndarray | None = None,
) -> list[float]:
    """Return the losses: both maps blurred with zeros outside, then compared."""
    kernel = gaussian() if kernel is None else kernel
    losses = []
    for s, p in zip(target[..., 0], prediction[..., 0], strict=True):
        wanted = convolve(factor * s.astype(float), kernel, mode="constant")
        found = convolve(p.astype(float), gain * kernel, mode="constant")
        losses.append(np.mean((wanted - found) ** 2) + sparsity * np.mean(np.abs(p)))
    return losses


def spikes(shape: tuple[int, ...], share: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random(shape) < share).astype(np.float32)


def value(loss: Loss, target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(loss(target, prediction)))


@pytest.mark.parametrize("shape", [(1, 16, 16, 1), (3, 24, 17, 1), (2, 5, 40, 1)])
@pytest.mark.parametrize("sparsity", [0.0, 0.05, 1.0])
def test_the_loss_equals_the_published_formula(shape, sparsity):
    target = spikes(shape, 0.02)
    prediction = np.random.default_rng(1).normal(0, 10, shape).astype(np.float32)
    loss = value(BlurredSpikes(sparsity=sparsity), target, prediction)
    assert loss.shape == (shape[0],)
    np.testing.assert_allclose(
        loss, reference(target, prediction, sparsity=sparsity), rtol=1e-5
    )


@pytest.mark.parametrize(
    "changes",
    [{"factor": 170.2}, {"gain": 1.0}, {"sigma_px": 2.0}, {"kernel_px": 11}],
)
def test_every_number_of_the_declaration_counts(changes):
    target = spikes((2, 20, 20, 1), 0.03)
    prediction = 30 * spikes((2, 20, 20, 1), 0.05, seed=4)
    kernel = gaussian(changes.get("kernel_px", 7), changes.get("sigma_px", 1.0))
    expected = reference(
        target,
        prediction,
        factor=changes.get("factor", 100.0),
        gain=changes.get("gain", 2.0),
        kernel=kernel,
    )
    loss = BlurredSpikes(**changes)
    np.testing.assert_allclose(value(loss, target, prediction), expected, rtol=1e-5)
    plain = value(BlurredSpikes(), target, prediction)
    assert not np.allclose(plain, expected, rtol=1e-3) or "kernel_px" in changes


def test_volumes_are_blurred_along_depth_too():
    target = np.zeros((1, 9, 16, 17, 1), np.float32)
    target[0, 4, 8, 8] = target[0, 1, 3, 12] = 1
    prediction = 10 * np.random.default_rng(1).random(target.shape, np.float32)
    line = BlurredSpikes().kernel().astype(float)
    kernel = np.einsum("i,j,k->ijk", line, line, line)
    difference = 100 * target[0, ..., 0] - 2 * prediction[0, ..., 0].astype(float)
    expected = np.mean(convolve(difference, kernel, mode="constant") ** 2)
    expected += 0.5 * prediction.mean()
    found = value(BlurredSpikes(sparsity=0.5), target, prediction)
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def test_the_border_counts_as_zero():
    # a spike in the corner loses the part of its blur that falls outside
    corner, middle = np.zeros((2, 1, 32, 32, 1), np.float32)
    corner[0, 0, 0], middle[0, 16, 16] = 1, 1
    nothing = np.zeros_like(corner)
    outside = value(BlurredSpikes(), corner, nothing)
    inside = value(BlurredSpikes(), middle, nothing)
    assert outside < 0.7 * inside
    np.testing.assert_allclose(outside, reference(corner, nothing), rtol=1e-5)


def test_the_kernel_is_the_published_one():
    kernel = BlurredSpikes().kernel()
    assert kernel.shape == (7,)
    assert kernel.dtype == np.float32
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(np.outer(kernel, kernel), gaussian(), rtol=1e-5)


def test_the_ideal_peak_is_that_of_the_published_loss():
    # (100 - 1 / (4 sum(G^2))) / 2 with sum(G^2) near 1 / (4 pi)
    squares = np.sum(gaussian() ** 2)
    assert BlurredSpikes().ideal_peak() == pytest.approx(
        50 - 1 / (8 * squares), rel=1e-6
    )
    assert BlurredSpikes().ideal_peak() == pytest.approx(48.43, abs=0.005)
    assert BlurredSpikes(sparsity=0).ideal_peak() == 50.0


@pytest.mark.parametrize(
    "changes", [{}, {"sparsity": 0.3}, {"factor": 170.2, "gain": 1.0}]
)
def test_the_ideal_peak_costs_least(changes):
    loss = BlurredSpikes(**changes)
    target = np.zeros((1, 25, 25, 1), np.float32)
    target[0, 12, 12] = 1
    peak = loss.ideal_peak()
    # float64, for the minimum is flat
    costs = [
        reference(target, target * p, **({"sparsity": 1.0} | changes))[0]
        for p in (peak - 0.1, peak, peak + 0.1)
    ]
    assert costs[1] < min(costs[0], costs[2])
    # a parabola: both sides cost alike
    assert costs[0] == pytest.approx(costs[2], rel=1e-6)


def test_samples_do_not_mix():
    target = spikes((4, 16, 16, 1), 0.03)
    prediction = 20 * spikes((4, 16, 16, 1), 0.1, seed=2)
    together = value(BlurredSpikes(), target, prediction)
    for i in range(4):
        alone = value(BlurredSpikes(), target[i : i + 1], prediction[i : i + 1])
        assert together[i] == pytest.approx(alone[0], rel=1e-6)


def test_a_bfloat16_prediction_is_compared_in_float32():
    target = spikes((2, 24, 24, 1), 0.03)
    # multiples of a quarter below 64 are exact in bfloat16
    prediction = np.random.default_rng(3).integers(0, 250, (2, 24, 24, 1)) / 4
    rounded = ops.cast(ops.convert_to_tensor(prediction, "float32"), "bfloat16")
    loss = BlurredSpikes()(target, rounded)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    exact = np.asarray(ops.convert_to_numpy(ops.cast(rounded, "float32")))
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), reference(target, exact), rtol=1e-5
    )


class Free(keras.layers.Layer):
    """Predict weights of its own, whatever comes in."""

    def __init__(self, start: np.ndarray) -> None:
        super().__init__()
        self.map = self.add_weight(shape=start.shape, name="map")
        self.map.assign(start)

    def call(self, inputs):
        return 0 * inputs + self.map


def gradient(loss: Loss, target: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the gradient of one sample's loss: a step of unit rate, reversed."""
    frame = keras.Input(target.shape[1:])
    free = Free(at)
    model = keras.Model(frame, free(frame))
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=lambda wanted, found: loss(wanted, found),
        run_eagerly=True,
    )
    model.train_on_batch(target, target)
    return at - np.asarray(free.map)


@pytest.mark.parametrize("start", ["zeros", "noise"])
def test_the_gradient_is_that_of_the_formula(start):
    target = spikes((1, 12, 13, 1), 0.05)
    at = np.full(target.shape[1:], 0.01, np.float32)
    if start == "noise":
        at = np.random.default_rng(5).normal(0, 5, at.shape).astype(np.float32)
    # by hand: blurring is its own adjoint, for the kernel is symmetric
    kernel = gaussian()
    left = convolve(100 * target[0, ..., 0] - 2.0 * at[..., 0], kernel, mode="constant")
    by_hand = -4 * convolve(left, kernel, mode="constant") + np.sign(at[..., 0])
    np.testing.assert_allclose(
        gradient(BlurredSpikes(), target, at)[..., 0],
        by_hand / at.size,
        rtol=1e-3,
        atol=2e-5,
    )


def test_the_gradient_raises_a_missing_spike_and_lowers_a_wrong_one():
    target = np.zeros((1, 21, 21, 1), np.float32)
    target[0, 5, 5] = 1
    at = np.zeros((21, 21, 1), np.float32)
    at[15, 15] = 40
    slope = gradient(BlurredSpikes(), target, at)[..., 0]
    assert np.unravel_index(slope.argmin(), slope.shape) == (5, 5)
    assert np.unravel_index(slope.argmax(), slope.shape) == (15, 15)
    assert slope.min() < 0 < slope.max()


def test_a_spike_of_ideal_height_is_at_rest():
    target = np.zeros((1, 21, 21, 1), np.float32)
    target[0, 10, 10] = 1
    at = target[0] * BlurredSpikes().ideal_peak()
    slope = gradient(BlurredSpikes(), target, at)[..., 0]
    away = gradient(BlurredSpikes(), target, 0 * at)[..., 0]
    assert abs(slope[10, 10]) < 1e-3 * abs(away[10, 10])


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("factor", 0),
        ("gain", -1),
        ("sparsity", -0.1),
        ("sigma_px", 0),
        ("kernel_px", 0),
    ],
)
def test_numbers_keep_their_bounds(field, number):
    with pytest.raises(ValueError, match=field):
        BlurredSpikes().override(**{field: number})


def test_a_declaration_survives_json():
    loss = BlurredSpikes(sparsity=0.3, kernel_px=9)
    assert Loss.model_validate_json(loss.model_dump_json()) == loss
