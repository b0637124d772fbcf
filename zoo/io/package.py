"""One package: a bioimage.io model in a folder, opened read-only."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from zoo.core.errors import BadPackage
from zoo.core.files import require_utf8, sha256
from zoo.core.formats import ONNX
from zoo.io.archives import unsafe_name
from zoo.io.description import NAMES, Tensor, file_of, read_description, tensors
from zoo.io.onnx_file import check_onnx_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
"""The folder of the import package ``zoo``."""

MAX_DOCUMENTATION = 2**18
"""Characters of a package's documentation that are read."""


class Package:
    """A bioimage.io model, opened read-only.

    Nothing but the description is read until it is asked for.

    Parameters
    ----------
    folder
        Holds ``rdf.yaml`` (or ``bioimageio.yaml``), itself or in its only subfolder.
    name
        What to call the package; worked out from the description when left out.

    Attributes
    ----------
    folder, name
        Where it is and what it is called.
    rdf
        The description as it stands in the file.
    zoo
        ``config.superres_zoo`` of the description, empty for packages of others.

    Raises
    ------
    BadPackage
        If there is no description of a model in format 0.4 or 0.5, or its ``config``
        is not a mapping.
    BadInput
        If the name of the folder is not UTF-8.
    """

    def __init__(self, folder: Path, name: str | None = None) -> None:
        require_utf8(folder)
        description = description_file(folder)
        # other processes read it, wherever they were started
        self.folder = description.parent.absolute()
        self.rdf: dict[str, Any] = read_description(description)
        self.zoo: dict[str, Any] = _own_section(self.rdf, description)
        self.name = name or str(
            self.rdf.get("id") or self.rdf.get("name") or folder.name
        )
        self._checked: set[str] = set()

    def __repr__(self) -> str:
        return f"<Package {self.name} at {self.folder}>"

    @cached_property
    def inputs(self) -> list[Tensor]:
        """Input tensors, in the form that `zoo.io.description` states."""
        return tensors(self.rdf, "inputs")

    @cached_property
    def outputs(self) -> list[Tensor]:
        """Output tensors, in the form that `zoo.io.description` states."""
        return tensors(self.rdf, "outputs")

    @property
    def weights(self) -> dict[str, dict[str, Any]]:
        """Weights entries of the description, ``{"onnx": {"source": ...}, ...}``."""
        return self.rdf["weights"]

    @property
    def present(self) -> list[str]:
        """Weights entries whose files are there; an installation has only some."""
        return [
            name
            for name, entry in self.weights.items()
            if self.path_of(file_of(entry)[0]).is_file()
        ]

    @property
    def shortfall(self) -> list[str]:
        """What it lacks of a published package, a line; as its description says."""
        bounds: Any = self.zoo.get("bounds")
        if not isinstance(bounds, dict):
            return []
        held, of = (cast(dict[str, Any], bounds).get(key) for key in ("held", "of"))
        if held == of:
            return []
        return [
            f"{self.name} holds {held} of the {of} bounds on its scores that published "
            "weights have to hold; see Validation in its card"
        ]

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights that the others were made from."""
        entry = next(
            (e for e in self.weights.values() if not e.get("parent")),
            next(iter(self.weights.values())),
        )
        source, stated = file_of(entry)
        return stated or sha256(self.path_of(source))

    def weights_path(self, entry: str) -> Path:
        """Return the file of a weights entry, after checking its hash.

        Parameters
        ----------
        entry
            Name in the description, such as ``onnx`` or ``keras_v3``.

        Raises
        ------
        BadPackage
            If there is no such entry, or its file is missing, differs from the hash in
            the description, or declares more than it holds.
        """
        if entry not in self.weights:
            raise BadPackage(
                f"{self.name} has no {entry} weights; it has {', '.join(self.weights)}"
            )
        path = self._checked_file(self.weights[entry])
        if entry == ONNX.entry and entry not in self._checked:
            check_onnx_file(path)
            self._checked.add(entry)
        return path

    def test_input(self) -> "NDArray[Any]":
        """Return the test tensor of the first input."""
        return self._test_tensor(self.inputs[0])

    def test_output(self) -> "NDArray[Any]":
        """Return the test tensor of the first output."""
        return self._test_tensor(self.outputs[0])

    def _test_tensor(self, tensor: Tensor) -> "NDArray[Any]":
        if not tensor.get("test_tensor"):
            raise BadPackage(f"{self.name} has no test tensor for {tensor.get('id')}")
        import numpy as np

        path = self._checked_file(tensor["test_tensor"])
        try:
            # a map is made only of what the file holds
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
        except (ValueError, EOFError, SyntaxError, TypeError, OSError) as error:
            raise BadPackage(f"{path} is not a readable tensor ({error})") from error

    def documentation(self) -> str:
        """Return the text that documents the package, empty if it has none.

        Raises
        ------
        BadPackage
            If the description names a file outside the folder.
        """
        path = self.path_of(file_of(self.rdf.get("documentation") or "README.md")[0])
        if not path.is_file():
            return ""
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_DOCUMENTATION)

    def path_of(self, source: str) -> Path:
        """Return where a file that the description names lies; it may be missing.

        Raises
        ------
        BadPackage
            If the name leads out of the folder.
        """
        # files of a description that was fetched by address lie beside it
        local = Path(urlsplit(source).path).name if "://" in source else source
        if not local or unsafe_name(local):
            raise BadPackage(
                f"{self.name} refers to the file {source!r} outside its folder; get "
                "the package from a source you trust"
            )
        path = self.folder / local
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise BadPackage(
                f"{source!r} of {self.name} is a link to outside its folder; get the "
                "package from a source you trust"
            )
        return path

    def _checked_file(self, entry: Any) -> Path:
        source, stated = file_of(entry)
        path = self.path_of(source)
        if not path.is_file():
            raise BadPackage(
                f"{source} of {self.name} is not in {self.folder}; "
                f"{self._remedy(source)}"
            )
        if stated and source not in self._checked:
            if sha256(path) != stated:
                raise BadPackage(
                    f"{source} of {self.name} differs from the hash in rdf.yaml of "
                    f"{self.folder}; {self._remedy(source)}"
                )
            self._checked.add(source)
        return path

    def _remedy(self, source: str) -> str:
        specs = specs_folder()
        if specs is not None and self.folder.parent == specs:
            place = f"{specs.name}/{self.folder.name}/{source}"
            return f"restore it with 'git checkout -- {place}'"
        if self.folder.parent == cards_folder():
            return "install superres-zoo again, or give the path of a complete package"
        return f"delete the folder and get {self.name} again"


def _own_section(rdf: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return ``config.superres_zoo``, empty if there is none."""
    section: Any = rdf.get("config") or {}
    for key in ("config", "config.superres_zoo"):
        if not isinstance(section, dict):
            raise BadPackage(
                f"{path} states {key} as {type(section).__name__}, it must be a "
                "mapping; get the package again"
            )
        if key == "config":
            section = cast(dict[str, Any], section).get("superres_zoo") or {}
    return cast(dict[str, Any], section)


def description_file(folder: Path) -> Path:
    """Return the description in a folder.

    Raises
    ------
    BadPackage
        If there is none.
    """
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    # some programs put everything into one folder inside the zip
    inner = [path for name in NAMES for path in sorted(folder.glob(f"*/{name}"))]
    if len(inner) == 1:
        return inner[0]
    raise BadPackage(
        f"{folder} is not a package: it holds no {NAMES[0]}; give a bioimage.io folder "
        "or zip"
    )


def specs_folder() -> Path | None:
    """Return ``specs/`` of the checkout that this code runs from, if it does."""
    root = ROOT.parent
    project, specs = root / "pyproject.toml", root / "specs"
    if not specs.is_dir() or not project.is_file():
        return None
    ours = 'name = "superres-zoo"' in project.read_text(encoding="utf-8")
    return specs if ours else None


def cards_folder() -> Path:
    """Return the folder of cards: ``specs/``, or what an installation has of it."""
    return specs_folder() or ROOT / "cards"
