"""A package made callable on recordings of any length."""

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.contract import Averaging, Contract, Judging, Origin, Recording, Running
from zoo.core.errors import BadInput
from zoo.core.files import new_folder, write_json
from zoo.core.parts import RunningParts
from zoo.core.products import Product, Table
from zoo.core.regions import Cutting
from zoo.io.library import open_package
from zoo.io.package import Package
from zoo.predict.contract import read_contract
from zoo.predict.engines import Engine, arranged, choose_engine, make_engine
from zoo.predict.forward import comes_in_parts, forward, forward_parts
from zoo.predict.options import Chosen, split_options
from zoo.predict.plan import Plan, make_plan
from zoo.predict.preview import write_preview
from zoo.predict.progress import Progress, shown, tile_progress
from zoo.predict.repeats import Sparing
from zoo.predict.report import Timing, build_report, warnings_of
from zoo.predict.result import Memory, Result, Sink
from zoo.predict.tuning import tuned
from zoo.predict.views import Averaged, Seen, compare, symmetries
from zoo.predict.writing import PREVIEW, REPORT, FolderWriter, result_files

__all__ = ["Predictor", "Result"]


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
        unless they are too large for the memory.  Results do not depend on it.  For
        long recordings the default of both is chosen by `zoo.predict.tuning.tuned`.
    **options
        What the package's input and task let a user decide, such as ``threshold``; see
        `zoo.predict.options.declared_options`.

    Raises
    ------
    BadInput
        If an option is impossible, or the package does not have it.
    BadPackage, UnknownPackage
        If the package cannot be found, read or run.
    """

    def __init__(
        self,
        package: Package | str | Path,
        engine: str = "auto",
        batch_size: int | None = None,
        tile: int | None = None,
        **options: Any,
    ) -> None:
        if isinstance(package, str | Path):
            package = open_package(package)
        self.package: Package = package
        self.contract: Contract = read_contract(package)
        self.engine_name = choose_engine(package, engine)
        for what, value in (("batch size", batch_size), ("tile", tile)):
            if value is not None and value < 1:
                raise BadInput(f"the {what} must be at least 1, not {value}")
        if self.contract.batch is not None and batch_size not in (
            None,
            self.contract.batch,
        ):
            raise BadInput(f"{self.name} only takes batches of {self.contract.batch}")
        self.batch_size = batch_size
        self.tile = tile
        self.options: Chosen = split_options(self.contract, self.name, **options)

    @property
    def name(self) -> str:
        """Name of the package."""
        return self.package.name

    def __repr__(self) -> str:
        return (
            f"<Predictor {self.name!r}: {self.contract.task.kind}, {self.engine_name}>"
        )

    @cached_property
    def engine(self) -> Engine:
        """The network, ready to run."""
        return make_engine(self.package, self.engine_name)

    def predict(
        self,
        source: Any,
        *,
        pixel_size_nm: float | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Run the package on a recording and keep the results in memory.

        Parameters
        ----------
        source
            What the package's input opens: for most anything that
            `zoo.io.stacks.open_stack` takes, or an open stack, which is closed
            afterwards.
        pixel_size_nm
            Edge of a camera pixel; overrides the file's.
        progress
            Called with what is done and all there is: tiles, or frames where a frame is
            one.  Without, a bar is drawn in notebooks and interactive sessions.

        Raises
        ------
        BadInput
            If the recording cannot be read, is too small for the package, or its
            pixel size is needed and missing.
        """
        memory = Memory()
        recording = self._open(source, pixel_size_nm)
        try:
            running, plan = self._start(recording)
            with shown(progress) as bar:
                report = self._run(recording, running, plan, memory, bar)
        finally:
            recording.close()
        return Result(
            memory.products,
            report=report,
            panels=running.preview(),
            input_pixel_nm=recording.pixel_size_nm.get("x"),
        )

    def predict_to_folder(
        self,
        source: Any,
        directory: str | Path,
        *,
        overwrite: bool = False,
        pixel_size_nm: float | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Run the package on a recording and write the results as they come.

        Memory does not grow with the number of frames.  Writes the tables and images of
        the task with ``preview.png`` and ``report.json``; they appear together, when
        all of them are complete.

        Parameters
        ----------
        source, pixel_size_nm, progress
            As for `predict`.
        directory
            Folder for the results.
        overwrite
            Whether results in an existing folder may be replaced.

        Returns
        -------
        result
            Of images only single ones; tables and series are in the files.

        Raises
        ------
        BadInput
            As `predict`, and if the folder exists and may not be replaced.
        OSError
            If the folder cannot be written or the disk is full.
        """
        recording = self._open(source, pixel_size_nm)
        try:
            running, plan = self._start(recording)
            sizes = self.contract.grid.output_size(recording.sizes)
            image_bytes = 4 * math.prod(sizes.values()) if sizes else 0
            with (
                new_folder(
                    Path(directory),
                    replaces=result_files(directory) if overwrite else None,
                    needed_bytes=image_bytes,
                    sources=[
                        source if isinstance(source, str | Path) else None,
                        self.package.folder,
                    ],
                ) as part,
                FolderWriter(part) as writer,
            ):
                with shown(progress) as bar:
                    report = self._run(recording, running, plan, writer, bar)
                writer.finish()
                panels = running.preview()
                write_preview(
                    part / PREVIEW,
                    panels,
                    pixel_size_nm=recording.pixel_size_nm.get("x"),
                )
                write_json(part / REPORT, report)
        finally:
            recording.close()
        return Result(
            writer.kept,
            report=report,
            folder=Path(directory),
            panels=panels,
            input_pixel_nm=recording.pixel_size_nm.get("x"),
        )

    def forward(self, batch: np.ndarray) -> np.ndarray:
        """Return the network's output for frames, with the declared processing.

        Parameters
        ----------
        batch
            Frames as the camera gives them, with the axes of the package's input.

        Returns
        -------
        output : float32
            With the axes of the package's output.
        """
        grid = self.contract.grid
        frames = arranged(batch, grid.input_axes, f"b{grid.space}c")
        sizes = dict(zip(grid.space, frames.shape[1:-1], strict=True))
        output = forward(self.engine, self.contract, frames, plan=self._plan(sizes))
        return arranged(output, f"b{grid.output_space}c", grid.output_axes)

    def _open(self, source: Any, pixel_size_nm: float | None) -> Recording:
        return self.contract.input.open(
            source,
            self.contract,
            name=self.name,
            options=self.options.input,
            pixel_size_nm=pixel_size_nm,
        )

    def _plan(self, sizes: Any) -> Plan:
        return make_plan(
            self.contract, sizes, batch_size=self.batch_size, tile=self.tile
        )

    def _start(self, recording: Recording) -> tuple[Running, Plan]:
        """Begin the task, before anything is written or computed."""
        plan = self._plan(recording.sizes)
        task = self.contract.task
        return task.start(recording, self.contract, self.options.task), plan

    def _products(
        self,
        recording: Recording,
        running: Running,
        frames: np.ndarray,
        engine: Engine,
        plan: Plan,
        first: int,
    ) -> Iterable[Product]:
        """Return what the task makes of frames, tile by tile where it can."""
        if not (
            isinstance(running, RunningParts)
            and len(recording.groups) == 1
            and comes_in_parts(self.contract, plan)
        ):
            output = self._output(recording, frames, engine, plan, first)
            if not isinstance(running, Judging):
                return running.add(frames, output, first)
            count = max(running.looks - 1, running.compared)
            if count:

                def run(seen: Seen, turned: np.ndarray) -> np.ndarray:
                    other = plan if seen.upright else self._plan(seen.sizes)
                    return self._output(seen, turned, engine, other, first)

                seen = compare(
                    recording,
                    symmetries(self.contract, count),
                    frames,
                    output,
                    run,
                    looks=running.looks,
                    compared=running.compared,
                )
                output = seen.mean
                if running.compared:
                    running.judge(seen.spread)
            return running.add(frames, output, first)
        part = frames[..., recording.groups[0]]
        scaled = recording.scaled(part, 0)
        parts = forward_parts(
            engine,
            self.contract,
            part if scaled is None else scaled,
            plan=plan,
            scaled=scaled is not None,
            first=first,
            knowledge=recording.knowledge,
        )
        return running.add_parts(frames, parts, first)

    def _output(
        self,
        recording: Recording | Seen,
        frames: np.ndarray,
        engine: Engine,
        plan: Plan,
        first: int,
    ) -> np.ndarray:
        """Return what the network makes of frames, group by group of channels."""
        outputs: list[np.ndarray] = []
        for number, group in enumerate(recording.groups):
            part = frames[..., group]
            scaled = recording.scaled(part, number)
            outputs.append(
                forward(
                    engine,
                    self.contract,
                    part if scaled is None else scaled,
                    plan=plan,
                    scaled=scaled is not None,
                    first=first,
                    knowledge=recording.knowledge,
                )
            )
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)

    def _run(
        self,
        recording: Recording,
        running: Running,
        plan: Plan,
        sink: Sink,
        progress: Progress | None,
    ) -> dict[str, Any]:
        """Pass a recording through the network, handing on what comes out."""
        timing = Timing(time.perf_counter())
        choice = tuned(
            self.engine,
            self.contract,
            recording.sizes,
            frames=recording.frames * len(recording.groups),
            plan=plan,
            batch_size=self.batch_size,
            tile=self.tile,
        )
        plan = choice.plan
        by_tile = tile_progress(recording, plan, progress)
        network: Engine = choice.engine
        if isinstance(running, Averaging) and len(running.views) > 1:
            network = Averaged(network, running.views)
        engine = Sparing(
            network, fixed=self.contract.batch is not None, advance=by_tile
        )
        chunk = max(1, plan.chunk // len(recording.groups))
        for first, frames in recording.chunks(chunk):
            for product in self._products(
                recording, running, frames, engine, plan, first
            ):
                sink.take(_placed(product, recording.origin))
            timing.note(_further(recording, timing.frames, len(frames)))
            if progress is not None and by_tile is None:
                progress(timing.frames, recording.frames)
        timing.note(_further(recording, timing.frames, 0))
        for product in running.finish():
            sink.take(_placed(product, recording.origin))
        report = build_report(
            self.package,
            self.contract,
            recording,
            running,
            engine=engine,
            plan=plan,
            timing=timing,
            warnings=warnings_of(recording, running, plan),
        )
        return report | engine.report() | {"tuning": choice.report()}


def _further(recording: Recording, before: int, count: int) -> int:
    """Return how many more frames are done; of a movie those that were searched."""
    return recording.frames_done - before if isinstance(recording, Cutting) else count


def _placed(product: Product, origin: Origin) -> Product:
    """Return a product in the coordinates of the whole recording.

    Images stay where they are; the report says which part they show.
    """
    if not isinstance(product, Table) or origin == Origin():
        return product
    rows = product.rows
    moved = rows.with_columns(
        frame=rows.frame + origin.frame,
        x_nm=rows.x_nm + origin.x_nm,
        y_nm=rows.y_nm + origin.y_nm,
    )
    return replace(product, rows=moved)
