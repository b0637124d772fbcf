"""Training losses in `keras.ops`, stated as declarations."""

from typing import Any, Literal

import keras
import numpy as np
from pydantic import Field

from zoo.core.recipe import Loss
from zoo.losses_renderings import RenderingSimilarity as RenderingSimilarity
from zoo.losses_renderings import WidefieldSimilarity as WidefieldSimilarity

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops


class BlurredSpikes(Loss):
    """Deep-STORM's loss: blurred maps compared, and a price on every response.

    With spikes S, prediction P and a Gaussian G of unit sum, a sample costs
    ``mean((factor * G*S - gain * G*P)**2) + sparsity * mean(|P|)`` (Nehme et al.
    2018, doi:10.1364/OPTICA.5.000458).  Convolution is linear: the difference is
    blurred once.
    """

    kind: Literal["blurred_spikes"] = "blurred_spikes"
    """Type of the loss."""
    factor: float = Field(default=100.0, gt=0)
    """Mass that a spike has in the target."""
    gain: float = Field(default=2.0, gt=0)
    """Sum of the kernel that blurs the prediction."""
    sparsity: float = Field(default=1.0, ge=0)
    """Weight of the absolute prediction; ramp it up, or nothing is learnt."""
    sigma_px: float = Field(default=1.0, gt=0)
    """Standard deviation of the kernel, fine px."""
    kernel_px: int = Field(default=7, ge=1)
    """Edge of the kernel, fine px; odd."""

    def kernel(self) -> np.ndarray:
        """Return the one-dimensional kernel of unit sum, (kernel_px,) float32."""
        offset = np.arange(self.kernel_px) - self.kernel_px // 2
        weights = np.exp(-0.5 * (offset / self.sigma_px) ** 2)
        return (weights / weights.sum()).astype(np.float32)

    def ideal_peak(self) -> float:
        """Return the response to an isolated spike that minimises the loss.

        Holds in two dimensions.  For P = p S the loss is ``(factor - gain p)^2 sum(G^2)
        + sparsity p`` per emitter, smallest at
        ``factor / gain - sparsity / (2 gain^2 sum(G^2))``.
        """
        squared = float(np.sum(self.kernel() ** 2)) ** 2
        return self.factor / self.gain - self.sparsity / (2 * self.gain**2 * squared)

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return (b,) losses of (b, [z,] y, x, 1) spike maps and predictions."""
        prediction = ops.cast(prediction, "float32")
        target = ops.cast(target, "float32")
        kernel = self.kernel()
        blurred = self.factor * target - self.gain * prediction
        space = len(prediction.shape) - 2
        for axis in range(space):
            shape = [1] * (space + 2)
            shape[axis] = -1
            blurred = ops.conv(
                blurred,
                ops.convert_to_tensor(kernel.reshape(shape)),
                padding="same",
                data_format="channels_last",
            )
        axes = _of_a_sample(prediction)
        fit = ops.mean(ops.square(blurred), axis=axes)
        return fit + self.sparsity * ops.mean(ops.abs(prediction), axis=axes)


def _of_a_sample(values: Any) -> tuple[int, ...]:
    """Return the axes of a tensor behind that of the batch."""
    return tuple(range(1, len(values.shape)))


def structural_similarity(target: Any, prediction: Any, *, data_range: float) -> Any:
    """Return the structural similarity of each pair of images, (b,).

    Gaussian window of 11 x 11 px and 1.5 px standard deviation, K = 0.01 and 0.03,
    population covariance, averaged over channels and over the pixels whose window
    lies inside the image (Wang et al. 2004, doi:10.1109/TIP.2003.819861): the values
    of ``tf.image.ssim`` and of `zoo.metrics.images.ssim`.  Volumes are compared plane
    by plane.

    Parameters
    ----------
    target, prediction : (b, [z,] y, x, c)
        Images of at least 11 x 11 px.
    data_range
        L, the span of values that the images can take.
    """
    target, prediction = ops.cast(target, "float32"), ops.cast(prediction, "float32")
    if len(prediction.shape) == 5:
        shape = ops.shape(prediction)
        target, prediction = (
            ops.reshape(volume, (-1, *shape[2:])) for volume in (target, prediction)
        )
        planes = structural_similarity(target, prediction, data_range=data_range)
        return ops.mean(ops.reshape(planes, (-1, shape[1])), axis=1)
    channels = int(prediction.shape[-1])
    offset = np.arange(11) - 5
    weights = np.exp(-0.5 * (offset / 1.5) ** 2)
    weights = np.tile((weights / weights.sum())[:, None], (1, channels))
    weights = weights.astype(np.float32)

    def local(values: Any) -> Any:
        for shape in ((11, 1, channels, 1), (1, 11, channels, 1)):
            values = ops.depthwise_conv(
                values,
                ops.convert_to_tensor(weights.reshape(shape)),
                padding="valid",
                data_format="channels_last",
            )
        return values

    mean_p, mean_g = local(prediction), local(target)
    product, squares = mean_p * mean_g, ops.square(mean_p) + ops.square(mean_g)
    covariance = local(prediction * target) - product
    variances = local(ops.square(prediction) + ops.square(target)) - squares
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = (
        (2 * product + c1) / (squares + c1) * ((2 * covariance + c2) / (variances + c2))
    )
    return ops.mean(similarity, axis=(1, 2, 3))


class MsePlusSsim(Loss):
    """DFCAN's loss: squared error and a tenth of the missing structural similarity.

    A sample costs ``mean((P - T)**2) + weight * (1 - SSIM(T, P))`` (Qiao et al. 2021,
    doi:10.1038/s41592-020-01048-5), the similarity with the stated data range.  The
    options below change what is compared, and how errors count.
    """

    kind: Literal["mse_plus_ssim"] = "mse_plus_ssim"
    """Type of the loss."""
    ssim_weight: float = Field(default=0.1, ge=0)
    """Weight of ``1 - SSIM``; at zero, images may be small and vectors compared."""
    data_range: float = Field(default=1.0, gt=0)
    """Span of values that targets can take, as the similarity needs it."""
    rescale: Literal["none", "batch", "match"] = "none"
    """``batch`` is the published form: targets and predictions are first scaled to
    [0, data_range] by the extremes of their whole batch, which blinds the loss to gain
    and offset of the prediction.  ``match`` first gives every prediction the gain and
    the offset that bring it nearest to its target by least squares, as scores do: the
    brightest pixel of a target, its unit, cannot be known from a noisy input, and a
    network that must guess it bends the intensities."""
    error: Literal["squared", "logarithmic"] = "squared"
    """``logarithmic`` takes ``ln(1 + error / 1e-6)`` of the mean squared error, in
    units of the squared data range: up to 60 dB, a decibel counts the same in images
    with much light and with little."""
    anchor: float = Field(default=0.1, ge=0)
    """Weight of the error of predictions as they are, added under ``match`` so that
    gain and offset stay where they were."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return (b,) losses of (b, [z,] y, x, c) targets and predictions."""
        target, prediction = (
            ops.cast(values, "float32") for values in (target, prediction)
        )
        held = 0.0
        if self.rescale == "batch":
            target, prediction = self._stretched(target), self._stretched(prediction)
        elif self.rescale == "match":
            held = self.anchor * self._error(target, prediction)
            prediction = _matched(target, prediction)
        held = held + self._error(target, prediction)
        if self.ssim_weight == 0:
            return held
        similarity = structural_similarity(
            target, prediction, data_range=self.data_range
        )
        return held + self.ssim_weight * (1.0 - similarity)

    def _error(self, target: Any, prediction: Any) -> Any:
        error = ops.mean(ops.square(prediction - target), axis=_of_a_sample(prediction))
        if self.error == "squared":
            return error
        return ops.log(1.0 + error / (1e-6 * self.data_range**2))

    def _stretched(self, values: Any) -> Any:
        low, high = ops.min(values), ops.max(values)
        # an image without any contrast would be divided by zero
        return self.data_range * (values - low) / (high - low + 1e-7)


def _matched(target: Any, prediction: Any) -> Any:
    """Return predictions with gain and offset by least squares to their targets."""
    axes = _of_a_sample(prediction)
    level, aim = (
        ops.mean(values, axis=axes, keepdims=True) for values in (prediction, target)
    )
    away = prediction - level
    product = ops.mean(away * (target - aim), axis=axes, keepdims=True)
    # a uniform prediction has nothing to be scaled
    power = ops.mean(ops.square(away), axis=axes, keepdims=True) + 1e-9
    return aim + product / power * away


WITHIN_ONE_SIGMA = 0.6827
"""Share of normally distributed errors within a standard deviation."""


class BoundWeighted(Loss):
    """Errors of estimates in units of their Cramér-Rao bounds.

    Targets hold the k true values and behind them the k bounds of their errors in the
    same units.  A sample costs the mean of ``((P - T) / bound)**2``, which an efficient
    estimator brings to one (Zhang et al. 2018, doi:10.1038/s41592-018-0153-5), or of
    ``|P - T| / bound`` (Zelger et al. 2018, doi:10.1364/OE.26.033166).

    Predictions hold k estimates and behind them k stated deviations.  These are
    learnt, without any effect on the estimates' own errors, as the quantile below which
    68 % of the absolute errors lie (Koenker, Bassett 1978, doi:10.2307/1913643).
    """

    kind: Literal["bound_weighted"] = "bound_weighted"
    """Type of the loss."""
    error: Literal["squared", "absolute"] = "squared"
    """Whether errors count by their square or by their size."""
    weights: tuple[float, ...] = ()
    """Weight of every estimate's error; equal ones if left out."""
    deviations: float = Field(default=0.1, ge=0)
    """Weight of the stated deviations."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return (b,) losses of (b, 2 k) targets and predictions."""
        prediction = ops.cast(prediction, "float32")
        target = ops.cast(target, "float32")
        count = int(prediction.shape[-1]) // 2
        values, bounds = target[:, :count], ops.maximum(target[:, count:], 1e-6)
        size = ops.abs(prediction[:, :count] - values) / bounds
        fit = ops.square(size) if self.error == "squared" else size
        above = ops.stop_gradient(size) - prediction[:, count:] / bounds
        stated = ops.maximum(WITHIN_ONE_SIGMA * above, (WITHIN_ONE_SIGMA - 1.0) * above)
        weights = np.asarray(self.weights or (1.0,) * count, np.float32)
        return ops.mean(weights * (fit + self.deviations * stated), axis=-1)


class SpikesInVolume(Loss):
    """DeepSTORM3D's loss: blurred volumes compared, and the overlap with the truth.

    With spikes T of the emitters, prediction P up to `peak` and a Gaussian K of peak
    one, a sample costs ``mean((K*P - peak K*T)**2) + 1 - (2 A + 1) / (A + B + 1)`` with
    ``A = sum(P T) / peak`` and ``B = sum(T**2)`` (Nehme et al. 2020,
    doi:10.1038/s41592-020-0853-5); there the sums run over the batch.

    Targets are rows (z, y, x, weight) per emitter, positions as fractions of the volume
    and a weight of 1, or 0 for rows that count nothing: a volume is a hundred thousand
    times as large.
    """

    kind: Literal["spikes_in_volume"] = "spikes_in_volume"
    """Type of the loss."""
    peak: float = Field(default=800.0, gt=0)
    """Output for an ideally recovered emitter."""
    sigma_px: float = Field(default=1.0, gt=0)
    """Standard deviation of the kernel, voxels; wide ones show the way at first."""
    kernel_px: int = Field(default=7, ge=1)
    """Edge of the kernel, voxels; odd."""
    overlap: float = Field(default=1.0, ge=0)
    """Weight of the overlap."""
    whole: bool = False
    """Whether voxels within half a kernel of the border count, which may not know what
    lies behind it.  Where the border is that of a frame they have to: a network does
    there what it likes."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return (b,) losses of (b, emitters, 4) rows and (b, z, y, x, 1) volumes."""
        volume = ops.cast(prediction, "float32")[..., 0]
        target = ops.cast(target, "float32")
        sizes = [int(n) for n in volume.shape[1:]]
        weight = target[..., 3]
        places = [
            ops.floor(target[..., axis] * size) for axis, size in enumerate(sizes)
        ]
        half = self.kernel_px // 2
        blurred = self._blur(volume, half) - self.peak * self._blurred_truth(
            places, weight, sizes, half
        )
        edge_y, edge_x = (
            0 if self.whole else min(half, (size - 1) // 2) for size in sizes[1:]
        )
        core = blurred[:, :, edge_y : sizes[1] - edge_y, edge_x : sizes[2] - edge_x]
        fit = ops.mean(ops.square(core), axis=(1, 2, 3))
        shared, spikes = self._overlap(volume, places, weight, sizes)
        return fit + self.overlap * (1 - (2 * shared + 1) / (shared + spikes + 1))

    def _blur(self, volume: Any, half: int) -> Any:
        """Blur along all axes, by products with banded matrices.

        They are symmetric, so that gradients are products, too; sums of shifted volumes
        take six times as long on a processor.
        """
        depth, height, width = (int(size) for size in volume.shape[1:])
        across = ops.matmul(volume, self._band(width, half))
        across = ops.matmul(self._band(height, half), across)
        flat = ops.reshape(across, (-1, depth, height * width))
        blurred = ops.matmul(self._band(depth, half), flat)
        return ops.reshape(blurred, (-1, depth, height, width))

    def _band(self, size: int, half: int) -> Any:
        """Return the kernel around every place along an axis, (size, size)."""
        away = np.arange(size)[:, None] - np.arange(size)
        weights = np.exp(-0.5 * (away / self.sigma_px) ** 2)
        weights[np.abs(away) > half] = 0.0
        return ops.convert_to_tensor(weights.astype(np.float32))

    def _blurred_truth(
        self, places: list[Any], weight: Any, sizes: list[int], half: int
    ) -> Any:
        z, y, x = (
            self._profile(place, size, half)
            for place, size in zip(places, sizes, strict=True)
        )
        planes = ops.expand_dims(y, 3) * ops.expand_dims(x, 2)
        flat = ops.reshape(planes, (-1, int(y.shape[1]), sizes[1] * sizes[2]))
        depths = ops.transpose(z * weight[..., None], (0, 2, 1))
        return ops.reshape(ops.matmul(depths, flat), (-1, *sizes))

    def _profile(self, place: Any, size: int, half: int) -> Any:
        """Return the kernel around every place along an axis, (b, emitters, size)."""
        away = ops.arange(size, dtype="float32") - place[..., None]
        value = ops.exp(-0.5 * ops.square(away / self.sigma_px))
        return ops.where(ops.abs(away) < half + 0.5, value, 0.0)

    def _overlap(
        self, volume: Any, places: list[Any], weight: Any, sizes: list[int]
    ) -> tuple[Any, Any]:
        """Return ``sum(P T) / peak`` and ``sum(T**2)``, (b,) each."""
        inside = weight
        index: Any = 0
        for place, size in zip(places, sizes, strict=True):
            within = ops.logical_and(place >= 0, place < size)
            inside = inside * ops.cast(within, "float32")
            index = index * size + ops.cast(ops.clip(place, 0, size - 1), "int32")
        flat = ops.reshape(volume, (-1, sizes[0] * sizes[1] * sizes[2]))
        found = ops.take_along_axis(flat, index, axis=1)
        same = ops.cast(index[:, :, None] == index[:, None, :], "float32")
        pairs = same * inside[:, :, None] * inside[:, None, :]
        return ops.sum(found * inside, axis=1) / self.peak, ops.sum(pairs, axis=(1, 2))
