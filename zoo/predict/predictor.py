"""A package made callable on recordings of any length."""

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.io.packages import Package, open_package
from zoo.io.stacks import Stack
from zoo.predict.contract import Contract, read_contract
from zoo.predict.engines import Engine, choose_engine, make_engine
from zoo.predict.folder import staged
from zoo.predict.forward import forward
from zoo.predict.normalise import MovieScale, movie_scale, picture_scales
from zoo.predict.options import check_options, rescales
from zoo.predict.plan import Plan, make_plan
from zoo.predict.recording import Recording, open_recording
from zoo.predict.reference import Comparison, why_no_error_map
from zoo.predict.report import (
    Observed,
    Timing,
    build_report,
    collect_warnings,
    output_names,
)
from zoo.predict.result import Memory, Result, Sink
from zoo.predict.tasks import localize
from zoo.predict.writing import FolderWriter, needed_bytes, write_summary

__all__ = ["Predictor", "Result"]

Progress = Callable[[int, int], None]
"""Called with the frames done and the frames in all."""


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
        scale for the recording, see `zoo.predict.normalise`; raw frames share it,
        channels of a hyperstack have their own.  ``auto``: ``movie`` for an image
        package of this zoo, and for a density package and two or more frames;
        otherwise ``frame``.
    match_intensity
        Whether images get the intensities of their input: the network's own are
        arbitrary.  Least squares of the blurred image to the input's widefield
        picture, for each frame and channel.
    frame_order
        Order of raw frames in the recording, ``angle-major`` or ``phase-major``; by
        default that of the package.
    error_map
        Whether images are compared with their input, where that is a
        diffraction-limited picture of the same field; see `zoo.predict.reference`.

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
        match_intensity: bool = False,
        frame_order: str | None = None,
        error_map: bool = True,
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
        self.match_intensity = match_intensity
        self.frame_order = frame_order
        self.error_map = error_map
        check_options(
            self.contract,
            name=package.name,
            batch_size=batch_size,
            tile=tile,
            threshold=threshold,
            normalization=normalization,
            match_intensity=match_intensity,
            frame_order=frame_order,
        )

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
        memory = Memory()
        recording = self._open(source, pixel_size_nm)
        with recording.stack:
            result = self._run(recording, memory, progress)
        memory.fill(result)
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

        Memory does not grow with the number of frames.  Writes ``image.ome.tif`` and
        perhaps ``error_map.ome.tif``, or ``localizations.csv`` and
        ``reconstruction.ome.tif``, with ``preview.png`` and ``report.json``; they
        appear together, when all of them are complete.

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
        recording = self._open(source, pixel_size_nm)
        with recording.stack as stack:
            needed = needed_bytes(
                stack.height * stack.width * self.contract.scale**2,
                images=None
                if self.contract.task == "density"
                else stack.frames
                * len(recording.groups)
                * len(output_names(self.package)),
                compared=self._no_map(recording) is None,
            )
            with staged(directory, overwrite=overwrite, needed_bytes=needed) as part:
                with FolderWriter(part) as writer:
                    result = self._run(recording, writer, progress)
                    if result.task == "density" and result.pixel_size_nm:
                        writer.finish_density(result.image, result.pixel_size_nm)
                    else:
                        writer.finish_images(
                            result.pixel_size_nm,
                            channel_names=stack.channel_names
                            if len(recording.groups) > 1
                            else output_names(self.package),
                        )
                write_summary(
                    part,
                    result.report,
                    before=result.preview_source,
                    after=result.image,
                    errors=result.error_map,
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

    def _open(
        self, source: str | Path | np.ndarray | Stack, pixel_size_nm: float | None
    ) -> Recording:
        """Open a recording and make sure that the package can take it."""
        recording = open_recording(
            source,
            self.contract,
            name=self.name,
            pixel_size_nm=pixel_size_nm,
            frame_order=self.frame_order,
        )
        try:
            self._plan(recording.stack.height, recording.stack.width)
        except BadInput:
            recording.stack.close()
            raise
        return recording

    def _plan(self, height: int, width: int) -> Plan:
        return make_plan(
            self.contract, height, width, batch_size=self.batch_size, tile=self.tile
        )

    def _no_map(self, recording: Recording) -> str | None:
        """Return why there is no error map; None if there is one."""
        return why_no_error_map(
            self.contract, recording.stack.pixel_size_nm, wanted=self.error_map
        )

    def _scales(self, recording: Recording) -> tuple[MovieScale, ...]:
        """Return one scale for each group of channels; none to scale frame by frame."""
        contract = self.contract
        pictures = contract.task == "image"
        ours = contract.reference is not None or contract.frame_order is not None
        by_movie = self.normalization == "movie" or (
            self.normalization == "auto"
            and (ours and rescales(contract) if pictures else recording.frames > 1)
        )
        if not by_movie:
            return ()
        if pictures:
            return picture_scales(recording, groups=recording.groups)
        return (movie_scale(recording),)

    def _images(
        self,
        frames: np.ndarray,
        groups: Sequence[slice],
        *,
        plan: Plan,
        scales: Sequence[MovieScale],
    ) -> np.ndarray:
        """Return what the network makes of frames, group by group of channels."""
        outputs = [
            forward(
                self.engine, self.contract, frames[..., group], plan=plan, scale=scale
            )
            for group, scale in zip(groups, scales or [None] * len(groups), strict=True)
        ]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)

    def _run(
        self, recording: Recording, sink: Sink, progress: Progress | None
    ) -> Result:
        """Pass a recording through the network, handing on what comes out."""
        contract, stack = self.contract, recording.stack
        density = contract.task == "density"
        plan = self._plan(stack.height, stack.width)
        timing = Timing(time.perf_counter())
        scales = self._scales(recording)
        no_map = self._no_map(recording)
        comparison = None
        if no_map is None or self.match_intensity:
            comparison = Comparison(recording.groups, match=self.match_intensity)
        fine_nm = stack.pixel_size_nm and stack.pixel_size_nm / contract.scale
        observed = Observed()
        image, before = np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32)
        errors: np.ndarray | None = None
        chunk = max(1, plan.chunk // len(recording.groups))
        for start in range(0, stack.frames, chunk):
            frames = recording.read(start, start + chunk)
            observed.add(frames, stack.dtype)
            output = self._images(frames, recording.groups, plan=plan, scales=scales)
            if density:
                added = output[..., 0].sum(axis=0)
                image = added if not start else np.add(image, added, out=image)
                table = self._localize(output[..., 0], start + 1, fine_nm)
                observed.localizations += len(table)
                sink.add_table(table)
            else:
                maps = None
                if comparison is not None:
                    output, maps = comparison.add(frames, output)
                if maps is not None and no_map is None:
                    sink.add_errors(maps)
                    errors = maps[0] if not start else errors
                if not start:
                    image = output[0]
                    before = frames[0][..., recording.groups[0]].mean(axis=-1)
                sink.add_images(output)
            timing.note(observed.frames)
            if progress is not None:
                progress(observed.frames, stack.frames)
        warnings = collect_warnings(contract, recording, plan, observed)
        warnings += comparison.warnings() if comparison is not None else []
        report = build_report(
            self.package,
            contract,
            recording,
            engine=self.engine,
            plan=plan,
            scales=scales,
            threshold=self.threshold,
            observed=observed,
            timing=timing,
            warnings=warnings,
        )
        if not density:
            report["options"]["match_intensity"] = self.match_intensity
            if comparison is not None and self.match_intensity:
                report["intensity"] = comparison.intensities()
            report["error_map"] = (
                {"skipped": no_map}
                if comparison is None or no_map is not None
                else comparison.summary(fine_nm)
            )
        compared = comparison.figures if comparison and no_map is None else None
        return Result(
            task=contract.task,
            image=image,
            image_axes="yx" if density else "yxc",
            pixel_size_nm=fine_nm,
            localizations=None,
            preview_source=observed.mean if density else before,
            report=report,
            warnings=warnings,
            error_map=errors,
            rsp=None if compared is None else compared[..., 0],
            rse=None if compared is None else compared[..., 1],
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
