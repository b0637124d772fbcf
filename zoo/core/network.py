"""What a published architecture is, stated without building it."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pydantic import field_serializer, field_validator

from zoo.core.config import Config


class Paper(Config):
    """A publication, as it is cited everywhere in the project."""

    authors: str
    """Authors as printed, abbreviated with "et al." beyond three."""
    title: str
    """Title of the publication."""
    journal: str
    """Journal, volume and first page."""
    year: int
    """Year of publication."""
    doi: str
    """DOI without a resolver in front of it."""

    @property
    def citation(self) -> str:
        """One line for a list of references."""
        return f"{self.authors}. {self.title}. {self.journal} ({self.year})."


class Network(Config):
    """An architecture: where it comes from and how to build it."""

    name: str
    """The paper's own name in snake case, or a name of ours for what is not in it."""
    paper: Paper
    """The publication that introduced it."""
    build: Callable[..., Any]
    """Function returning an uncompiled `keras.Model`; defaults are the paper's."""
    parameters: int
    """Trainable parameters with the builder's defaults."""
    published: bool = True
    """Whether the graph is that of the paper; otherwise a variant of our own."""
    variant_of: str | None = None
    """Published network that a variant is built on; packages may be called by it."""
    note: str = ""
    """What a reader must know about the architecture, in one sentence."""
    prepare: Callable[[Any], None] | None = None
    """Function that changes weights before they are trained, if they are random or were
    those of a network with one channel."""

    @field_serializer("build", "prepare")
    def _name_of_function(self, function: Callable[..., Any] | None) -> str | None:
        if function is None:
            return None
        return f"{function.__module__}:{function.__qualname__}"

    @field_validator("build", "prepare", mode="before")
    @classmethod
    def _function_of_name(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        module, _, name = value.partition(":")
        if module not in sys.modules and not module.startswith("zoo."):
            raise ValueError(f"names {value}, which is no function of this project")
        known = vars(import_module(module))
        declared = [n for n in known.values() if isinstance(n, Network)]
        for network in declared:  # nothing else is ever called
            for function in (network.build, network.prepare):
                if function is not None and function.__qualname__ == name:
                    return function
        raise ValueError(f"names {value}, which no network of that module declares")
