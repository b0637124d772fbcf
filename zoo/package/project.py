"""Where this project lives, for those who want to report or to change something."""

import tomllib
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "superres-zoo"


def repository() -> str | None:
    """Return the public address of the project; None as long as it states none.

    That is ``Repository`` among the addresses of ``pyproject.toml``, in an installed
    copy those of its metadata.
    """
    path = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if path.is_file():
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        found = project.get("urls", {}).get("Repository", "")
    else:
        lines = metadata.metadata(DISTRIBUTION).get_all("Project-URL") or []
        pairs = dict(line.split(", ", 1) for line in lines)
        found = pairs.get("Repository", "")
    return found.rstrip("/") or None
