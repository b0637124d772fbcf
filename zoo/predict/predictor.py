"""A package made callable on recordings of any length."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.errors import BadInput, BadPackage
from zoo.core.localizations import Localizations
from zoo.io.packages import Package, open_package
from zoo.io.stacks import Stack, open_stack
from zoo.predict.contract import Contract, read_contract
from zoo.predict.engines import Engine, choose_engine, make_engine
from zoo.predict.folder import staged
from zoo.predict.forward import RESCALING, forward, operation_name
from zoo.predict.normalise import MovieScale, movie_scale
from zoo.predict.plan import Plan, make_plan
from zoo.predict.report import Observed, Timing, build_report, collect_warnings
from zoo.predict.tasks import localize
from zoo.predict.writing import FolderWriter, write_summary

Progress = Callable[[int, int], None]
"""Called with the frames done and the frames in all."""


@dataclass
class Result:
    """What a prediction found."""

    task: str
    """``density`` or ``image``."""
    image: np.ndarray
    """Density task: sum over frames of the density, (y, x) float32.  Image task: all
    images, (t, y, x, c) float32 without t and c of length one; where they went to a
    file, the first one."""
    image_axes: str
    """Letters of the axes of `image`."""
    pixel_size_nm: float | None
    """Edge of a pixel of `image`."""
    localizations: Localizations | None
    """Emitters of all frames (density task); None where they went to a file."""
    preview_source: np.ndarray
    """Mean frame of the input, (y, x) float32."""
    report: dict[str, Any]
    """Everything worth knowing about how this came about."""
    warnings: list[str] = field(default_factory=list[str])
    """What a user should know, one line each; also in `report`."""
    folder: Path | None = None
    """Where files were written, if they were."""


class Predictor:
    """A package that can be run on recordings.

    Its weights are read when the first frames are.

    Parameters
    ----------
    package
        An open package, or the name, path or address of one.
    engine
        ``onnx``, ``keras`` or ``auto``; see `zoo.predict.engines.choose_engine`.
    batch_size
        Frames (or tiles) per call of the network; see `zoo.predict.plan.make_plan`.
    tile
        Edge of the tiles into which frames are cut, px.  By default frames stay whole
        unless they are too large for the memory.  Results do not depend on it.
    threshold
        Fraction of the ideal peak that a localization must exceed; the package's own
        by default (density task).
    normalization
        ``frame``: as the package declares, frame by frame.  ``movie``: one robust
        scale for the recording, see `zoo.predict.normalise`.  ``auto``: ``movie``
        for a density package and two or more frames, otherwise ``frame``.

    Raises
    ------
    BadInput
        If an option is impossible.
    BadPackage, UnknownPackage
        If the package cannot be found, read or run.
    """

    def __init__(
        self,
        package: Package | str | Path,
        engine: str = "auto",
        batch_size: int | None = None,
        tile: int | None = None,
        threshold: float | None = None,
        normalization: str = "auto",
    ) -> None:
        if isinstance(package, str | Path):
            package = open_package(package)
        self.package: Package = package
        self.contract: Contract = read_contract(package)
        self.engine_name = choose_engine(package, engine)
        self.batch_size = batch_size
        self.tile = tile
        self.threshold = self.contract.threshold if threshold is None else threshold
        self.normalization = normalization
        self._check(threshold)

    @property
    def name(self) -> str:
        """Name of the package."""
        return self.package.name

    def __repr__(self) -> str:
        return f"<Predictor {self.name!r}: {self.contract.task}, {self.engine_name}>"

    @cached_property
    def engine(self) -> Engine:
        """The network, ready to run."""
        return make_engine(self.package, self.engine_name)

    def predict(
        self,
        source: str | Path | np.ndarray | Stack,
        *,
        pixel_size_nm: float | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Run the package on a recording and keep the results in memory.

        Parameters
        ----------
        source
            Anything that `zoo.io.stacks.open_stack` takes, or an open stack, which
            is closed afterwards.
        pixel_size_nm
            Edge of a camera pixel; overrides the file's.
        progress
            Called after every few frames.

        Raises
        ------
        BadInput
            If the recording cannot be read, is too small for the package, or its
            pixel size is needed and missing.
        """
        tables: list[Localizations] = []
        images: list[np.ndarray] = []
        with self._open(source, pixel_size_nm) as stack:
            result = self._run(stack, tables.append, images.append, progress)
        if result.task == "density":
            result.localizations = Localizations.concatenate(tables)
        else:
            movie = np.concatenate(images)
            lengths = zip("tyxc", movie.shape, strict=True)
            drop = [axis for axis, n in lengths if axis in "tc" and n == 1]
            result.image = movie.squeeze(tuple("tyxc".index(axis) for axis in drop))
            result.image_axes = "".join(a for a in "tyxc" if a not in drop)
        return result

    def predict_to_folder(
        self,
        source: str | Path | np.ndarray | Stack,
        directory: str | Path,
        *,
        overwrite: bool = False,
        pixel_size_nm: float | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Run the package on a recording and write the results as they come.

        Memory does not grow with the number of frames.  Writes ``image.ome.tif``, or
        ``localizations.csv`` and ``reconstruction.ome.tif``, with ``preview.png`` and
        ``report.json``; they appear together, when all of them are complete.

        Parameters
        ----------
        source, pixel_size_nm, progress
            As for `predict`.
        directory
            Folder for the results.
        overwrite
            Whether results in an existing folder may be replaced.

        Raises
        ------
        BadInput
            As `predict`, and if the folder exists and may not be replaced.
        OSError
            If the folder cannot be written or the disk is full.
        """
        with self._open(source, pixel_size_nm) as stack:
            fine = stack.height * stack.width * self.contract.scale**2 * 4
            movie = self.contract.task == "image" and stack.frames > 1
            needed = 2 * stack.frames * fine if movie else fine
            with staged(directory, overwrite=overwrite, needed_bytes=needed) as part:
                with FolderWriter(part) as writer:
                    result = self._run(
                        stack, writer.add_table, writer.add_images, progress
                    )
                    if result.task == "density" and result.pixel_size_nm:
                        writer.finish_density(result.image, result.pixel_size_nm)
                    else:
                        writer.finish_images(result.pixel_size_nm)
                write_summary(
                    part,
                    result.report,
                    before=result.preview_source,
                    after=result.image,
                )
        result.folder = Path(directory)
        return result

    def forward(self, frames: np.ndarray) -> np.ndarray:
        """Return the network's output for frames, with the declared processing.

        Parameters
        ----------
        frames : (b, y, x, c)
            Frames as the camera gives them.

        Returns
        -------
        output : (b, Y, X, C) float32
        """
        plan = self._plan(frames.shape[1], frames.shape[2])
        return forward(self.engine, self.contract, frames, plan=plan)

    def _check(self, threshold: float | None) -> None:
        """Refuse impossible options before anything is opened."""
        contract = self.contract
        if contract.task not in ("image", "density"):
            raise BadPackage(
                f"{self.name} is of the task {contract.task!r}; "
                "image and density can be run on recordings"
            )
        for name, value in (("batch size", self.batch_size), ("tile", self.tile)):
            if value is not None and value < 1:
                raise BadInput(f"the {name} must be at least 1, not {value}")
        if threshold is not None and contract.task != "density":
            raise BadInput(
                f"{self.name} makes images; a threshold is for density packages"
            )
        if not 0 < self.threshold < math.inf:
            raise BadInput(f"the threshold must be positive, not {threshold}")
        if self.normalization not in ("auto", "frame", "movie"):
            raise BadInput(
                "normalization must be auto, frame or movie, "
                f"not {self.normalization!r}"
            )
        declared = {operation_name(operation) for operation in contract.preprocessing}
        if self.normalization == "movie" and not declared & RESCALING:
            raise BadInput(
                f"{self.name} declares no {' or '.join(RESCALING)} that a scale for "
                "the whole movie could replace; use --normalization frame"
            )
        if contract.batch is not None and self.batch_size not in (None, contract.batch):
            raise BadInput(f"{self.name} only takes batches of {contract.batch}")

    def _open(
        self, source: str | Path | np.ndarray | Stack, pixel_size_nm: float | None
    ) -> Stack:
        """Open a recording and make sure that the package can take it."""
        wanted = self.contract.channels
        if isinstance(source, Stack):
            stack = source
        else:
            stack = open_stack(source, pixel_size_nm=pixel_size_nm, channels=wanted)
        try:
            if stack.channels != wanted:
                raise BadInput(
                    f"{stack.source} has {stack.channels} channels, "
                    f"{self.name} needs {wanted}"
                )
            if self.contract.task == "density" and stack.pixel_size_nm is None:
                raise BadInput(
                    f"{stack.source} states no pixel size, which localizations need; "
                    "give it with --pixel-size-nm"
                )
            self._plan(stack.height, stack.width)
        except BadInput:
            stack.close()
            raise
        return stack

    def _plan(self, height: int, width: int) -> Plan:
        return make_plan(
            self.contract, height, width, batch_size=self.batch_size, tile=self.tile
        )

    def _run(
        self,
        stack: Stack,
        on_table: Callable[[Localizations], None],
        on_images: Callable[[np.ndarray], None],
        progress: Progress | None,
    ) -> Result:
        """Pass a recording through the network, handing on what comes out."""
        contract = self.contract
        density = contract.task == "density"
        plan = self._plan(stack.height, stack.width)
        timing = Timing(time.perf_counter())
        by_movie = self.normalization == "movie" or (
            self.normalization == "auto" and density and stack.frames > 1
        )
        scale: MovieScale | None = movie_scale(stack) if by_movie else None
        fine_nm = stack.pixel_size_nm and stack.pixel_size_nm / contract.scale
        observed = Observed()
        image = np.zeros((0, 0), np.float32)
        for start in range(0, stack.frames, plan.chunk):
            frames = stack.read(start, start + plan.chunk)
            observed.add(frames, stack.dtype)
            output = forward(self.engine, contract, frames, plan=plan, scale=scale)
            if density:
                added = output[..., 0].sum(axis=0)
                image = added if not start else np.add(image, added, out=image)
                table = self._localize(output[..., 0], start + 1, fine_nm)
                observed.localizations += len(table)
                on_table(table)
            else:
                image = output[0] if not start else image
                on_images(output)
            timing.note(observed.frames)
            if progress is not None:
                progress(observed.frames, stack.frames)
        warnings = collect_warnings(contract, stack, plan, observed)
        report = build_report(
            self.package,
            contract,
            stack,
            engine=self.engine,
            plan=plan,
            scale=scale,
            threshold=self.threshold,
            observed=observed,
            timing=timing,
            warnings=warnings,
        )
        return Result(
            task=contract.task,
            image=image,
            image_axes="yx" if density else "yxc",
            pixel_size_nm=fine_nm,
            localizations=None,
            preview_source=observed.mean,
            report=report,
            warnings=warnings,
        )

    def _localize(
        self, density: np.ndarray, first_frame: int, fine_nm: float | None
    ) -> Localizations:
        contract = self.contract
        return localize(
            density,
            pixel_size_nm=fine_nm or 0.0,  # known for this task: see _open
            threshold=self.threshold,
            ideal_peak=contract.ideal_peak,
            first_frame=first_frame,
            window=contract.window_px,
            centroid_window=contract.centroid_px,
        )
