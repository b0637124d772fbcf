"""The checks of a package, each a question with an answer or a reason to fail."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.errors import BadPackage
from zoo.io.packages import Package, specs_folder
from zoo.package import isolated
from zoo.package.archive import sha256
from zoo.package.card import find_metric
from zoo.package.compare import TOLERANCE, relative_error
from zoo.package.document import drifted, missing_sections, unwritten_sections
from zoo.package.rules import java_arithmetic, plain_style
from zoo.package.source import declared_recipe, read_metrics
from zoo.package.trials import NotApplicable, Trials

RUNNABLE = ("keras_v3", "onnx", "tensorflow_saved_model_bundle")
"""Weights entries whose files are run and compared."""

UNTESTED = ("tensorflow_js",)
"""Weights entries that bioimageio.core never runs."""

_FOREIGN = "a rule of this zoo; another program wrote this package"


class Examination:
    """The checks of one package; each returns what it found or raises."""

    def __init__(
        self, package: Package, scratch: Path, entries: Sequence[str] | None
    ) -> None:
        self.package = package
        self.scratch = scratch
        self.trials = Trials(package, scratch)
        self.rdf: dict[str, Any] = package.rdf
        self.ours = bool(package.zoo)
        self.entries = [
            name
            for name, entry in self.rdf["weights"].items()
            if entry and (entries is None or name in entries)
        ]
        self.core: dict[str, Path] = {}
        self.answers: dict[str, dict[str, Any]] = {}

    def checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the name of each check and the function that does it."""
        yield "style of the description", self.style
        yield "hashes", self.hashes
        yield "sizes in Java consumers", self.java
        yield "README", self.readme
        for entry in self.entries:
            yield f"official test of {entry}", lambda entry=entry: self.official(entry)
        yield "tiles of bioimageio.core", self.tiles
        yield "our predictor", self.predictor
        yield "keras_v3 without our code", self.fresh
        yield "formats against each other", self.formats
        yield "generated files", self.drift
        yield "scores", self.scores

    def style(self) -> str:
        """Check that the description is in the style that all consumers read."""
        self._only_ours()
        _none(plain_style(self.rdf))
        return f"plain style of format {self.rdf['format_version']}"

    def hashes(self) -> str:
        """Check that the files are those that the description was made for."""
        recorded = list(_hashed_files(self.rdf))
        if not recorded:
            raise NotApplicable("the description records none")
        wrong = []
        for name, expected in recorded:
            path = self.package.folder / name
            if not path.is_file():
                wrong.append(f"{name} is missing")
            elif sha256(path) != expected:
                wrong.append(
                    f"{name} is not the file that the description was made for"
                )
        _none(wrong)
        return f"{len(recorded)} files are those that the description names"

    def java(self) -> str:
        """Check that consumers in Java find the sizes that the specification means."""
        self._only_ours()
        _none(java_arithmetic(self.rdf))
        return "output sizes and halos agree with the specification"

    def readme(self) -> str:
        """Check that the README has all sections; published ones must be written."""
        self._only_ours()
        text = (self.package.folder / "README.md").read_text(encoding="utf-8")
        missing = missing_sections(text)
        if missing:
            raise BadPackage(f"README.md lacks the sections {', '.join(missing)}")
        unwritten = unwritten_sections(text)
        if unwritten and self._published():
            raise BadPackage(f"nobody has written {', '.join(unwritten)} in README.md")
        todo = f"; still to be written: {', '.join(unwritten)}" if unwritten else ""
        return f"all sections are there{todo}"

    def official(self, entry: str) -> str:
        """Check that bioimageio.core passes the package with this weights entry."""
        if entry in UNTESTED:
            raise NotApplicable("bioimageio.core does not run this format")
        target = self.scratch / f"core-{entry}.npy"
        answer = self._core_answer(f"official {entry}")
        if answer.get("error"):
            raise BadPackage(f"bioimageio.core stopped: {answer['error']}")
        if not answer["passed"]:
            raise BadPackage("; ".join(answer["errors"]) or "failed without a reason")
        if target.is_file():
            self.core[entry] = target
        return "bioimageio.core reproduces the test output"

    def tiles(self) -> str:
        """Check that bioimageio.core cuts a larger image into tiles that join."""
        self._only_ours()
        zoo = self.package.zoo
        size, halo, scale = zoo.get("tile"), zoo.get("halo", 0), zoo.get("scale", 1)
        if size is None:
            raise NotApplicable("the size is free")
        if not self.entries:
            raise NotApplicable("there is no weights entry to run")
        edge = self.trials.tiled_edge()
        answer = self._core_answer("tiles")
        if answer.get("error"):
            raise BadPackage(f"bioimageio.core stopped: {answer['error']}")
        expected = [edge * scale for _ in self.trials.spatial()]
        found = [answer["shape"][axis] for axis in self.trials.spatial()]
        if found != expected:
            raise BadPackage(f"blocks join to {found} px instead of {expected}")
        text = f"{edge} px in tiles of {size} px"
        alike = answer["difference"] <= 10 * TOLERANCE
        if not halo:
            if not alike:
                raise BadPackage(
                    f"the first tile differs from the same picture alone by "
                    f"{answer['difference']:.1e} of the largest value"
                )
            return f"{text} join; the network has global context, seams may show"
        if not alike:
            raise BadPackage(
                f"tiles differ from the whole by {answer['difference']:.1e} of the "
                f"largest value; the halo of {halo} px is too small"
            )
        return f"{text} equal the whole image to {answer['difference']:.0e}"

    def predictor(self) -> str:
        """Check that our predictor finds what bioimageio.core finds."""
        if not self.core:
            raise NotApplicable(
                "there is no prediction of bioimageio.core to compare with"
            )
        if not {"onnx", "keras_v3"} & set(self.entries):
            raise NotApplicable("our predictor runs onnx and keras_v3")
        from zoo.predict.predictor import Predictor

        errors = []
        engine = "onnx" if "onnx" in self.entries else "keras"
        reference = "onnx" if engine == "onnx" else "keras_v3"
        model = Predictor(
            self.package, engine=engine, normalization="frame", error_map=False
        )
        cases = [
            (np.load(self.trials.other_image()), np.load(self.core[reference]), "core"),
            (self.package.test_input(), self.package.test_output(), "the test output"),
        ]
        for image, expected, what in cases:
            found = self.trials.predicted(model, image)
            error = relative_error(found, self.trials.frames(expected))
            if not error <= 10 * TOLERANCE:
                raise BadPackage(
                    f"our predictor differs from {what} by {error:.1e} of the largest "
                    "value"
                )
            errors.append(error)
        return f"equals bioimageio.core and the test output to {max(errors):.0e}"

    def fresh(self) -> str:
        """Check that the Keras file needs nothing of this project."""
        if "keras_v3" not in self.entries:
            raise NotApplicable("there is no keras_v3 entry to run")
        self._run("keras_v3")
        return "loads and runs in a process that cannot import zoo"

    def formats(self) -> str:
        """Check that all formats agree at two sizes and batch sizes."""
        kinds = [entry for entry in self.entries if entry in RUNNABLE]
        if len(kinds) < 2:
            raise NotApplicable(f"only {', '.join(kinds) or 'other formats'} to run")
        outputs = {kind: self._run(kind) for kind in kinds}
        first, *others = kinds
        worst = 0.0
        for kind in others:
            for found, expected in zip(outputs[kind], outputs[first], strict=True):
                error = relative_error(found, expected)
                worst = max(worst, error)
                if not error <= TOLERANCE:
                    raise BadPackage(
                        f"{kind} differs from {first} by {error:.1e} of the largest "
                        f"value for an output of {expected.shape}"
                    )
        shapes = " and ".join(str(output.shape) for output in outputs[first])
        return f"{', '.join(kinds)} agree to {worst:.0e} for outputs {shapes}"

    def drift(self) -> str:
        """Check that generated files are what would be generated now."""
        self._only_ours()
        name = str(self.rdf.get("id"))
        if declared_recipe(name) is None:
            raise NotApplicable(f"no recipe {name} is declared in this installation")
        changed = drifted(self.package.folder)
        if changed:
            raise BadPackage(
                f"{', '.join(changed)} not as generated; run zoo package --refresh"
            )
        return "description, record and README are as generated"

    def scores(self) -> str:
        """Check that scores lie within the bounds of the recipe."""
        self._only_ours()
        recipe = declared_recipe(str(self.rdf.get("id")))
        metrics = read_metrics(self.package.folder)
        if recipe is None or metrics is None:
            raise NotApplicable("the package has not been scored")
        low = []
        for bound in recipe.acceptance:
            value = find_metric(metrics, bound.metric)
            if value is None or not bound.holds(value):
                low.append(f"{bound.metric} = {value}")
        if low and self._published():
            raise BadPackage(f"outside what the recipe requires: {', '.join(low)}")
        if low:
            raise NotApplicable(
                f"not published; outside the recipe's bounds: {', '.join(low)}"
            )
        return f"{len(recipe.acceptance)} bounds of the recipe hold"

    def _only_ours(self) -> None:
        if not self.ours:
            raise NotApplicable(_FOREIGN)

    def _published(self) -> bool:
        specs = specs_folder()
        return specs is not None and self.package.folder.parent == specs

    def _core_answer(self, key: str) -> dict[str, Any]:
        """Return what bioimageio.core answers; all questions go to one process."""
        if not self.answers:
            asked = dict(self._core_requests())
            answers = isolated.run(list(asked.values()), network=not self.ours)
            self.answers = dict(zip(asked, answers, strict=True))
        return self.answers[key]

    def _core_requests(self) -> Iterator[tuple[str, dict[str, Any]]]:
        folder = str(self.package.folder)
        for entry in self.entries:
            if entry in UNTESTED:
                continue
            target = str(self.scratch / f"core-{entry}.npy")
            yield (
                f"official {entry}",
                {
                    "task": "official",
                    "folder": folder,
                    "entry": entry,
                    "predict": self._to_predict(entry, target),
                },
            )
        zoo = self.package.zoo
        if zoo.get("tile") is None or not self.entries:
            return
        edge = self.trials.tiled_edge()
        image = self.trials.resized(self.package.test_input(), (1, edge, edge))
        border = [0] * image.ndim
        for axis in self.trials.spatial():
            border[axis] = 2 * zoo.get("halo", 0) * zoo.get("scale", 1)
        yield (
            "tiles",
            {
                "task": "tiles",
                "folder": folder,
                "entry": "onnx" if "onnx" in self.entries else self.entries[0],
                "image": str(self.trials.saved("tiles", image)),
                "border": border,
                "first": self._first_tile(),
            },
        )

    def _first_tile(self) -> str | None:
        """Return what a network of one size makes of the first tile of a large image.

        The image begins with the test input, which is as large as a tile; its output
        is known.  Core moves the last tiles inwards, so that they lie on the first
        one's end: the part before them is kept.
        """
        zoo = self.package.zoo
        if zoo.get("halo"):
            return None
        kept = (self.trials.tiled_edge() - zoo["tile"]) * zoo.get("scale", 1)
        output = self.package.test_output()
        for axis in self.trials.spatial():
            output = np.take(output, range(kept), axis=axis)
        return str(self.trials.saved("first", output))

    def _to_predict(self, entry: str, target: str) -> list[list[str]]:
        """Return the image that core shall predict, if it is one."""
        if entry not in RUNNABLE:
            return []
        try:
            return [[str(self.trials.other_image()), target]]
        except (NotApplicable, BadPackage):  # no image, or none that can be read
            return []

    def _run(self, kind: str) -> list[np.ndarray]:
        """Return the raw outputs of a weights file for `_inputs`."""
        kinds = [entry for entry in self.entries if entry in RUNNABLE]
        runs = {
            k: [
                [str(p), str(p.with_name(f"{k}-{p.name}"))]
                for p in self.trials.inputs()
            ]
            for k in kinds
        }
        if f"run {kind}" not in self.answers:
            requests = [
                {
                    "task": "weights",
                    "path": str(self._weights_file(k)),
                    "kind": k,
                    "runs": runs[k],
                }
                for k in kinds
            ]
            answers = isolated.run(requests)
            self.answers |= {
                f"run {k}": answer for k, answer in zip(kinds, answers, strict=True)
            }
        answer = self.answers[f"run {kind}"]
        if answer.get("error"):
            raise BadPackage(f"{kind} does not run: {answer['error']}")
        return [np.load(target) for _, target in runs[kind]]

    def _weights_file(self, kind: str) -> Path:
        return self.package.path_of(self.package.weights[kind]["source"])


def _none(findings: list[str]) -> None:
    if findings:
        raise BadPackage("; ".join(findings))


def _hashed_files(value: Any) -> Iterator[tuple[str, str]]:
    """Yield local files of a description with the hash that it records."""
    if isinstance(value, dict):
        source, digest = value.get("source"), value.get("sha256")
        if isinstance(source, str) and isinstance(digest, str) and "://" not in source:
            yield source, digest
        for item in value.values():
            yield from _hashed_files(item)
    elif isinstance(value, list):
        for item in value:
            yield from _hashed_files(item)
