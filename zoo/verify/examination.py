"""The checks of a package, each a question with an answer or a reason to fail."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.files import sha256
from zoo.core.formats import KERAS, ONNX
from zoo.io.package import Package
from zoo.predict.contract import read_contract
from zoo.verify.bounds import check_paths, check_weights, is_known
from zoo.verify.compare import absent_kernels, relative_error
from zoo.verify.runs import UNTESTED, Runs
from zoo.verify.trials import NotApplicable, Trials, as_frames

Question = tuple[str, Callable[[], str]]
"""Name of a check and the function that does it, which answers or raises."""

FOREIGN = "a rule of this zoo; another program wrote this package"
"""Why a check does not apply."""

PROGRAMS = 1e-4
"""Largest difference of two programs relative to the largest output, where a contract
does not allow more: they round while they scale and tile, too, as two formats of the
network alone do not."""


class Examination:
    """The checks of one package; each returns what it found or raises.

    A package that names files outside its folder is refused as a whole.

    Parameters
    ----------
    package
        The package.
    scratch
        Folder for files that come about.
    entries
        Weights entries to run; all by default.
    trust
        Whether to run weights whatever operations they hold, as a program may run.
    """

    def __init__(
        self,
        package: Package,
        scratch: Path,
        entries: Sequence[str] | None,
        *,
        trust: bool = False,
    ) -> None:
        check_paths(package)
        self.trust = trust
        self.package = package
        self.scratch = scratch
        self.rdf: dict[str, Any] = package.rdf
        self.ours = bool(package.zoo)
        self.contract: Contract | None = None
        self.unread: BadPackage | None = None
        try:
            self.contract = read_contract(package)
        except BadPackage as error:
            self.unread = error
        self.trials = Trials(package, self.contract, scratch)
        self.entries = [
            name
            for name, entry in self.rdf["weights"].items()
            if entry and (entries is None or name in entries)
        ]
        self.runs = Runs(self.trials, self.contract, scratch, self.entries, trust=trust)
        self.core: dict[str, Path] = {}

    def checks(self) -> Iterator[Question]:
        """Yield the name of each check and the function that does it."""
        yield "contract", self.promise
        yield "hashes", self.hashes
        for entry in self.entries:
            yield f"official test of {entry}", lambda entry=entry: self.official(entry)
        yield "tiles of bioimageio.core", self.tiles
        yield "our predictor", self.predictor
        yield "keras_v3 without our code", self.fresh
        yield "formats against each other", self.formats
        yield "kernels of all formats", self.kernels

    @property
    def tolerance(self) -> float:
        """Largest difference of two formats, relative to the largest output."""
        fields = Contract.model_fields
        contract = self.contract
        return fields["tolerance"].default if contract is None else contract.tolerance

    @property
    def slack(self) -> float:
        """Largest difference of two programs, relative to the largest output."""
        return max(PROGRAMS, self.tolerance)

    def promise(self) -> str:
        """Check that the description states how to feed the network."""
        if self.unread is not None:
            if self.ours:
                raise self.unread
            raise NotApplicable(str(self.unread))
        return f"read as version {self.package.zoo.get('version', 'of others')}"

    def hashes(self) -> str:
        """Check that the files are those that the description was made for."""
        recorded = list(_hashed_files(self.rdf))
        if not recorded:
            raise NotApplicable("the description records none")
        wrong = []
        for name, expected in recorded:
            path = self.package.path_of(name)
            if not path.is_file():
                wrong.append(f"{name} is missing")
            elif sha256(path) != expected:
                wrong.append(
                    f"{name} is not the file that the description was made for"
                )
        if wrong:
            raise BadPackage("; ".join(wrong))
        return f"{len(recorded)} files are those that the description names"

    def official(self, entry: str) -> str:
        """Check that bioimageio.core passes the package with this weights entry."""
        if entry in UNTESTED:
            raise NotApplicable("bioimageio.core does not run this format")
        if not self.trust:
            if not is_known(entry):
                raise NotApplicable(
                    "a program, not a graph that can be looked into; it was not run "
                    "(--trust runs it with your rights)"
                )
            check_weights(self.package, entry)
        target = self.scratch / f"core-{entry}.npy"
        answer = self.runs.core_answer(f"official {entry}")
        if answer.get("error"):
            raise BadPackage(f"bioimageio.core stopped: {answer['error']}")
        if not answer["passed"]:
            raise BadPackage("; ".join(answer["errors"]) or "failed without a reason")
        if target.is_file():
            self.core[entry] = target
        return "bioimageio.core reproduces the test output"

    def tiles(self) -> str:
        """Check that bioimageio.core cuts a larger image into tiles that join."""
        if not self.ours or self.contract is None:
            raise NotApplicable(
                "a rule of this zoo; another program wrote this package"
            )
        declared, larger = self.trials.tiles()
        if not declared:
            raise NotApplicable("no length is declared along which it may be cut")
        if not self.entries:
            raise NotApplicable("there is no weights entry to run")
        answer = self.runs.core_answer("tiles")
        if answer.get("error"):
            raise BadPackage(f"bioimageio.core stopped: {answer['error']}")
        grid = self.contract.grid
        expected = {a: n * grid.scale(a) for a, n in larger.items()}
        shape = dict(zip(grid.output_axes, answer["shape"], strict=True))
        joined = {a: shape[a] for a in expected}
        if joined != expected:
            raise BadPackage(f"blocks join to {joined} px instead of {expected}")
        text = f"{_lengths(larger)} in tiles of {_lengths(declared)}"
        difference = answer["difference"]
        if difference is None:
            return f"{text} join"
        alike = difference <= self.slack
        if grid.is_fixed:
            if not alike:
                raise BadPackage(
                    f"the first tile differs from the same image alone by "
                    f"{difference:.1e} of the largest value"
                )
            return f"{text} join; the network has global context, seams may show"
        if not alike:
            halo = {a: grid.axes[a].halo for a in larger}
            raise BadPackage(
                f"tiles differ from the whole by {difference:.1e} of the "
                f"largest value; the halo of {_lengths(halo)} is too small"
            )
        return f"{text} equal the whole image to {difference:.0e}"

    def predictor(self) -> str:
        """Check that our predictor computes what bioimageio.core computes."""
        if not self.core:
            raise NotApplicable(
                "there is no prediction of bioimageio.core to compare with"
            )
        form = next((f for f in (ONNX, KERAS) if f.entry in self.core), None)
        if form is None or self.contract is None:
            raise NotApplicable("our predictor runs onnx and keras_v3")
        from zoo.predict.predictor import Predictor

        errors = []
        model = Predictor(self.package, engine=form.name)
        cases = [
            (
                np.load(self.trials.other_image()),
                np.load(self.core[form.entry]),
                "core",
            ),
            (self.package.test_input(), self.package.test_output(), "the test output"),
        ]
        grid = self.contract.grid
        for image, tensor, what in cases:
            output = model.forward(as_frames(image, grid.input_axes))
            expected = as_frames(tensor, grid.output_axes)
            error = relative_error(np.asarray(output), expected)
            if not error <= self.slack:
                raise BadPackage(
                    f"our predictor differs from {what} by {error:.1e} of the largest "
                    "value"
                )
            errors.append(error)
        return f"equals bioimageio.core and the test output to {max(errors):.0e}"

    def fresh(self) -> str:
        """Check that the Keras file needs nothing of this project."""
        if KERAS.entry not in self.entries:
            raise NotApplicable(f"there is no {KERAS.entry} entry to run")
        self.runs.outputs(KERAS.entry)
        return "loads and runs in a process that cannot import zoo"

    def formats(self) -> str:
        """Check that all formats agree at two sizes and batch sizes."""
        kinds = self.runs.runnable()
        if len(kinds) < 2:
            raise NotApplicable(f"only {', '.join(kinds) or 'other formats'} to run")
        outputs = {kind: self.runs.outputs(kind) for kind in kinds}
        first, *others = kinds
        worst = 0.0
        for kind in others:
            for output, expected in zip(outputs[kind], outputs[first], strict=True):
                error = relative_error(output, expected)
                worst = max(worst, error)
                if not error <= self.tolerance:
                    raise BadPackage(
                        f"{kind} differs from {first} by {error:.1e} of the largest "
                        f"value for an output of {expected.shape}; at most "
                        f"{self.tolerance:g} is allowed"
                    )
        shapes = " and ".join(str(output.shape) for output in outputs[first])
        return f"{', '.join(kinds)} agree to {worst:.0e} for outputs {shapes}"

    def kernels(self) -> str:
        """Check that all formats hold the kernels of the Keras file."""
        if not self.ours:
            raise NotApplicable(
                "a rule of this zoo; another program wrote this package"
            )
        kinds = self.runs.runnable()
        if KERAS.entry not in kinds or len(kinds) < 2:
            raise NotApplicable(f"there is no format beside {KERAS.entry} to compare")
        requests = [
            {
                "task": "constants",
                "path": str(self.runs.weights_file(kind)),
                "kind": kind,
                "target": str(self.scratch / f"constants-{kind}.npz"),
            }
            for kind in kinds
        ]
        tensors: dict[str, dict[str, np.ndarray]] = {}
        for kind, request, answer in zip(
            kinds, requests, self.runs.confined(requests), strict=True
        ):
            if answer.get("error"):
                raise BadPackage(f"{kind} cannot be read: {answer['error']}")
            with np.load(request["target"]) as arrays:
                tensors[kind] = dict(arrays)
        kernels = {k: v for k, v in tensors[KERAS.entry].items() if v.ndim > 1}
        for kind in kinds:
            absent = absent_kernels(kernels, tensors[kind].values())
            if absent:
                raise BadPackage(
                    f"{kind} does not hold {len(absent)} of {len(kernels)} kernels of "
                    f"{KERAS.entry}, such as {absent[0]}; export it again"
                )
        return f"{len(kernels)} kernels are the same in {', '.join(kinds)}"


def _lengths(lengths: dict[str, Any]) -> str:
    """Return lengths in few words.

    Examples
    --------
    >>> _lengths({"y": 64, "x": 64}), _lengths({"z": 8, "y": 64})
    ('64 px', '8 (z) x 64 (y) px')
    """
    if len(set(lengths.values())) == 1:
        return f"{next(iter(lengths.values()))} px"
    return " x ".join(f"{n} ({letter})" for letter, n in lengths.items()) + " px"


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
