"""The card of a package that a user trained: what it is, what for, what it lacks."""

import json

from zoo.core.contract import conditions
from zoo.core.names import label
from zoo.package.acceptance import accepted
from zoo.package.own import ANONYMOUS
from zoo.package.trained import Trained

OWN_PAIRS = "measured_images"
"""Kind of the source that reads a user's own pairs of images."""
TEST_SET = (
    "The frozen test set is that of the recipe, made under its conditions: where they "
    "were changed for the training, the scores say little."
)


def blocks(trained: Trained) -> dict[str, str]:
    """Return the generated parts of the card that only such a package has."""
    if trained.own is None:
        return {}
    recipe = trained.recipe
    within = "; ".join(_condition(*item) for item in conditions(recipe.source).items())
    outcome = accepted(trained)
    limits = [f"* {line}" for line in _limits(trained)]
    not_for = [
        "* Recordings outside of these conditions, which the network has never seen.",
        f"* What `{recipe.name}` is not for: `zoo show {recipe.name}`.",
    ]
    if outcome is None or outcome.missed:
        not_for.insert(0, "* Results that somebody relies on: see Limits.")
    return {
        "purpose": f"{recipe.summary}\n\n{_origin(trained)}",
        "intended": f"* Recordings under the conditions of its training: {within}.",
        "not-for": "\n".join(not_for),
        "data": f"{_pairs(trained)} {TEST_SET}",
        "limits": "\n".join(limits),
    }


def summary(trained: Trained) -> str:
    """Return what the description says about the package, one or two sentences."""
    recipe = trained.recipe
    return (
        f"{recipe.summary.rstrip('.')}. Trained by its user with the recipe of "
        f"{recipe.name}; not the published package."
    )


def repeat(trained: Trained) -> str:
    """Return the commands that make the package again."""
    run = trained.run
    words = ["zoo train", trained.recipe.name]
    if run.get("budget"):
        words += ["--budget", str(run["budget"])]
    if _on_own_pairs(trained):
        words.append("--data PAIRS")
    words += [f"--set {setting}" for setting in _settings(trained)]
    if run.get("start"):
        words.append("--start WEIGHTS")
    name = trained.own.name if trained.own else trained.recipe.name
    return f"`{' '.join(words)} -o RUN` and `zoo package RUN --name {name}`"


def _origin(trained: Trained) -> str:
    changed = ", ".join(f"`{setting}`" for setting in _settings(trained))
    authors = trained.own.authors if trained.own else ()
    who = "" if authors == (ANONYMOUS,) else f" by {', '.join(authors)}"
    return (
        f"**This is not the published package `{trained.recipe.name}`.** It was "
        f"trained{who} with the recipe of that package"
        + (" on own pairs of images" if _on_own_pairs(trained) else "")
        + (f", changed in {changed}." if changed else _unchanged(trained))
    )


def _unchanged(trained: Trained) -> str:
    return "." if _on_own_pairs(trained) else ", unchanged."


def _on_own_pairs(trained: Trained) -> bool:
    return trained.recipe.source.kind == OWN_PAIRS


def _pairs(trained: Trained) -> str:
    """Return where training pairs came from."""
    if _on_own_pairs(trained):
        return (
            "Training pairs were images of its maker's microscopes, registered by "
            "phase correlation; some files were held out."
        )
    kind = trained.recipe.source.kind
    return f"Training pairs came from the source `{kind}` under the conditions below."


def _comparison(trained: Trained) -> list[str]:
    """Return what the training on own pairs did for held-out images."""
    found = trained.run.get("comparison")
    if not found:
        return []
    before, after = found["before"], found["after"]
    return [
        f"On {found['images']} held-out images of its maker PSNR went from "
        f"{before['psnr']:.2f} to {after['psnr']:.2f} dB and SSIM from "
        f"{before['ssim']:.3f} to {after['ssim']:.3f}; it became better on "
        f"{found['better']}."
    ]


def _limits(trained: Trained) -> list[str]:
    outcome = accepted(trained)
    if outcome is None:
        return [*_comparison(trained), "It has not been scored; `zoo evaluate` does."]
    lines = [*_comparison(trained), f"It {outcome.sentence(trained.recipe.name)}."]
    return lines + [f"Outside its bound: {line}." for line in outcome.missed]


def _settings(trained: Trained) -> list[str]:
    """Return what was changed, as the command line takes it."""
    return [
        f"{key.replace('__', '.')}={_plain(value)}"
        for key, value in sorted(trained.run.get("settings", {}).items())
    ]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _condition(name: str, bounds: tuple[float, float]) -> str:
    words, unit = label(name)
    low, high = bounds
    span = f"{low:g}" if low == high else f"{low:g}–{high:g}"
    return f"{words} {span} {unit}".strip()
