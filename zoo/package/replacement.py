"""What a new package may take the place of: files of an earlier run, no others."""

from collections.abc import Sequence
from pathlib import Path

from zoo.core.errors import BadInput, BadPackage
from zoo.core.formats import FORMATS
from zoo.io.archives import unsafe_name
from zoo.io.description import named_files
from zoo.io.package import Package
from zoo.package.describe import COVER, EXAMPLES
from zoo.package.trained import METRICS, RECIPE
from zoo.package.zips import is_own_package

WRITTEN = (
    *(form.file for form in FORMATS.values()),
    *EXAMPLES,
    "sample_input.tif",
    "sample_output.tif",
    COVER,
    RECIPE,
    METRICS,
    "README.md",
)
"""Files that packages have whether their description names them or not."""


def written_before(target: Path) -> list[str]:
    """Return the files of a package that an earlier run wrote, its description last.

    Raises
    ------
    BadInput
        If there is a folder with files that is no package of this zoo.
    """
    if not target.is_dir() or not any(target.iterdir()):
        return []
    try:
        package = Package(target)
    except BadPackage:
        package = None
    # a description in a subfolder, or of another program, says nothing about this one
    if package is None or package.folder != target.absolute() or not package.zoo:
        raise BadInput(
            f"{target} is not replaced: zoo package did not write it; choose another "
            "folder"
        )
    named = [name for name in named_files(package.rdf) if not unsafe_name(name)]
    return [*dict.fromkeys((*named, *WRITTEN)), "rdf.yaml"]


def require_own_archive(archive: Path) -> None:
    """Refuse to replace an archive that is no package of this zoo.

    Raises
    ------
    BadInput
        If there is one.
    """
    if archive.exists() and not is_own_package(archive):
        raise BadInput(
            f"{archive} is not replaced: zoo package did not write it; choose another "
            "folder"
        )


def refuse_foreign(target: Path, folder: Path, written: Sequence[str]) -> None:
    """Refuse to put files over those that an earlier run did not write.

    Parameters
    ----------
    target
        Where the files go.
    folder
        The files.
    written
        Names that an earlier run wrote.

    Raises
    ------
    BadInput
        If a file of another name is in the way.
    """
    for file in sorted(folder.iterdir()):
        if file.name not in written and (target / file.name).exists():
            raise BadInput(
                f"{target / file.name} is not replaced: no earlier package names it; "
                "move it or choose another folder"
            )
