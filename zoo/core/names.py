"""Names as people read them: what was meant, words and units of a field."""

from collections.abc import Iterable
from difflib import get_close_matches

UNITS = {
    "per_um2": "/µm²",
    "per_um": "/µm",
    "nm": "nm",
    "um": "µm",
    "px": "px",
    "ms": "ms",
    "s": "s",
    "rad": "rad",
    "db": "dB",
    "percent": "%",
    "photons": "photons",
    "e": "electrons",
    "adu": "counts",
}
"""Endings of a name and the unit that each stands for; longer ones first."""

WORDS = {
    "tp": "matched",
    "fp": "false",
    "fn": "missed",
    "f1": "F1",
    "na": "NA",
    "rmse": "RMSE",
    "crlb": "CRLB",
    "mse": "MSE",
    "nmse": "NMSE",
    "nrmse": "NRMSE",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms": "MS",
    "pcc": "PCC",
    "frc": "FRC",
    "fwhm": "FWHM",
    "psf": "PSF",
    "rsp": "RSP",
    "rse": "RSE",
    "jaccard": "Jaccard",
    "pearson": "Pearson",
}
"""Words of a name that are written differently."""

_WHOLE = {
    "photons": ("photons", "photons"),
    "mean_absolute_nm": ("mean |dx| + |dy|", "nm"),
}


def near(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: what resembles `name`, or all there is.

    Examples
    --------
    >>> near("deepstorm", ["deep_storm", "dfcan"])
    'did you mean deep_storm?'
    >>> near("unet", ["deep_storm", "dfcan"])
    'there are deep_storm, dfcan'
    """
    names = sorted(known)
    lowered = name.lower()
    close = get_close_matches(lowered, names, n=3, cutoff=0.5)
    close += [n for n in names if n not in close and lowered and n.startswith(lowered)]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there are {', '.join(names)}" if names else "there are none"


def label(name: str) -> tuple[str, str]:
    """Split the name of a field or figure into words and the unit that ends it.

    Examples
    --------
    >>> label("psf_sigma_nm"), label("density_per_um2"), label("rmse_lateral_nm")
    (('PSF sigma', 'nm'), ('density', '/µm²'), ('RMSE lateral', 'nm'))
    >>> label("photons"), label("jaccard"), label("ms_ssim")
    (('photons', 'photons'), ('Jaccard', ''), ('MS SSIM', ''))
    """
    if name in _WHOLE:
        return _WHOLE[name]
    for ending, unit in UNITS.items():
        if name.endswith(f"_{ending}"):
            return _words(name.removesuffix(f"_{ending}")), unit
    return _words(name), ""


def _words(name: str) -> str:
    return " ".join(WORDS.get(word, word) for word in name.split("_"))
