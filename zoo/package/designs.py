"""The phase mask of a package, a run or a calibration, for ``zoo design``."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.calibrate.design import FILES, write_design
from zoo.calibrate.design_course import COURSE, Milestone
from zoo.calibrate.optics import PupilCalibration, read_optics
from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.io.library import open_package
from zoo.package.trained import (
    RECIPE,
    RUN,
    Trained,
    kept_stages,
    read_trained,
)
from zoo.physics.pupil import PupilOptics
from zoo.predict.contract import read_contract
from zoo.simulate.dense_emitters import behind_mask


class Design(NamedTuple):
    """A microscope with a mask, and the depths that it is for."""

    name: str
    """What it is of."""
    optics: PupilOptics
    """The microscope."""
    z_nm: tuple[float, float]
    """Depths, nm."""
    course: tuple[Milestone, ...] = ()
    """Microscopes of the stages in which the mask was learnt."""


def design_of(source: str) -> Design:
    """Return the microscope of a package, a run, a calibration or a mask.

    Parameters
    ----------
    source
        Name or path of a package, folder of a run, ``optics.json`` of ``zoo
        calibrate``, or image of a mask in rad, ``.npy`` or ``.tif``.

    Raises
    ------
    BadInput
        If there is no pupil in it.
    """
    path = Path(source)
    if path.suffix == ".json" and path.is_file():
        optics = read_optics(path)
        if not isinstance(optics, PupilCalibration):
            raise BadInput(
                f"{source} holds a measured spot and no pupil; calibrate with beads"
            )
        pupil = PupilOptics(
            **{name: getattr(optics, name) for name in PupilOptics.model_fields}
        )
        return Design(path.stem, pupil, optics.z_range_nm or (-1000.0, 1000.0))
    if path.suffix in (".npy", ".tif", ".tiff"):
        return Design(path.stem, behind_mask(path), (0.0, 4000.0))
    if (path / RUN).is_file() and (path / RECIPE).is_file():
        trained = read_trained(path)
        design = _of_contract(trained.name, trained.recipe.promise)
        return design._replace(course=_course(trained))
    package = open_package(source)
    return _of_contract(package.name, read_contract(package))


def _of_contract(name: str, contract: Contract) -> Design:
    optics: Any = getattr(contract.task, "optics", None)
    if not isinstance(optics, PupilOptics):
        raise BadInput(
            f"{name} knows no pupil, so that it has no mask; those that have one are "
            "deep_storm3d_tetrapod, deep_storm3d_learned, smnet_complex and others of "
            "the task parameters"
        )
    return Design(name, optics, contract.training.get("z_nm", (-1000.0, 1000.0)))


def _course(trained: Trained) -> tuple[Milestone, ...]:
    """Return the microscopes of a run, stage by stage, if it learnt its mask."""
    from zoo.objectives.psf_design import PsfDesign  # brings Keras

    objective = trained.recipe.objective
    with_mask: Any = getattr(trained.recipe.source, "with_mask", None)
    if not isinstance(objective, PsfDesign) or with_mask is None:
        return ()
    found: list[Milestone] = []
    for stage in kept_stages(trained):
        if stage.objective.phase == "network":
            continue
        with np.load(stage.path) as arrays:
            mask = objective.mask_rad(arrays)
        if not found:
            found.append(Milestone(0, with_mask(0 * mask).optics))
        found.append(Milestone(stage.samples, with_mask(mask).optics))
    return tuple(found)


def write(source: str, output: Path, *, overwrite: bool, **options: Any) -> list[str]:
    """Write phase mask, spots and bounds; see `zoo.calibrate.design.write_design`."""
    design = design_of(source)
    replaces = {*FILES, *COURSE, "design.json"} if overwrite else None
    return write_design(
        design.optics,
        output,
        z_nm=design.z_nm,
        name=design.name,
        course=design.course,
        replaces=replaces,
        **options,
    )
