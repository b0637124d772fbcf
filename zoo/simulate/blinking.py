"""Movies of dyes that blink on filaments over several frames."""

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from zoo.core.contract import CONDITION
from zoo.core.localizations import Localizations
from zoo.core.recipe import Simulation, Source
from zoo.physics.camera import Scmos
from zoo.physics.emitters import blink
from zoo.physics.structures import microtubules
from zoo.simulate.pairs import Scene, as_pair, render, within

MARGIN_PX = 5
"""Emitters this far outside the field still shine into it."""


class BlinkingFilaments(Source):
    """Dyes on microtubules in a patch of a cell that shine over several frames.

    Unlike frames that are drawn one by one, those of a movie share their filaments, the
    labelling and an uneven background; molecules come back and bleach.
    """

    kind: Literal["blinking_filaments"] = "blinking_filaments"
    """Type of the source."""
    field_px: int = Field(default=48, ge=8)
    """Edge of the field, camera px."""
    scale: int = Field(default=8, ge=1)
    """Fine pixels of a target per camera pixel along an axis."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(default=100.0, gt=0)
    """Camera pixel referred to the sample, nm."""
    psf_sigma_nm: Annotated[float, CONDITION] = Field(default=120.0, gt=0)
    """Standard deviation of a spot, nm."""
    photons: Annotated[float, CONDITION] = Field(default=2500.0, gt=0)
    """Median photons of a molecule that shines for a whole frame."""
    photons_spread: float = Field(default=0.35, ge=0)
    """Standard deviation of their logarithm between molecules."""
    background_photons: Annotated[float, CONDITION] = Field(default=30.0, ge=0)
    """Photons per pixel without emitters; 0.7 to 1.3 of it within the field."""
    filaments: int = Field(default=8, ge=1)
    """Microtubules that cross the field and its margin."""
    labelling: float = Field(default=0.03, gt=0, le=1)
    """Share of the binding sites that carry a dye."""
    on_frames: float = Field(default=4.0, gt=0)
    """Mean time for which a molecule shines, frames."""
    dark_frames: float = Field(default=10.0, gt=0)
    """Mean time for which it is dark in between, frames."""
    bleach_frames: float = Field(default=4.0, gt=0)
    """Mean time in the bright state until it bleaches, frames."""

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Take a movie with an sCMOS camera.

        Examples
        --------
        >>> movie = BlinkingFilaments().record(np.random.default_rng(0), frames=3)
        >>> movie.counts.shape, sorted(set(movie.truth.frame.tolist()))
        ((3, 48, 48), [1, 2, 3])
        """
        counts, emitters = self._movie(rng, frames=frames)
        edge_nm = self.field_px * self.pixel_size_nm
        inside = emitters.select(within(emitters, edge_nm, edge_nm))
        return Simulation(counts, inside, self.pixel_size_nm)

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame of a movie (y, x, 1), scaled, and its spike map, float32."""
        counts, emitters = self._movie(rng, frames=1)
        return as_pair(
            Scene(counts[0], emitters),
            rng,
            scale=self.scale,
            pixel_size_nm=self.pixel_size_nm,
        )

    def _movie(
        self, rng: np.random.Generator, *, frames: int
    ) -> tuple[np.ndarray, Localizations]:
        """Return counts (t, y, x) and emitters, those of the margin included."""
        margin_nm = MARGIN_PX * self.pixel_size_nm
        edge_nm = self.field_px * self.pixel_size_nm
        labels = microtubules(
            rng,
            field_nm=(edge_nm + 2 * margin_nm, edge_nm + 2 * margin_nm),
            filaments=self.filaments,
            efficiency=self.labelling,
        )
        spread = rng.normal(0, self.photons_spread, len(labels))
        emitters = blink(
            rng,
            labels.x_nm - margin_nm,
            labels.y_nm - margin_nm,
            frames=frames,
            photons_per_frame=self.photons * np.exp(spread),
            on_frames=self.on_frames,
            dark_frames=self.dark_frames,
            bleach_frames=self.bleach_frames,
            minimum_share=0.05,
        )
        widths = np.full(len(emitters), self.psf_sigma_nm)
        emitters = emitters.with_columns(sigma_nm=widths)
        y, x = np.mgrid[: self.field_px, : self.field_px] / self.field_px
        uneven = 0.7 + 0.6 * np.exp(-4 * (x - y) ** 2)
        rows = np.searchsorted(emitters.frame, np.arange(1, frames + 2))
        expected = [
            self.background_photons * uneven
            + render(
                emitters.select(np.arange(first, last)),
                (self.field_px, self.field_px),
                pixel_size_nm=self.pixel_size_nm,
            )
            for first, last in pairwise(rows)
        ]
        return Scmos().expose(np.stack(expected), rng), emitters
