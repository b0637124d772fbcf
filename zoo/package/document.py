"""Generated parts of READMEs and the index: written, and compared with what is there.

A generated part stands between ``<!-- generated:NAME -->`` and ``<!-- end -->``.
Everything outside is written by hand and never touched.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.files import sha256, write_json, write_text
from zoo.core.formats import KERAS
from zoo.io.package import Package
from zoo.package.card import blocks
from zoo.package.describe import describe, to_yaml
from zoo.package.trained import RECIPE, Trained, read_trained, record_of
from zoo.package.zips import read_members
from zoo.predict.contract import read_contract

SECTIONS = (
    "Description",
    "Intended use",
    "Not for",
    "Input and output",
    "Data",
    "Training",
    "Validation",
    "Limits",
    "Citation",
)
"""Headings that every README has, in this order."""

UNWRITTEN = "*To be written by hand:"
"""How a fresh README marks a section that nobody has written yet."""

_BLOCK = re.compile(
    r"(<!-- generated:(?P<name>[\w-]+) -->\n)"
    r"(?P<text>[^<]*+(?:<(?!!-- (?:generated:|end -->))[^<]*+)*+)(<!-- end -->)"
)
_PICTURE = re.compile(r"!\[[^\]\n]*\]\((\w[\w.-]*\.png)\)")
_HINTS = {
    "Intended use": "the specimens, microscopes and questions that it serves.",
    "Not for": "what it will get wrong although the files look right.",
    "Data": "what the training and the test data contain, and what they do not.",
    "Limits": "known failures and how to notice them.",
}
_BLOCKS = {
    "Input and output": "tensors",
    "Training": "training",
    "Validation": "scores",
    "Citation": "citation",
}
_OWN_BLOCKS = {
    "Description": "purpose",
    "Intended use": "intended",
    "Not for": "not-for",
    "Data": "data",
    "Limits": "limits",
}
"""Sections that say by themselves what a package is that a user trained."""


def pictures(text: str) -> list[str]:
    """Return the pictures in its own folder that a document shows.

    Examples
    --------
    >>> pictures("![Spots](spots.png) ![Far](https://a.b/far.png) [Link](c.png)")
    ['spots.png']
    """
    return _PICTURE.findall(text)


def fill(text: str, contents: Mapping[str, str]) -> str:
    r"""Return a document with its generated parts replaced.

    Raises
    ------
    BadPackage
        If the document marks a part that nothing generates.

    Examples
    --------
    >>> fill("a\n<!-- generated:b -->\nold\n<!-- end -->\n", {"b": "new"})
    'a\n<!-- generated:b -->\nnew\n<!-- end -->\n'
    """

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in contents:
            raise BadPackage(
                f"no generated text is named {name!r}; there are {', '.join(contents)}"
            )
        return f"{match[1]}{contents[name].strip()}\n{match[4]}"

    return _BLOCK.sub(replace, text)


def skeleton(trained: Trained) -> str:
    """Return the README of a new package, with sections left to be written."""
    recipe = trained.recipe
    own = trained.own
    marked = _BLOCKS if own is None else _BLOCKS | _OWN_BLOCKS
    parts = [f"# {recipe.title if own is None else own.title}\n"]
    for heading in SECTIONS:
        parts.append(f"## {heading}\n")
        if heading == "Description" and own is None:
            parts.append(f"{recipe.summary}\n")
            if recipe.network.note:
                parts.append(f"{recipe.network.note}\n")
        if heading in _HINTS and heading not in marked:
            parts.append(f"{UNWRITTEN} {_HINTS[heading]}*\n")
        if heading in marked:
            parts.append(f"<!-- generated:{marked[heading]} -->\n<!-- end -->\n")
    return "\n".join(parts)


def missing_sections(readme: str) -> list[str]:
    r"""Return the headings that a README should have and lacks.

    Examples
    --------
    >>> missing_sections("# A\n## Description\n")[:2]
    ['Intended use', 'Not for']
    """
    titles = [x.lstrip("#") for x in readme.splitlines() if x.startswith("#")]
    present = {title.strip().lower() for title in titles if title[:1].isspace()}
    return [heading for heading in SECTIONS if heading.lower() not in present]


def unwritten_sections(readme: str) -> list[str]:
    """Return the headings under which a README still holds its first text."""
    sections = re.split(r"^##\s+", readme, flags=re.MULTILINE)[1:]
    return [part.splitlines()[0].strip() for part in sections if UNWRITTEN in part]


def readme_text(trained: Trained) -> str:
    """Return the README of a package with its generated parts up to date."""
    path = trained.folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else skeleton(trained)
    return fill(text, blocks(trained))


def generated_files(folder: Path) -> dict[Path, str]:
    """Return the text that every generated file of a package should have.

    Raises
    ------
    BadPackage
        If the folder is not a package of a declared recipe.
    """
    trained = read_trained(folder)
    return {
        folder / RECIPE: record_of(trained, trained.export),
        folder / "README.md": readme_text(trained),
        folder / "rdf.yaml": to_yaml(describe(trained)),
    }


def drifted(folder: Path) -> list[str]:
    """Return the names of a package's generated files that are not as generated."""
    return [
        path.name
        for path, text in generated_files(folder).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def check_generated(root: Path | None = None) -> list[str]:
    """Return the generated files of a checkout that are not as generated.

    Looks at every folder in ``specs/``, at the table of packages in the README and
    at ``zoo/index.json``.

    Parameters
    ----------
    root
        The checkout; by default the one that this module lies in.
    """
    root = root or checkout()
    changed = [
        str(path.relative_to(root))
        for path, text in (_package_files(root) | _top_readme(root)).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    index = root / "zoo" / "index.json"
    if index.is_file() and _outdated(_read_index(index), root):
        changed.append(str(index.relative_to(root)))
    return changed


def regenerate(root: Path | None = None) -> list[str]:
    """Write the generated files of a checkout; return the names of those changed.

    Weights, tensors, images and scores stay as they are.

    Parameters
    ----------
    root
        The checkout; by default the one that this module lies in.
    """
    root = root or checkout()
    changed = []
    # a README's table of packages reads the descriptions, which therefore come first
    for step in (_package_files, _top_readme):
        for path, text in step(root).items():
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_text(path, text)
                changed.append(str(path.relative_to(root)))
    return changed


def checkout() -> Path:
    """Return the folder of the repository that this module belongs to.

    Raises
    ------
    BadPackage
        If the program is installed without a repository around it.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "specs").is_dir():
        raise BadPackage(
            "generated files are checked in a checkout of the repository, which holds "
            "the folder specs/; this is an installed copy without one"
        )
    return root


def packages_table(root: Path) -> str:
    """Return the table of packages for the README of the project."""
    rows = [
        "| package | task | input → output | parameters | weights |",
        "|---|---|---|---|---|",
    ]
    for folder in _package_folders(root):
        package = Package(folder)
        contract = read_contract(package)
        size = (folder / KERAS.file).stat().st_size / 2**20
        rows.append(
            f"| [`{folder.name}`](specs/{folder.name}/README.md) | "
            f"{contract.task.kind} | {in_and_out(contract)} | "
            f"{package.zoo['parameters']:,} | {size:.1f} MiB |"
        )
    return "\n".join(rows)


def in_and_out(contract: Contract) -> str:
    """Return what a package takes and gives, in a few words."""
    grid = contract.grid
    count = len(grid.channels)
    kind = contract.input.kind.replace("_", " ").removesuffix("s")
    taken = f"1 {kind}" if count == 1 else f"{count} {contract.input.channel_word}"
    return f"{taken} → {contract.task.products(grid)}"


def index_packages(folder: Path, index: Path | None = None) -> dict[str, Any]:
    """Enter the zips of a folder into ``zoo/index.json``, which guards downloads.

    Parameters
    ----------
    folder
        Holds ``<package>.zip`` as `build_package` writes them.
    index
        File to update; by default ``zoo/index.json`` of the checkout.

    Returns
    -------
    dict
        The packages of the index: ``{name: {file, size, sha256, weights_sha256}}``.
    """
    path = index or checkout() / "zoo" / "index.json"
    content: dict[str, Any] = {"base_url": None, "packages": {}}
    if path.is_file():
        content |= _read_index(path)
    entries: dict[str, Any] = dict(content["packages"])
    for archive in sorted(folder.glob("*.zip")):
        weights = read_members(archive).get(KERAS.file)
        if weights is None:
            raise BadPackage(f"{archive} is not a package: it holds no {KERAS.file}")
        entries[archive.stem] = {
            "file": archive.name,
            "size": archive.stat().st_size,
            "sha256": sha256(archive),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        }
    ordered = {name: entries[name] for name in sorted(entries)}
    write_json(path, {**content, "packages": ordered})
    return ordered


def _read_index(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _outdated(index: dict[str, Any], root: Path) -> bool:
    """Say whether an entry is of a package that is gone or has other weights."""
    for name, entry in index.get("packages", {}).items():
        weights = root / "specs" / name / KERAS.file
        recorded = entry.get("weights_sha256")
        if not weights.is_file() or recorded not in (None, sha256(weights)):
            return True
    return False


def _package_folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in (root / "specs").glob("*/rdf.yaml"))


def _package_files(root: Path) -> dict[Path, str]:
    files: dict[Path, str] = {}
    for folder in _package_folders(root):
        files |= generated_files(folder)
    return files


def _top_readme(root: Path) -> dict[Path, str]:
    path = root / "README.md"
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    marked = {match["name"] for match in _BLOCK.finditer(text)}
    if "packages" not in marked:
        return {}
    return {path: fill(text, {"packages": packages_table(root)})}
