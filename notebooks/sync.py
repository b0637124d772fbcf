"""Notebooks from their sources: ``python notebooks/sync.py`` after every change.

A source, ``notebooks/NAME.py``, is a script in the percent format of jupytext: ``# %%``
begins a cell, ``# %% [markdown]`` one of text, and a comment that begins with ``# !`` is
a shell command of the notebook alone.  A line ``# %% shared: PART word=value`` stands for
the cells of ``shared/PART.py``, in which ``$word`` is the value and ``$notebook`` the name
of the source with hyphens.  ``NAME.ipynb`` is generated, and so is
``dl4miceverywhere/NAME/configuration.yaml``.  `--check` only says whether they are up to
date, `--script NAME` prints the whole script.
"""

import ast
import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path
from string import Template
from typing import Any

from zoo.package.project import repository

HERE = Path(__file__).parent
LONGEST_CELL = 15
"""Most lines of code in a cell: more is a function that the package lacks."""
COLAB = "https://colab.research.google.com"
BADGE = f"{COLAB}/assets/colab-badge.svg"


def sources() -> list[Path]:
    """Return the scripts that notebooks are made of."""
    return sorted(path for path in HERE.glob("*.py") if path.name != "sync.py")


def script(path: Path) -> str:
    """Return the whole script of a source, with the cells that sources share.

    Raises
    ------
    FileNotFoundError
        If there is no such shared part.
    KeyError
        If it needs a word that the line does not give.
    """

    def part(line: re.Match[str]) -> str:
        name, *pairs = line[1].split()
        values = dict(pair.split("=", 1) for pair in pairs)
        values["notebook"] = path.stem.replace("_", "-")
        text = (HERE / "shared" / f"{name}.py").read_text(encoding="utf-8")
        return Template(text[text.index("# %%") :]).substitute(values).rstrip()

    text = path.read_text(encoding="utf-8")
    return re.sub(r"^# %% shared: (.+)$", part, text, flags=re.MULTILINE)


def cells(text: str) -> list[tuple[str, str]]:
    r"""Return kind and contents of the cells of a script.

    Examples
    --------
    >>> cells("# %% [markdown]\n# # Title\n# %%\n# !ls\nx = 1\n")
    [('markdown', '# Title'), ('code', '!ls\nx = 1')]
    """
    found: list[tuple[str, str]] = []
    for part in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        if head.strip() == "[markdown]":
            lines = [re.sub(r"^# ?", "", line) for line in body.splitlines()]
            found.append(("markdown", "\n".join(lines).strip()))
        else:
            lines = [re.sub(r"^# !", "!", line) for line in body.splitlines()]
            found.append(("code", "\n".join(lines).strip()))
    return found


def notebook(path: Path, address: str | None) -> dict[str, Any]:
    """Return a notebook without outputs, the same for equal sources."""
    made: list[dict[str, Any]] = []
    parts = cells(script(path))
    if address is not None:
        link = f"{COLAB}/github/{address.split('github.com/')[-1]}/blob/main"
        badge = f"[![Open in Colab]({BADGE})]({link}/notebooks/{path.stem}.ipynb)"
        parts.insert(0, ("markdown", badge))
    for number, (kind, text) in enumerate(parts):
        key = hashlib.sha256(f"{number} {text}".encode()).hexdigest()[:8]
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": key,
            "metadata": {},
            "source": text.splitlines(keepends=True),
        }
        if kind == "code":
            # Colab shows the form and folds the code away
            cell["metadata"] = {"cellView": "form"} if "@title" in text else {}
            cell |= {"execution_count": None, "outputs": []}
        made.append(cell)
    return {
        "cells": made,
        "metadata": {
            "accelerator": "GPU",
            "colab": {"provenance": [], "toc_visible": True},
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def configuration(path: Path, address: str | None) -> str:
    """Return the description that DL4MicEverywhere and bioimage.io read.

    Files are named by their place in the repository as long as that has no address.
    """
    import yaml

    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))
    version = project["project"]["version"]
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    title, _, about = docstring.partition("\n")
    raw = "" if address is None else f"{address}/raw/main/"
    place = f"{raw}notebooks/{path.stem}.ipynb"
    content: dict[str, Any] = {
        "type": "application",
        "name": title.rstrip("."),
        "description": " ".join(about.split()),
        "version": version,
        "license": project["project"]["license"],
        "authors": [{"name": a["name"]} for a in project["project"]["authors"]],
        "tags": ["colab", "notebook", "super-resolution", "dl4miceverywhere"],
        "download_url": place,
        "config": {
            "dl4miceverywhere": {
                "description": title.rstrip("."),
                "notebook_url": place,
                "requirements_url": f"{raw}requirements.lock",
                "notebook_version": version,
                "dl4miceverywhere_version": "2.2.0",
                "python_version": "3.11",
                "ubuntu_version": "22.04",
                "cuda_version": "12.3.2",
                "sections_to_remove": "1.1. 2.1.",
            }
        },
    }
    if address is not None:
        content["git_repo"] = address
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=88)


def generated() -> dict[Path, str]:
    """Return the text of every generated file."""
    address = repository()
    files: dict[Path, str] = {}
    for path in sources():
        made = notebook(path, address)
        target = path.with_suffix(".ipynb")
        files[target] = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        described = HERE / "dl4miceverywhere" / path.stem / "configuration.yaml"
        files[described] = configuration(path, address)
    return files


def main(arguments: list[str]) -> int:
    """Write the generated files, or say which are not up to date."""
    if "--script" in arguments:
        print(script(HERE / f"{arguments[-1]}.py"), end="")
        return 0
    stale = [
        path
        for path, text in generated().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(HERE)} is not as generated")
        return int(bool(stale))
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generated()[path], encoding="utf-8")
        print(path.relative_to(HERE))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
