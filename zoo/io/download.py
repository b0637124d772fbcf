"""Downloads that are checked before anything enters the cache."""

import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.core import files
from zoo.core.errors import BadInput, BadPackage, ZooError
from zoo.io.archives import MAX_BYTES

RETRIES = 2
"""How often a download that broke off or arrived damaged is begun again."""
DEADLINE_TIMEOUTS = 60
"""Timeouts after which a download ends, however it goes on."""


class DownloadError(ZooError):
    """A file that could not be fetched."""


def timeout_s() -> float:
    """Return the seconds of silence after which a download is given up.

    ``SUPERRES_ZOO_TIMEOUT``, by default 30.

    Raises
    ------
    BadInput
        If the variable does not hold a positive number.
    """
    text = os.environ.get("SUPERRES_ZOO_TIMEOUT") or "30"
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise BadInput(
            f"SUPERRES_ZOO_TIMEOUT must be a positive number of seconds, not {text!r}"
        )
    return value


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    check: Callable[[Path], object] | None = None,
) -> Path:
    """Download a file; it appears under its name when it is whole and right.

    A `target` that is there and has the right hash is returned at once; one with
    another hash is replaced.  Where several processes want one file, one of them
    downloads it.

    Parameters
    ----------
    url
        Address, http or https.
    target
        Where to; its folder must exist.
    sha256
        Expected hash.  Without it, an existing `target` is taken as it is.
    size
        Expected size in bytes; no more is read.
    check
        Called with the complete file before it gets its name; what it raises is passed
        on, and nothing stays.

    Returns
    -------
    target

    Raises
    ------
    DownloadError
        If the server cannot be reached, refuses, is silent for `timeout_s`, or has not
        sent everything after `DEADLINE_TIMEOUTS` times as long.
    BadPackage
        If what it sent is not what was expected.
    """
    filelock: Any = import_module("filelock")
    seconds = timeout_s()
    deadline = DEADLINE_TIMEOUTS * seconds
    lock = filelock.FileLock(target.with_name(f".{target.name}.lock"), timeout=deadline)
    try:
        with lock:
            if not _is_there(target, sha256):
                _download(url, target, sha256, size, check, (seconds, deadline))
    except filelock.Timeout as error:
        raise DownloadError(
            f"{url} is being downloaded by another process for more than "
            f"{deadline:.0f} s; end it and run the same command again"
        ) from error
    return target


def _is_there(target: Path, sha256: str | None) -> bool:
    return target.is_file() and sha256 in (None, files.sha256(target))


def _download(
    url: str,
    target: Path,
    sha256: str | None,
    size: int | None,
    check: Callable[[Path], object] | None,
    patience: tuple[float, float],
) -> None:
    """Download into a folder of its own beside `target`, check, and move."""
    seconds, deadline = patience
    with files.scratch(target) as folder:
        outcome: list[BaseException | None] = []

        def work() -> None:
            try:
                _transfer(url, folder, sha256, size, seconds)
                outcome.append(None)
            except BaseException as error:  # passed on below
                outcome.append(error)

        # reads cannot be interrupted, and a byte now and then is no silence
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(deadline)
        if not outcome:
            raise _stalled(url, "the file was not complete", deadline)
        if outcome[0] is not None:
            raise outcome[0]
        part = folder / "file"
        try:
            _ = check and check(part)
        except BadPackage as error:
            reason = str(error).replace(str(part), "it")
            raise BadPackage(f"{url} was not kept: {reason}") from error
        part.replace(target)


def _transfer(
    url: str, folder: Path, sha256: str | None, size: int | None, seconds: float
) -> None:
    """Let pooch fetch ``folder/file``; say in one line what went wrong."""
    pooch: Any = import_module("pooch")
    requests: Any = import_module("requests")
    pooch.get_logger().setLevel("ERROR")  # it announces every download
    downloader = pooch.HTTPDownloader(
        timeout=seconds,
        progressbar=sys.stderr.isatty(),
        chunk_size=64 * 1024,
        headers={"Accept-Encoding": "identity"},
    )

    def fetch_limited(address: str, output: str, manager: Any) -> None:
        try:
            with _Limited(output, url, MAX_BYTES if size is None else size) as file:
                downloader(address, file, manager)
        except requests.HTTPError as error:
            status = error.response.status_code
            if status in (408, 425, 429) or status >= 500:
                raise  # pooch begins again
            raise DownloadError(
                f"{url} cannot be fetched: the server answers {status} "
                f"{error.response.reason}; check the address"
            ) from error
        except requests.RequestException as error:
            # within a body, requests names silence a lost connection
            if "timed out" in str(error).lower():
                raise _stalled(url, "nothing arrived", seconds) from error
            raise

    manager = pooch.create(
        path=folder,
        base_url="",
        registry={"file": f"sha256:{sha256}" if sha256 else None},
        urls={"file": url},
        retry_if_failed=RETRIES,
    )
    try:
        manager.fetch("file", downloader=fetch_limited)
    except requests.RequestException as error:
        reason = " ".join(str(error).split())
        raise DownloadError(
            f"{url} cannot be fetched ({reason[:200]}); check the network and the "
            "address, or give the path of a package folder or zip"
        ) from error
    except ValueError as error:
        if sha256 is None:
            raise DownloadError(f"{url} cannot be fetched: {error}") from error
        raise BadPackage(
            f"{url} sent something else than the expected file (its SHA-256 differs); "
            "try again later, or update superres-zoo"
        ) from error


class _Limited:
    """A file that takes so many bytes and no more."""

    def __init__(self, path: str, url: str, limit: int) -> None:
        self.file = Path(path).open("wb")  # noqa: SIM115  # closed by __exit__
        self.url = url
        self.limit = limit

    def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        if self.file.tell() + len(chunk) > self.limit:
            raise BadPackage(
                f"{self.url} sends more than the expected {self.limit} bytes; try "
                "again later, or update superres-zoo"
            )
        self.file.write(chunk)

    def flush(self) -> None:
        """Leave chunks where they are."""

    def __enter__(self) -> "_Limited":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def _stalled(url: str, what: str, seconds: float) -> DownloadError:
    return DownloadError(
        f"{url} stalled: {what} within {seconds:g} s; try again later, or set "
        "SUPERRES_ZOO_TIMEOUT to more seconds"
    )
