"""Images that are brought to the grid on which a network's output lies.

Networks that turn one microscope's image into another's keep the number of pixels: the
input is resampled to the pixel of the target first, and the result stays there.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.core.contract import Contract, Options, Recording
from zoo.core.errors import BadInput
from zoo.core.resampling import Resampling
from zoo.inputs.frames import FrameOptions, Frames
from zoo.inputs.recording import StackRecording, closing_on_error
from zoo.inputs.resampling import coarsest_nm, resampling

if TYPE_CHECKING:
    from zoo.io.stacks import Stack


class TargetGrid(Frames):
    """Images of one microscope, resampled to the pixel of a better one.

    The resampling needs the pixel size of the file, and is done unless told otherwise.
    """

    options: ClassVar[type[Options]] = FrameOptions
    kind: Literal["target_grid"] = "target_grid"  # pyright: ignore[reportIncompatibleVariableOverride] each kind fixes its own
    scaling: Literal["spots", "image"] | None = "image"
    """What is in the frames, as for `zoo.inputs.frames.Frames`."""
    diffraction_limited: bool = True
    """Whether results can be compared with the resampled input."""

    def open(
        self,
        source: Any,
        contract: Contract,
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None = None,
    ) -> Recording:
        """Open a stack; see `zoo.core.contract.Input.open`."""
        stack, settings = self.opened(
            source, contract, name=name, options=options, pixel_size_nm=pixel_size_nm
        )
        with closing_on_error(stack):
            wanted = getattr(options, "resample", None) is not False
            way = _to_target(stack, contract, name) if wanted else None
        if way is not None:
            from zoo.io.resampled import ResampledStack  # imports readers of files

            stack = ResampledStack(stack, way)
        return OnTargetGrid(
            stack,
            contract,
            content="image" if self.scaling == "image" else None,
            way=way,
            **settings,
        )


class OnTargetGrid(StackRecording):
    """A recording whose frames, and results, lie on the grid of the target.

    Parameters
    ----------
    stack, contract, settings
        As for `StackRecording`.
    way
        How the file was brought there; None if it was left as it is.
    """

    def __init__(
        self,
        stack: "Stack",
        contract: Contract,
        *,
        way: Resampling | None,
        **settings: Any,
    ) -> None:
        super().__init__(stack, contract, **settings)
        self._way = way

    def warnings(self) -> list[str]:
        """Return what a user should know, the resampling included."""
        warnings = super().warnings()
        if self._way is not None:
            before, behind = self._way.source_nm, self._way.target_nm
            warnings.append(
                f"resampled from pixels of {before:.4g} nm to {behind:.4g} nm, the "
                "grid of the result (--no-resample leaves them)"
            )
        return warnings

    def report(self) -> dict[str, Any]:
        """Return what was read, and how it was resampled."""
        known = super().report()
        if self._way is not None:
            report = self._way.report()
            report["method"] = "Lanczos, anti-aliased; results stay on the new grid"
            known["resampling"] = report
        return known


def _to_target(stack: "Stack", contract: Contract, name: str) -> Resampling | None:
    """Return how to bring a stack to the trained pixel; None if it is there.

    Raises
    ------
    BadInput
        If its pixel size is not known, or so large that the image cannot hold what the
        microscope transmits.
    """
    limits = contract.training.get("pixel_size_nm")
    if limits is None:
        return None
    if stack.pixel_size_nm is None:
        raise BadInput(
            f"{stack.source} states no pixel size, and {name} works on pixels of "
            f"{limits[0]:.4g} nm, to which it is resampled; give it with "
            "--pixel-size-nm, or use --no-resample if it is on that grid"
        )
    if stack.pixel_size_nm > (coarsest := coarsest_nm(contract)):
        raise BadInput(
            f"{stack.source} has pixels of {stack.pixel_size_nm:.4g} nm; above "
            f"{coarsest:.4g} nm they do not hold what {name} needs: record with "
            "smaller ones, or use --no-resample to try it as it is"
        )
    return resampling(stack, contract)
