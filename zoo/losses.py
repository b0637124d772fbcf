"""Training losses in `keras.ops`, stated as declarations."""

from typing import Any, Literal

import numpy as np
from keras import ops
from pydantic import Field

from zoo.core.recipe import Loss


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

        For P = p S the loss is ``(factor - gain p)^2 sum(G^2) + sparsity p`` per
        emitter, smallest at ``factor / gain - sparsity / (2 gain^2 sum(G^2))``.
        """
        squared = float(np.sum(self.kernel() ** 2)) ** 2
        return self.factor / self.gain - self.sparsity / (2 * self.gain**2 * squared)

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return (b,) losses of (b, y, x, 1) spike maps and predictions."""
        prediction = ops.cast(prediction, "float32")
        target = ops.cast(target, "float32")
        kernel = self.kernel()
        blurred = self.factor * target - self.gain * prediction
        for shape in ((-1, 1, 1, 1), (1, -1, 1, 1)):
            blurred = ops.conv(
                blurred,
                ops.convert_to_tensor(kernel.reshape(shape)),
                padding="same",
                data_format="channels_last",
            )
        fit = ops.mean(ops.square(blurred), axis=(1, 2, 3))
        return fit + self.sparsity * ops.mean(ops.abs(prediction), axis=(1, 2, 3))
