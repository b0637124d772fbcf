"""What the weights of a package compute, each in a process that is confined."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.formats import BY_ENTRY, ONNX
from zoo.io.description import file_of
from zoo.verify import isolated
from zoo.verify.bounds import is_bounded
from zoo.verify.trials import NotApplicable, Trials

UNTESTED = ("tensorflow_js",)
"""Weights entries that bioimageio.core never runs."""


class Runs:
    """Runs of the weights of one package; each is made once and remembered.

    Parameters
    ----------
    trials
        Inputs, and the package that they are for.
    contract
        Of the package; None if it is not ours or cannot be read.
    scratch
        Folder for files that come about.
    entries
        Weights entries to run.
    trust
        Whether to run weights whatever operations they hold, as a program may run.
    """

    def __init__(
        self,
        trials: Trials,
        contract: Contract | None,
        scratch: Path,
        entries: Sequence[str],
        *,
        trust: bool,
    ) -> None:
        self.trials = trials
        self.package = trials.package
        self.contract = contract
        self.scratch = scratch
        self.entries = entries
        self.trust = trust
        self.answers: dict[str, dict[str, Any]] = {}

    def core_answer(self, key: str) -> dict[str, Any]:
        """Return what bioimageio.core answers; all questions go to one process."""
        if key not in self.answers:
            asked = dict(self._core_requests())
            answers = self.confined(list(asked.values()))
            self.answers |= dict(zip(asked, answers, strict=True))
        return self.answers[key]

    def _core_requests(self) -> Iterator[tuple[str, dict[str, Any]]]:
        folder = str(self.package.folder)
        for entry in self.entries:
            if entry in UNTESTED or not self.may_run(entry):
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
        contract = self.contract
        if not self.package.zoo or contract is None or not self.entries:
            return
        declared, larger = self.trials.tiles()
        entry = ONNX.entry if ONNX.entry in self.entries else self.entries[0]
        if not declared or not self.may_run(entry):
            return
        grid = contract.grid
        image = self.trials.resized(self.package.test_input(), {"b": 1} | larger)
        halos = {a: (grid.axes[a].halo or 0) * grid.scale(a) for a in declared}
        yield (
            "tiles",
            {
                "task": "tiles",
                "folder": folder,
                "entry": entry,
                "image": str(self.trials.saved("tiles", image)),
                "border": [2 * halos.get(a, 0) for a in grid.output_axes],
                "whole": not grid.is_fixed,
                "first": self._first_tile(declared, larger),
            },
        )

    def _first_tile(
        self, declared: dict[str, int], larger: dict[str, int]
    ) -> str | None:
        """Return what a network of one size makes of the first tile of a large image.

        The image begins with the test input, which is as large as a tile; its output
        is known.  Core moves the last tiles inwards, so that they lie on the first
        one's end: the part before them is kept.  Where a halo is cut off, core mirrors
        the image before, and nothing is known.
        """
        if self.contract is None:
            return None
        grid = self.contract.grid
        if not grid.is_fixed or any(grid.axes[a].halo for a in declared):
            return None
        output = self.package.test_output()
        for axis, letter in enumerate(grid.output_axes):
            if letter in declared:
                kept = (larger[letter] - declared[letter]) * grid.scale(letter)
                output = np.take(output, range(kept), axis=axis)
        return str(self.trials.saved("first", output))

    def _to_predict(self, entry: str, target: str) -> list[list[str]]:
        """Return the image that core shall predict, if it is one."""
        if entry not in BY_ENTRY:
            return []
        try:
            return [[str(self.trials.other_image()), target]]
        except (NotApplicable, BadPackage):  # no image, or none that can be read
            return []

    def may_run(self, entry: str) -> bool:
        """Say whether an entry holds but operations that compute, or is trusted."""
        return self.trust or is_bounded(self.package, entry)

    def confined(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the answers of a confined process to requests of `isolated`."""
        return isolated.run(requests, writable=[self.scratch], trust=self.trust)

    def runnable(self) -> list[str]:
        """Return the entries that we can run, and may."""
        return [
            entry for entry in self.entries if entry in BY_ENTRY and self.may_run(entry)
        ]

    def outputs(self, kind: str) -> list[np.ndarray]:
        """Return the raw outputs of a weights file for two inputs."""
        kinds = self.runnable()
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
                    "path": str(self.weights_file(k)),
                    "kind": k,
                    "runs": runs[k],
                }
                for k in kinds
            ]
            answers = self.confined(requests)
            self.answers |= {
                f"run {k}": answer for k, answer in zip(kinds, answers, strict=True)
            }
        answer = self.answers[f"run {kind}"]
        if answer.get("error"):
            raise BadPackage(f"{kind} does not run: {answer['error']}")
        return [np.load(target) for _, target in runs[kind]]

    def weights_file(self, kind: str) -> Path:
        """Return the file of a weights entry."""
        return self.package.path_of(file_of(self.package.weights[kind])[0])
