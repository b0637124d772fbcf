"""What the notebooks of this project call: commands, hardware, places of files."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.core.errors import ZooError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRIVE = Path("/content/drive")
"""Where Colab puts Google Drive."""


class CommandFailed(ZooError):
    """A command that did not do what it was asked for."""


def command(*words: object) -> None:
    """Run ``zoo`` with arguments, and show what it prints as it comes.

    Parameters
    ----------
    words
        As on the command line; lists are spread out.

    Raises
    ------
    CommandFailed
        If it fails; the message is the command's own.
    """
    line: list[str] = []
    for word in words:
        many = isinstance(word, (list, tuple))
        line += [str(part) for part in word] if many else [str(word)]
    print("$", shlex.join(["zoo", *line]), flush=True)  # noqa: T201
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    last = ""
    with process:
        for text in process.stdout or ():
            print(text, end="", flush=True)  # noqa: T201
            last = text.strip() or last
    if process.returncode:
        raise CommandFailed(last or f"zoo {line[0]} ended with {process.returncode}")


def settings(text: str) -> list[str]:
    """Turn ``key=value`` pairs with spaces between them into options of a command.

    Examples
    --------
    >>> settings("source.pixel_size_nm=110 source.psf_sigma_nm=[115,150]")
    ['--set', 'source.pixel_size_nm=110', '--set', 'source.psf_sigma_nm=[115,150]']
    >>> settings("")
    []
    """
    return [word for pair in shlex.split(text) for word in ("--set", pair)]


def hardware() -> str:
    """Say what trainings would run on, and which budget that is for.

    Raises
    ------
    MissingExtra
        If Keras is not installed.
    """
    from zoo.core.extras import require

    require("keras")
    import keras

    backend = keras.config.backend()
    cards = [name for name in keras.distribution.list_devices() if "gpu" in name]
    if cards:
        return f"{len(cards)} graphics card ({backend}): use the budget gpu"
    return (
        f"no graphics card ({backend}): use the budget cpu, which takes up to two "
        "hours, or choose Runtime > Change runtime type in Colab"
    )


def folder(name: str, *, on_drive: bool) -> Path:
    """Return a folder for data and results, in Google Drive if that is wanted.

    Parameters
    ----------
    name
        Of the folder.
    on_drive
        Whether to ask Colab for Google Drive; without it files are gone with the
        session.

    Raises
    ------
    CommandFailed
        If this is not Colab and Google Drive is wanted.
    """
    place = Path(name)
    if on_drive:
        try:
            from google.colab import drive  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError as error:
            raise CommandFailed(
                "Google Drive is there in Colab only; untick on_drive"
            ) from error
        drive.mount(str(DRIVE))
        place = DRIVE / "MyDrive" / name
    place.mkdir(parents=True, exist_ok=True)
    return place


def recording(path: str, package: str, place: Path, *, frames: int = 100) -> Path:
    """Return the recording to work on; without one, simulated frames.

    Parameters
    ----------
    path
        A user's file; empty for simulated frames.
    package
        Name of the package that it is meant for, whose conditions are simulated.
    place
        Folder for simulated frames.
    frames
        How many of them.

    Raises
    ------
    BadInput
        If the file does not exist.
    """
    from zoo import catalog
    from zoo.core.errors import BadInput
    from zoo.simulate.write import write_simulation

    if path:
        if not Path(path).exists():
            raise BadInput(f"{path} does not exist; check the name")
        return Path(path)
    source = catalog.configured(package, {}).source
    write_simulation(source, place / "simulated", count=frames, seed=1, overwrite=True)
    return place / "simulated" / "input.tif"


def beside(
    recipe: str, changes: str, source: Path, place: Path, *, frames: int = 4
) -> "Figure":
    """Draw frames of a recording beside those that a training would see.

    Parameters
    ----------
    recipe
        Name of the recipe.
    changes
        As `settings` takes them.
    source
        The recording.
    place
        Folder for simulated frames.
    frames
        How many to simulate.
    """
    from zoo import catalog
    from zoo.core.config import parse_settings
    from zoo.pictures import Likeness
    from zoo.simulate.write import write_simulation

    changed = catalog.configured(recipe, parse_settings(shlex.split(changes)))
    target = place / "training_frames"
    write_simulation(changed.source, target, count=frames, seed=0, overwrite=True)
    both = Likeness(changed, target / "input.tif", source)
    print(*both.summary(), sep="\n")  # noqa: T201
    return both.draw()


def loss_and_samples(run: Path) -> "Figure":
    """Draw the loss of a finished run and what its network makes of held-out samples.

    Parameters
    ----------
    run
        Folder of the run.
    """
    from zoo.package.trained import read_trained
    from zoo.pictures import training_figure

    return training_figure(read_trained(run).recipe, run)


def hand_over(paths: Sequence[Path]) -> None:
    """Offer files to the browser in Colab; elsewhere say where they are."""
    for path in paths:
        if "google.colab" in sys.modules:
            from google.colab import files  # pyright: ignore[reportMissingImports]

            files.download(str(path))
        else:
            print(path)  # noqa: T201
