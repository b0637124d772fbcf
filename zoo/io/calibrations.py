"""Calibrations of other programs: SMAP, Picasso and uiPSF.

Each is read as its program wrote it, with what it states about pixel and depth; turning
it into a point-spread function is `zoo.calibrate.convert`'s.

**SMAP**, ``*_3dcal.mat``: a structure ``SXY`` (its first region), or at the top level
``cspline`` or ``cspline_psf_model``, with the fields of a cubic spline: ``coeff``
(first, second, z, 64) or a cell of such arrays (its first channel), ``dz`` nm per slice
and ``z0``, the slice of depth 0.  A pixel size is not stated.  Assumed: the first axis
are the rows of the image, ``z0`` counts from 0 like the fitter's depth.

**Picasso**, HDF5 of a spline calibration: ``coefficients``, whose numbers in the order
of the file are (z, y, x, power of z, of y, of x), the powers rising; the attribute
``metadata`` is JSON with ``model``, ``n_intervals`` (x, y, z), ``z_step_nm``,
``z_init`` and ``z_center``, the middle of the scan and the slice of depth 0 counted
from 0, ``magnification_factor`` and ``pixelsize``.  Of one channel only.  As everywhere
in Picasso, positive depths lie beyond the focal plane in a scan that goes up from the
coverslip, so that slices go down; this is the sign used here.

**Picasso**, YAML of an astigmatism calibration: ``X Coefficients`` and ``Y
Coefficients``, polynomials of the widths in camera pixels over z in nm, highest power
first; ``Step size in nm``, ``Number of frames``; fitted depths are multiplied by
``Magnification factor``.  Positive depths lie beyond the focal plane in a scan that
goes up from the coverslip, which is the sign used here.

**uiPSF**, HDF5: ``res/I_model`` (z, y, x), or that of ``res/channel0``; the attribute
``params`` is JSON with ``pixelsize_x`` and ``pixelsize_z`` in µm.
``res/zoffset``, if there, is the place of the first slice in slices; otherwise the
middle slice is depth 0.  Its Zernike coefficients are not read: their order and
normalisation are not documented.

Where a file does not state it, slices are taken to go from the coverslip into the
sample; the caller may reverse them.
"""

import json
import math
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from zoo.core.errors import BadInput

_MOST_BYTES = 2**30
_HDF5 = b"\x89HDF"
_MATLAB = b"MATLAB 5.0 MAT-file"
_MATLAB_73 = b"MATLAB 7.3 MAT-file"


@dataclass(frozen=True, eq=False)
class SmapCalibration:
    """A cubic spline of SMAP."""

    coefficients: np.ndarray
    """(first, second, z, 64) coefficients, the axes of MATLAB."""
    step_nm: float
    """Distance of slices, nm."""
    reference_slice: float
    """Slice of depth 0, counted from 0."""
    pixel_nm: float | None = None
    """Camera pixel; SMAP does not state one."""
    program: str = "SMAP"


@dataclass(frozen=True, eq=False)
class PicassoCalibration:
    """Widths over depth of an astigmatic microscope, from Picasso."""

    x_coefficients: tuple[float, ...]
    """Polynomial of the width along x, px over nm, highest power first."""
    y_coefficients: tuple[float, ...]
    """Polynomial of the width along y, px over nm, highest power first."""
    magnification: float
    """Factor from depths of the calibration to depths in the sample."""
    z_range_nm: tuple[float, float]
    """Lowest and highest depth in the sample."""
    pixel_nm: float | None
    """Camera pixel, if stated, nm."""
    program: str = "Picasso"


@dataclass(frozen=True, eq=False)
class UipsfCalibration:
    """Images of a point over depth, from uiPSF."""

    stack: np.ndarray
    """(z, y, x) shares of the photons."""
    step_nm: float
    """Distance of slices, nm."""
    reference_slice: float
    """Slice of depth 0, counted from 0."""
    pixel_nm: float | None
    """Camera pixel, if stated, nm."""
    program: str = "uiPSF"


@dataclass(frozen=True, eq=False)
class PicassoSpline:
    """A cubic spline of Picasso, whose slices go towards the coverslip."""

    coefficients: np.ndarray
    """(z, y, x, 64) coefficients, the power of x running fastest."""
    step_nm: float
    """Distance of slices in the sample, nm."""
    reference_slice: float
    """Slice of depth 0, counted from 0."""
    pixel_nm: float | None
    """Camera pixel, nm."""
    program: str = "Picasso"


Calibration = SmapCalibration | PicassoCalibration | PicassoSpline | UipsfCalibration


def is_calibration(path: Path) -> bool:
    """Say whether a file may be a calibration rather than a recording."""
    return path.suffix.lower() in (".mat", ".yaml", ".yml", ".h5", ".hdf5")


def read_calibration(path: Path) -> Calibration:
    """Read a calibration of SMAP, Picasso or uiPSF, told apart by its content.

    Raises
    ------
    BadInput
        If it is none of these, damaged, or lacks a field.
    """
    try:
        with path.open("rb") as file:
            head = file.read(128)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist; check the name") from error
    if size > _MOST_BYTES:
        raise BadInput(
            f"{path} has {size / 1e9:.1f} GB; calibrations of up to "
            f"{_MOST_BYTES / 1e9:.1f} GB are read: save one region of it"
        )
    try:
        if head.startswith(_MATLAB):
            return _smap_5(path)
        if head.startswith(_MATLAB_73):
            return _from_hdf5(path, _smap_73)
        if head.startswith(_HDF5):
            return _from_hdf5(path, _hdf5)
        if path.suffix.lower() in (".yaml", ".yml"):
            return _picasso(path)
    except BadInput:
        raise
    except Exception as error:  # readers of damaged files raise anything
        raise BadInput(
            f"{path} cannot be read as a calibration ({type(error).__name__}: "
            f"{error}); save it again with the program that made it"
        ) from error
    raise BadInput(
        f"{path} is no calibration of SMAP (.mat), Picasso (.yaml, .hdf5) or uiPSF "
        "(.h5); give one of these, or a bead stack"
    )


def agreed_pixel_nm(
    stated_nm: float | None, given_nm: float | None, *, name: str
) -> float:
    """Return the pixel size of a calibration and of the recordings it is for.

    Raises
    ------
    BadInput
        If neither is known, or they differ by more than one percent.
    """
    if stated_nm is None and given_nm is None:
        raise BadInput(
            f"{name} states no pixel size; give that of the camera in the sample with "
            "--pixel-size-nm"
        )
    if stated_nm and given_nm and abs(stated_nm - given_nm) > 0.01 * stated_nm:
        raise BadInput(
            f"{name} is for pixels of {stated_nm:.4g} nm, the recording has "
            f"{given_nm:.4g} nm; calibrate with that camera and magnification"
        )
    return float(given_nm or stated_nm or 0)


def _smap(
    coefficients: np.ndarray, step_nm: float, zero: float, path: Path
) -> SmapCalibration:
    if coefficients.ndim != 4 or coefficients.shape[3] != 64:
        raise BadInput(
            f"{path} has spline coefficients of the shape {coefficients.shape}; "
            "(first, second, z, 64) is needed, one channel: export it again from SMAP"
        )
    _positive(path, dz=step_nm)
    _finite(path, coefficients, "coeff")
    if not 0 <= zero <= coefficients.shape[2]:
        raise BadInput(
            f"{path} has z0 {zero:g} outside of its {coefficients.shape[2]} slices; "
            "export it again from SMAP"
        )
    return SmapCalibration(np.asarray(coefficients, np.float32), step_nm, zero)


def _smap_5(path: Path) -> SmapCalibration:
    from scipy.io import loadmat

    wanted = ["SXY", "cspline", "cspline_psf_model"]
    content: dict[str, Any] = loadmat(
        str(path), struct_as_record=False, squeeze_me=True, variable_names=wanted
    )
    spline: Any = None
    for name in wanted:
        if name in content:
            item: Any = np.ravel(content[name])[0]
            spline = getattr(item, "cspline", None) if name == "SXY" else item
            break
    values = [getattr(spline, field, None) for field in ("coeff", "dz", "z0")]
    if any(value is None for value in values):
        raise _no_spline(path)
    coefficients: Any = values[0]
    if coefficients.dtype == object:
        coefficients = coefficients.ravel()[0]
    return _smap(coefficients, _number(values[1]), _number(values[2]), path)


def _smap_73(file: Any, path: Path) -> SmapCalibration:
    def first(item: Any) -> Any:
        """Follow the references of a structure array or cell to its first entry."""
        while hasattr(item, "dtype") and item.dtype.kind == "O":
            item = file[item[()].ravel()[0]]
        return item

    for name in ("SXY/cspline", "cspline", "cspline_psf_model"):
        if name in file:
            spline = first(file[name])
            break
    else:
        raise _no_spline(path)
    if any(field not in spline for field in ("coeff", "dz", "z0")):
        raise _no_spline(path)
    coefficients, step, zero = (
        _array(first(spline[field]), path) for field in ("coeff", "dz", "z0")
    )
    # HDF5 counts the axes of MATLAB backwards
    return _smap(coefficients.transpose(), _number(step), _number(zero), path)


def _no_spline(path: Path) -> BadInput:
    return BadInput(
        f"{path} holds no cubic spline (SXY.cspline with coeff, dz and z0); calibrate "
        "in SMAP with the 3D spline plugin and give the file *_3dcal.mat"
    )


def _picasso(path: Path) -> PicassoCalibration:
    import yaml

    found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    content = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    needed = ("X Coefficients", "Y Coefficients", "Step size in nm", "Number of frames")
    missing = [field for field in needed if field not in content]
    if missing:
        raise BadInput(
            f"{path} lacks {', '.join(missing)}; give the YAML file that Picasso "
            "Localize wrote with Calibrate 3D"
        )
    x, y = (tuple(float(v) for v in content[field]) for field in needed[:2])
    magnification = float(content.get("Magnification factor", 1.0))
    step, frames = float(content[needed[2]]), float(content[needed[3]])
    _positive(path, **{"Magnification factor": magnification, needed[2]: step})
    _positive(path, **{needed[3]: frames})
    if not x or not y or not all(math.isfinite(v) for v in x + y):
        raise BadInput(f"{path} has coefficients that are no numbers; calibrate again")
    half = (frames - 1) * step / 2 * magnification
    pixel: Any = content.get("Pixelsize")
    return PicassoCalibration(
        x, y, magnification, (-half, half), None if pixel is None else float(pixel)
    )


def _hdf5(file: Any, path: Path) -> PicassoSpline | UipsfCalibration:
    spline = "coefficients" in file and "metadata" in file.attrs
    return _picasso_spline(file, path) if spline else _uipsf(file, path)


def _picasso_spline(file: Any, path: Path) -> PicassoSpline:
    stated: dict[str, Any] = json.loads(file.attrs["metadata"])
    needed = ("model", "n_intervals", "z_step_nm", "z_center", "magnification_factor")
    missing = [name for name in needed if name not in stated]
    if missing:
        raise BadInput(f"{path} lacks {', '.join(missing)}; calibrate again")
    if stated["model"] != "spline-3d" or stated.get("n_channels", 1) != 1:
        raise BadInput(
            f"{path} is a calibration of the kind {stated['model']!r}; a spline-3d of "
            "one channel is needed"
        )
    coefficients = _array(file["coefficients"], path)
    shape = tuple(int(n) for n in reversed(stated["n_intervals"]))
    if len(shape) != 3 or coefficients.size != 64 * math.prod(shape):
        raise BadInput(
            f"{path} has {coefficients.size} coefficients, which do not fill "
            f"n_intervals {stated['n_intervals']}; calibrate again"
        )
    _finite(path, coefficients, "coefficients")
    magnification = float(stated["magnification_factor"])
    step = float(stated["z_step_nm"])
    _positive(path, magnification_factor=magnification, z_step_nm=step)
    middle = float(stated.get("z_init", stated["z_center"]))
    zero = middle + (float(stated["z_center"]) - middle) / magnification
    pixel: Any = stated.get("pixelsize")
    return PicassoSpline(
        coefficients.reshape(*shape, 64).astype(np.float32),
        step * magnification,
        zero,
        None if pixel is None else float(pixel),
    )


def _uipsf(file: Any, path: Path) -> UipsfCalibration:
    result = file.get("res")
    if result is not None and "I_model" not in result and "channel0" in result:
        result = result["channel0"]
    if result is None or "I_model" not in result:
        raise BadInput(
            f"{path} holds neither res/I_model of uiPSF nor coefficients of Picasso; "
            "give the file of the calibration, not its data"
        )
    stack = _array(result["I_model"], path)
    if stack.ndim != 3 or min(stack.shape) < 4:
        raise BadInput(
            f"{path} has an I_model of the shape {stack.shape}; (z, y, x) with four or "
            "more of each is needed"
        )
    _finite(path, stack, "I_model")
    params: dict[str, Any] = json.loads(file.attrs.get("params", "{}"))
    if "pixelsize_z" not in params:
        raise BadInput(f"{path} states no pixelsize_z; save it again with uiPSF")
    step_nm = 1000 * float(params["pixelsize_z"])
    pixel: Any = params.get("pixelsize_x")
    _positive(path, pixelsize_z=step_nm)
    zero = (len(stack) - 1) / 2
    if "zoffset" in result:
        zero = -_number(_array(result["zoffset"], path))
    return UipsfCalibration(
        stack, step_nm, zero, None if pixel is None else 1000 * float(pixel)
    )


def _from_hdf5(path: Path, reader: Any) -> Calibration:
    h5py: Any = import_module("h5py")
    with h5py.File(path, "r") as file:
        return reader(file, path)


def _array(item: Any, path: Path) -> np.ndarray:
    """Read an array that lies in the file itself and is of a sensible size."""
    outside = item.external or item.is_virtual
    if outside or item.dtype.kind not in "biuf" or item.nbytes > _MOST_BYTES:
        raise BadInput(
            f"{path} was not read: {item.name!r} lies in another file, holds no "
            f"numbers or more than {_MOST_BYTES / 1e9:.1f} GB; save it again"
        )
    return np.asarray(item[()], float)


def _number(value: Any) -> float:
    return float(np.ravel(value)[0])


def _positive(path: Path, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise BadInput(
                f"{path} states {name} {value:g}; it must be positive: calibrate again"
            )


def _finite(path: Path, array: np.ndarray, name: str) -> None:
    if not np.isfinite(array).all():
        raise BadInput(f"{path} has values in {name} that are no numbers; redo it")
