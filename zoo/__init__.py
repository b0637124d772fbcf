"""Super-resolution microscopy by deep learning: trained, tested, portable models.

>>> import zoo
>>> model = zoo.load("deep_storm_microtubules")  # doctest: +SKIP
>>> result = model.predict("movie.tif")  # doctest: +SKIP

Everything that a user can put right is raised as a `ZooError`, in one line.
Importing this package imports neither NumPy nor a deep-learning framework.  Recipes
are listed by `zoo.catalog.recipes`; ``zoo.recipes`` is the folder that holds them.
"""

from zoo.core.errors import ZooError

TYPE_CHECKING = False

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import keras

    from zoo.predict.predictor import Predictor

    __version__: str

__all__ = ["ZooError", "build", "load", "networks", "packages"]


def load(name_or_path: "str | Path", **options: "Any") -> "Predictor":
    """Open a package for prediction.

    Parameters
    ----------
    name_or_path
        Name of a package of this zoo, or any bioimage.io folder, zip or address,
        also of another program.
    **options
        Passed to `zoo.predict.predictor.Predictor`: ``engine``, ``batch_size``,
        ``tile`` and what the package's kinds of input and task declare, such as
        ``threshold`` or ``frame_order``; ``zoo predict --help`` lists them.

    Raises
    ------
    UnknownPackage
        If nothing is known under this name; lists those that resemble it.
    BadPackage
        If the package is damaged, unsafe or differs from its hashes.
    """
    from zoo.io.library import open_package
    from zoo.predict.predictor import Predictor

    return Predictor(open_package(name_or_path), **options)


def build(network: str, **options: "Any") -> "keras.Model":
    """Build an untrained, uncompiled network with the paper's defaults.

    Parameters
    ----------
    network
        Name, see `networks`.
    **options
        Arguments of the builder.

    Raises
    ------
    UnknownName
        If there is no such network; lists those that resemble it.
    MissingExtra
        If Keras, of the extra ``train``, is not installed.

    Examples
    --------
    >>> zoo.build("deep_storm").count_params()  # doctest: +SKIP
    1368960
    """
    from zoo import catalog

    return catalog.network(network).build(**options)


def packages() -> list[str]:
    """Return the names of the packages that have a card; imports no framework."""
    from zoo.io.library import package_names

    return package_names()


def networks() -> list[str]:
    """Return the names of the networks that `build` knows; imports no framework."""
    from zoo import catalog

    return catalog.network_names()


if not TYPE_CHECKING:  # for a type checker every name would exist otherwise

    def __getattr__(name: str) -> str:
        """Look the version up when it is asked for: the metadata takes time to read."""
        if name == "__version__":
            from importlib.metadata import PackageNotFoundError, version

            try:
                return version("superres-zoo")
            except PackageNotFoundError:  # a checkout that is not installed
                return "0+unknown"
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
