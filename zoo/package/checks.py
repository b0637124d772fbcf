"""Verification of packages of this zoo: what only their recipes and READMEs can tell.

`zoo.verify` asks of any bioimage.io package whether it is true; here the questions are
added whose answers lie in a declared recipe.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.core.errors import BadPackage
from zoo.core.recipe import Recipe
from zoo.io.package import Package, specs_folder
from zoo.package.acceptance import bounds_of, within
from zoo.package.document import drifted, missing_sections, unwritten_sections
from zoo.package.trained import declared_recipe, read_metrics
from zoo.verify import Question, Report, verify
from zoo.verify.examination import FOREIGN
from zoo.verify.trials import NotApplicable


def verify_package(
    name_or_path: str | Path,
    *,
    entries: Sequence[str] | None = None,
    trust: bool = False,
    strict: bool = False,
) -> Report:
    """Check a package with the official tool, against itself and against its recipe.

    Parameters
    ----------
    name_or_path
        Name of a package, or a bioimage.io folder, zip or address.
    entries
        Weights entries to run; all by default.
    trust
        Whether to run weights that may do more than compute; see `zoo.verify.verify`.
    strict
        Whether to ask of any package what is asked of published ones: scores within
        the bounds of its recipe, and a README without gaps.

    Raises
    ------
    ZooError
        If there is no such package, or its description cannot be read at all.
    """

    def further(package: Package) -> Iterator[Question]:
        return own_questions(package, strict=strict)

    return verify(name_or_path, entries=entries, further=further, trust=trust)


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


def own_questions(package: Package, *, strict: bool = False) -> Iterator[Question]:
    """Yield the checks that need a recipe or the sections of a README of this zoo."""
    strict = strict or _published(package)
    yield "README", lambda: readme(package, strict=strict)
    yield "generated files", lambda: drift(package)
    yield "scores", lambda: scores(package, strict=strict)


def readme(package: Package, *, strict: bool) -> str:
    """Check that the README has all sections; those of published ones are written."""
    _only_ours(package)
    text = (package.folder / "README.md").read_text(encoding="utf-8")
    missing = missing_sections(text)
    if missing:
        raise BadPackage(f"README.md lacks the sections {', '.join(missing)}")
    unwritten = unwritten_sections(text)
    if unwritten and strict:
        raise BadPackage(f"nobody has written {', '.join(unwritten)} in README.md")
    todo = f"; still to be written: {', '.join(unwritten)}" if unwritten else ""
    return f"all sections are there{todo}"


def drift(package: Package) -> str:
    """Check that generated files are what would be generated now."""
    _only_ours(package)
    _recipe(package)
    changed = drifted(package.folder)
    if changed:
        raise BadPackage(
            f"{', '.join(changed)} not as generated; run zoo package --refresh"
        )
    return "description, record and README are as generated"


def scores(package: Package, *, strict: bool) -> str:
    """Check that scores lie within the bounds of the recipe."""
    _only_ours(package)
    recipe = _recipe(package)
    metrics = read_metrics(package.folder)
    if metrics is None:
        if strict:
            raise BadPackage("the package has not been scored; zoo evaluate does")
        raise NotApplicable("the package has not been scored")
    outcome = within(bounds_of(recipe, metrics), metrics)
    if outcome.missed:
        text = f"{outcome.sentence(recipe.name)}; outside: {', '.join(outcome.missed)}"
        raise BadPackage(text) if strict else NotApplicable(f"not published; {text}")
    return f"{outcome.of} bounds of the recipe hold"


def _recipe(package: Package) -> Recipe:
    """Return the declared recipe that a package was trained with."""
    name = str(package.zoo.get("recipe") or package.rdf.get("id"))
    recipe = declared_recipe(name)
    if recipe is None:
        raise NotApplicable(f"no recipe {name} is declared in this installation")
    return recipe


def _only_ours(package: Package) -> None:
    if not package.zoo:
        raise NotApplicable(FOREIGN)


def _published(package: Package) -> bool:
    specs = specs_folder()
    return specs is not None and package.folder.parent == specs
