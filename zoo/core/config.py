"""The base class of every declaration: frozen, validated, documented."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError


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
            New values.  A double underscore descends into a nested declaration:
            ``source__pixel_size_nm=110`` replaces ``source.pixel_size_nm``.

        Raises
        ------
        ValueError
            If a name is not a field, or a value breaks the rule of its field.

        Examples
        --------
        >>> class Lens(Config):
        ...     na: float = 1.4
        >>> Lens().override(na=1.2).na
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
            if not isinstance(child, Config):
                raise ValueError(
                    f"{type(self).__name__}.{head} holds a plain value; set it as "
                    f"{head}=..., not {head}__{next(iter(inner))}=..."
                )
            direct[head] = child.override(**inner)
        values = {name: getattr(self, name) for name in type(self).model_fields}
        try:
            return type(self)(**(values | direct))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ValueError(
                f"{type(self).__name__}.{where}: {first['msg']}, not {first['input']!r}"
            ) from error


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
    import json

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
