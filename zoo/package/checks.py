"""Verification of packages of this zoo: what only their recipes and READMEs can tell.

`zoo.verify` asks of any bioimage.io package whether it is true; here the questions are
added whose answers lie in a declared recipe.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.core.errors import BadPackage
from zoo.core.test_set import find_metric
from zoo.io.package import Package, specs_folder
from zoo.package.document import drifted, missing_sections, unwritten_sections
from zoo.package.trained import declared_recipe, read_metrics
from zoo.verify import Question, Report, verify
from zoo.verify.examination import FOREIGN
from zoo.verify.trials import NotApplicable


def verify_package(
    name_or_path: str | Path, *, entries: Sequence[str] | None = None
) -> Report:
    """Check a package with the official tool, against itself and against its recipe.

    Parameters
    ----------
    name_or_path
        Name of a package, or a bioimage.io folder, zip or address.
    entries
        Weights entries to run; all by default.

    Raises
    ------
    ZooError
        If there is no such package, or its description cannot be read at all.
    """
    return verify(name_or_path, entries=entries, further=own_questions)


def require_verified(folder: Path) -> None:
    """Refuse a package that fails its verification.

    Raises
    ------
    BadPackage
        If it does; the message holds every reason.
    """
    report = verify_package(folder)
    if not report.ok:
        reasons = "; ".join(f"{row.name}: {row.detail}" for row in report.failed)
        raise BadPackage(f"{folder.name} was not written, it fails: {reasons}")


def own_questions(package: Package) -> Iterator[Question]:
    """Yield the checks that need a recipe or the sections of a README of this zoo."""
    yield "README", lambda: readme(package)
    yield "generated files", lambda: drift(package)
    yield "scores", lambda: scores(package)


def readme(package: Package) -> str:
    """Check that the README has all sections; published ones must be written."""
    _only_ours(package)
    text = (package.folder / "README.md").read_text(encoding="utf-8")
    missing = missing_sections(text)
    if missing:
        raise BadPackage(f"README.md lacks the sections {', '.join(missing)}")
    unwritten = unwritten_sections(text)
    if unwritten and _published(package):
        raise BadPackage(f"nobody has written {', '.join(unwritten)} in README.md")
    todo = f"; still to be written: {', '.join(unwritten)}" if unwritten else ""
    return f"all sections are there{todo}"


def drift(package: Package) -> str:
    """Check that generated files are what would be generated now."""
    _only_ours(package)
    name = str(package.rdf.get("id"))
    if declared_recipe(name) is None:
        raise NotApplicable(f"no recipe {name} is declared in this installation")
    changed = drifted(package.folder)
    if changed:
        raise BadPackage(
            f"{', '.join(changed)} not as generated; run zoo package --refresh"
        )
    return "description, record and README are as generated"


def scores(package: Package) -> str:
    """Check that scores lie within the bounds of the recipe."""
    _only_ours(package)
    recipe = declared_recipe(str(package.rdf.get("id")))
    metrics = read_metrics(package.folder)
    if recipe is None or metrics is None:
        raise NotApplicable("the package has not been scored")
    low = []
    for bound in recipe.acceptance:
        value = find_metric(metrics, bound.metric)
        if value is None or not bound.holds(value):
            low.append(f"{bound.metric} = {value}")
    if low and _published(package):
        raise BadPackage(f"outside what the recipe requires: {', '.join(low)}")
    if low:
        raise NotApplicable(
            f"not published; outside the recipe's bounds: {', '.join(low)}"
        )
    return f"{len(recipe.acceptance)} bounds of the recipe hold"


def _only_ours(package: Package) -> None:
    if not package.zoo:
        raise NotApplicable(FOREIGN)


def _published(package: Package) -> bool:
    specs = specs_folder()
    return specs is not None and package.folder.parent == specs
