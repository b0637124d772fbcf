"""The base classes of every declaration: frozen, validated, documented."""

import json
import pkgutil
from abc import ABC
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from zoo.core.names import near


class Config(BaseModel):
    """A frozen declaration whose unknown fields are errors.

    The string under a field is its documentation: it becomes the JSON schema,
    the text of ``zoo show`` and the help of ``--set``.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        arbitrary_types_allowed=True,
    )

    def override(self, **changes: Any) -> Self:
        """Return a validated copy with some fields replaced.

        Parameters
        ----------
        **changes
            New values.  A double underscore descends into nested declarations,
            dictionaries and sequences: ``source__pixel_size_nm=110``,
            ``options__width=32``, ``budgets__cpu__stages__0__epochs=4``.

        Raises
        ------
        ValueError
            If a name is not a field, or a value breaks the rule of its field.

        Examples
        --------
        >>> class Lens(Config):
        ...     na: float = 1.4
        >>> class Microscope(Config):
        ...     lenses: tuple[Lens, ...] = (Lens(), Lens())
        >>> Microscope().override(lenses__1__na=1.2).lenses[1].na
        1.2
        """
        nested: dict[str, dict[str, Any]] = {}
        direct: dict[str, Any] = {}
        for key, value in changes.items():
            head, _, tail = key.partition("__")
            if head not in type(self).model_fields:
                raise ValueError(
                    f"{type(self).__name__} has no field {head!r}; its fields are "
                    f"{', '.join(sorted(type(self).model_fields))}"
                )
            if tail:
                nested.setdefault(head, {})[tail] = value
            else:
                direct[head] = value
        for head, inner in nested.items():
            child = direct.get(head, getattr(self, head))
            direct[head] = _changed(child, inner, f"{type(self).__name__}.{head}")
        values = {name: getattr(self, name) for name in type(self).model_fields}
        try:
            return type(self)(**(values | direct))
        except ValidationError as error:
            raise ValueError(f"{type(self).__name__}.{one_line(error)}") from error


class Kind(Config, ABC):
    """A declaration that is read back by its ``kind``.

    A base class names the folder in which its kinds live, one module each; reading a
    dictionary against the base gives an instance of the class whose ``kind`` it states.
    Nothing is registered: a class that has been defined, or lies in a module of the
    folder, is found.
    """

    home: ClassVar[str] = ""
    """Package whose modules, or module which, defines the kinds: ``zoo.tasks``."""

    kind: Any
    """What kind it is; each class fixes it by a `Literal`."""

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(
        cls, value: Any, handler: ModelWrapValidatorHandler[Self]
    ) -> "Self":
        if not isinstance(value, Mapping) or "kind" not in value or not cls._abstract():
            return handler(value)
        stated = cast("Mapping[str, Any]", value)
        return cls.find(str(stated["kind"])).model_validate(value)

    @classmethod
    def _abstract(cls) -> bool:
        return cls.model_fields["kind"].is_required()

    @classmethod
    def find(cls, kind: str) -> type[Self]:
        """Return the class of a kind.

        Raises
        ------
        ValueError
            If there is none; the message lists those that resemble it.
        """
        for found in cls.kinds():
            if found.model_fields["kind"].default == kind:
                return found
        known = sorted({str(c.model_fields["kind"].default) for c in cls.kinds()})
        raise ValueError(
            f"no {cls.__name__.lower()} is of the kind {kind!r}; {near(kind, known)}"
        )

    @classmethod
    def kinds(cls) -> Iterator[type[Self]]:
        """Yield the classes that can be read back, those of the folder included."""
        if cls.home:
            modules: list[str] = getattr(import_module(cls.home), "__path__", [])
            for entry in pkgutil.iter_modules(modules):
                import_module(f"{cls.home}.{entry.name}")
        seen = [cls]
        for known in seen:
            seen += [c for c in known.__subclasses__() if c not in seen]
            if not known._abstract():
                yield known


def _changed(child: Any, changes: dict[str, Any], where: str) -> Any:
    """Return a nested value with some of its parts replaced."""
    if isinstance(child, Config):
        return child.override(**changes)
    parts: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        head, _, tail = key.partition("__")
        parts.setdefault(head, {})[tail] = value
    if isinstance(child, Mapping):
        entries = dict(cast("Mapping[str, Any]", child))
        for name, inner in parts.items():
            if "" in inner:
                entries[name] = inner[""]
            elif name not in entries:
                raise ValueError(f"{where} has no {name!r}; {near(name, [*entries])}")
            else:
                entries[name] = _changed(entries[name], inner, f"{where}.{name}")
        return entries
    if isinstance(child, (tuple, list)):
        items = list(cast("tuple[Any, ...]", child))
        for name, inner in parts.items():
            if not name.isdecimal() or int(name) >= len(items):
                raise ValueError(
                    f"{where} has the entries 0 to {len(items) - 1}, not {name!r}"
                )
            place = int(name)
            items[place] = (
                inner[""]
                if "" in inner
                else _changed(items[place], inner, f"{where}.{name}")
            )
        return tuple(items)
    name = where.rpartition(".")[2]
    raise ValueError(
        f"{where} holds a plain value; set it as {name}=..., "
        f"not {name}__{next(iter(changes))}=..."
    )


def is_left_out(value: object) -> bool:
    """Say whether records leave a field out, as those of versions without it do."""
    return value is None


def one_line(error: ValidationError) -> str:
    """Return the first thing that is wrong with a declaration: place, rule, value."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no such field"
    return f"{where}: {first['msg']}, not {first['input']!r}"


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` strings of a command line into override arguments.

    Values are read as JSON where they are JSON, as text otherwise.  Dots and
    double underscores both descend into nested declarations.

    Raises
    ------
    ValueError
        If a string holds no ``=``.

    Examples
    --------
    >>> parse_settings(["source.psf_sigma_nm=[100,120]", "name=mine"])
    {'source__psf_sigma_nm': [100, 120], 'name': 'mine'}
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ValueError(f"--set takes KEY=VALUE, not {setting!r}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        changes[key.strip().replace(".", "__")] = value
    return changes
