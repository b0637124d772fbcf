"""What was measured of a recording, to be compared with a package's training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One condition of a recording."""

    name: str
    """Name of the condition, that of `zoo.core.contract.Contract.training` where
    packages state a range for it."""
    value: float | None
    """What was measured; None where it could not be."""
    unit: str
    """Unit of the value, empty for a plain number."""
    text: str
    """What it is, in a microscopist's words."""
    limits: tuple[float, float] | None = None
    """Where the value should lie if the package states no range for it; None where it
    is only told."""
    note: str = ""
    """How it was measured, or why it could not be."""
