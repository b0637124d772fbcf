"""The edge to the terminal: one line for a failure, bars on terminals, no chatter."""

import errno
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any, NoReturn

import typer

UsageError: Any = typer.BadParameter.__bases__[0]
"""A wrong call; raised by commands about combinations that typer cannot check."""

INTERRUPTED = 130
"""What typer returns after Ctrl-C."""


class Failed(Exception):
    """A command that ran and says no; its message is the line to print."""


def run(app: typer.Typer, arguments: list[str] | None = None) -> NoReturn:
    """Run a command line and exit with 0, 1 (failed) or 2 (wrong call).

    Every failure becomes one line on standard error; ``--debug`` among the arguments
    lets the traceback through.  Run as a program, without `arguments`, it ignores
    requests to end as soon as its work is done: its status then says what came of it.
    """
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    try:
        with (
            _interruptible(last=arguments is None),
            nullcontext() if debug else _hushed(),
        ):
            code = _command(app)(args=words, prog_name="zoo", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except UsageError as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "zoo"
        message = error.format_message().rstrip()
        stop = "" if message[-1:] in ".?!" else "."
        _exit(2, f"{message}{stop} See {command} --help")
    except Exception as error:  # one line for every failure, whatever failed
        if debug:
            raise
        _exit(1, one_line(error))
    if code == INTERRUPTED:
        _exit(1, "interrupted; nothing incomplete was left behind")
    sys.exit(code or 0)


def _command(app: typer.Typer) -> Any:
    """Return what runs a command line; a file that ends too early is no Ctrl-D."""
    command: Any = typer.main.get_command(app)
    invoke = command.invoke

    def run_command(context: Any) -> Any:
        try:
            return invoke(context)
        except EOFError as error:  # typer would say that the user has stopped it
            raise Failed(one_line(error)) from error

    command.invoke = run_command
    return command


def one_line(error: Exception) -> str:
    """Say what failed; only what the user cannot put right is named by its type.

    Examples
    --------
    >>> one_line(FileNotFoundError(2, "No such file or directory", "movie.tif"))
    'movie.tif: No such file or directory; check the name'
    >>> one_line(ValueError("sigma_px must be positive, not -1"))
    'sigma_px must be positive, not -1'
    """
    from zoo.core.errors import ZooError
    from zoo.core.extras import missing

    if isinstance(error, ModuleNotFoundError) and (extra := missing(error.name)):
        return str(extra)
    if isinstance(error, OSError) and error.strerror and not _is_ours(error):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}; {_remedy(error)}"
    text = str(error).strip() or "no message"
    if isinstance(error, ZooError | Failed):
        return text
    for kinds, line in _lines().items():
        if isinstance(error, kinds):
            return line.format(text)
    if isinstance(error, ValueError | OSError):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"


def _lines() -> dict[tuple[type[Exception], ...], str]:
    """Return what to say about failures of libraries, by their kind."""
    import struct
    import zipfile
    import zlib

    again = "copy or download it again"
    return {
        (EOFError,): f"a file ends where more is to come; {again} ({{}})",
        (MemoryError,): (
            "there is not enough memory; choose a smaller part, tile or batch size, or "
            "end other programs ({})"
        ),
        (RecursionError,): (
            "a file nests its contents too deeply; get it from a source you trust ({})"
        ),
        (UnicodeError,): (
            "a text or name is not UTF-8; rename or convert the file that holds it ({})"
        ),
        (zipfile.BadZipFile, zlib.error, struct.error): (
            f"a file is damaged; {again} ({{}})"
        ),
        (ImportError,): (
            "a library cannot be loaded; install superres-zoo again in a new "
            "environment ({})"
        ),
        (OverflowError, ZeroDivisionError, FloatingPointError): (
            "a number is beyond what can be computed with; check sizes and options ({})"
        ),
    }


def warn(notes: list[str]) -> None:
    """Print remarks on a result, one line each, on standard error."""
    for note in notes:
        sys.stderr.write(f"zoo: warning: {' '.join(note.split())}\n")


def show(content: Any, *, wide: bool = False, paged: bool = False) -> None:
    """Print a table or text of `rich`; colours and line breaks are for terminals.

    Parameters
    ----------
    content
        What `rich` can draw.
    wide
        Whether lines may be longer than the terminal is wide.
    paged
        Whether to show it page by page, if it is higher than the terminal.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False)  # words of others, as they are
    console.width = min(console.width, 100) if console.is_terminal else 88
    if wide:
        console.width = 10_000
    if paged and console.is_terminal:
        # as git asks for it: stay below one page, colours, leave the text behind
        os.environ.setdefault("LESS", "-FRX")
        with console.pager(styles=True):
            console.print(content, crop=False)
        return
    console.print(content, crop=False)


@contextmanager
def progress(unit: str, *, quiet: bool) -> Iterator[Callable[..., None] | None]:
    """Give a function of (done, total) that draws a bar; None away from a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", leave=False, file=sys.stderr) as bar:

        def advance(done: int, total: int | None = None, *_: object) -> None:
            bar.update(done - bar.n)
            if bar.total != total:
                bar.total = total
                bar.refresh()

        yield advance


def forecast(bar: Callable[..., None] | None, *, quiet: bool) -> Callable[..., None]:
    """Give a function of (done, total, figures) that says once how long it takes.

    Parameters
    ----------
    bar
        Called with the same, if there is one.
    quiet
        Whether to say nothing.
    """
    told = quiet

    def advance(
        done: int, total: int | None = None, figures: Mapping[str, float] | None = None
    ) -> None:
        nonlocal told
        speed, left = ((figures or {}).get(name) for name in _SPEED)
        if not told and speed is not None and left is not None:
            told = True
            end = datetime.now().astimezone() + timedelta(seconds=left)
            _write_line(
                f"{speed:,.{0 if speed >= 10 else 1}f} samples per second; done at "
                f"about {end:%H:%M}, {timedelta(seconds=round(left))} from now"
            )
        if bar is not None:
            bar(done, total, figures)

    return advance


def _write_line(text: str) -> None:
    """Print a line above a bar, if one is drawn."""
    from tqdm import tqdm

    tqdm.write(text)
    sys.stdout.flush()


_SPEED = ("samples_per_s", "remaining_s")


def _is_ours(error: OSError) -> bool:
    return type(error).__module__.startswith("zoo.")


def _remedy(error: OSError) -> str:
    space = "free some space or choose another disk with -o"
    place = "check its permissions or choose another place with -o"
    return {
        errno.ENOSPC: space,
        errno.EDQUOT: space,
        errno.EROFS: place,
        errno.EACCES: place,
        errno.EPERM: place,
        errno.ENOENT: "check the name",
    }.get(error.errno or 0, "--debug shows where")


def _exit(code: int, message: str) -> NoReturn:
    sys.stderr.write(f"zoo: {' '.join(message.split())}\n")
    sys.exit(code)


@contextmanager
def _interruptible(*, last: bool) -> Iterator[None]:
    """Let a request to end, as batch systems send it, act like Ctrl-C.

    Parameters
    ----------
    last
        Whether nothing is done behind the block but to unload libraries, which takes
        those of TensorFlow a second.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stops = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(stop, signal.default_int_handler) for stop in stops]
    try:
        yield
    finally:
        for stop, handler in zip(stops, before, strict=True):
            signal.signal(stop, signal.SIG_IGN if last else handler)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep the chatter of native libraries and the warnings of others off stderr.

    Frameworks write to the file descriptor itself, whatever their settings say.  What
    this program has to say still arrives: `sys.stderr` gets a descriptor of its own.
    """
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if sys.stderr is not sys.__stderr__ or sys.stderr is None:
            yield  # somebody captures the stream already
            return
        sys.stderr.flush()
        own = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        with os.fdopen(os.dup(own), "w", buffering=1, errors="replace") as stream:
            sys.stderr = stream
            try:
                yield
            finally:
                sys.stderr = sys.__stderr__
                os.dup2(own, 2)
                os.close(own)
