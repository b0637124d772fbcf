"""Downloads that resume, give up on a server that stalls, and are checked by hash."""

import hashlib
import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.core.errors import BadInput, BadPackage, ZooError
from zoo.io.archives import MAX_BYTES

ATTEMPTS = 5
"""How often a connection that is cut is taken up again."""
RETRY_PAUSE_S = 0.5
"""Pause before the second attempt; it doubles each time."""
LEAST_BYTES = 16 * 1024
"""What must arrive within the timeout; a server that sends less has stalled."""

_CHUNK = 256 * 1024
_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadError(ZooError):
    """A file that could not be fetched."""


class _CutError(Exception):
    """The connection broke; what has arrived is kept."""


def timeout_s() -> float:
    """Return the seconds without progress after which a download is given up.

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
    url: str, target: Path, *, sha256: str | None = None, size: int | None = None
) -> Path:
    """Download a file; it appears under its name when its hash is right.

    What has arrived when a connection breaks is kept beside `target` as ``.part`` and
    taken up again, in the same call or the next one, where the server supports it.  A
    `target` that is there and has the right hash is returned at once; one with another
    hash is replaced.

    Parameters
    ----------
    url
        Address, http or https.
    target
        Where to; its folder must exist.
    sha256
        Expected hash.  Without it, an existing `target` is taken as it is.
    size
        Expected size in bytes.

    Returns
    -------
    target

    Raises
    ------
    DownloadError
        If the server cannot be reached, refuses, stalls or breaks off repeatedly.
    BadPackage
        If what it sent is not what was expected.
    """
    pooch: Any = import_module("pooch")
    pooch.get_logger().setLevel("WARNING")  # it announces every download
    known = hashlib.sha256((sha256 or url).encode()).hexdigest()[:12]
    part = target.with_name(f"{target.name}.{known}.part")
    if sha256 is None:
        part.unlink(missing_ok=True)  # nothing would tell that it is of another day
    manager = pooch.create(
        path=target.parent,
        base_url="",
        registry={target.name: f"sha256:{sha256}" if sha256 else None},
        urls={target.name: url},
    )
    for _ in range(2):
        transfer = _Transfer(part, size, timeout_s())
        try:
            manager.fetch(target.name, downloader=transfer)
        except ValueError as error:
            # a part of another file may have been continued: once more, from the start
            if not transfer.resumed:
                raise BadPackage(
                    f"{url} sent something else than the expected file (its SHA-256 "
                    "differs); try again later, or update superres-zoo"
                ) from error
        else:
            return target
    raise BadPackage(f"{url} sent different contents each time; try again later")


class _Transfer:
    """Download into a partial file, continuing it; what pooch calls a downloader."""

    def __init__(self, part: Path, size: int | None, timeout: float) -> None:
        self.part = part
        self.size = size
        self.timeout = timeout
        self.resumed = False

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        """Fetch `url` into `output_file`."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(RETRY_PAUSE_S * 2 ** (attempt - 1))
            try:
                self._attempt(url)
            except _CutError as error:
                reason = str(error)
            else:
                self.part.replace(output_file)
                return
        raise DownloadError(
            f"{url} broke off {ATTEMPTS} times ({reason}); run the same command again, "
            "it continues where it stopped if the server can"
        )

    def _attempt(self, url: str) -> None:
        import requests
        from urllib3.exceptions import MaxRetryError

        have = self.part.stat().st_size if self.part.exists() else 0
        if self.size is not None and have >= self.size:
            if have == self.size:
                self.resumed = True
                return
            self.part.unlink()
            have = 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            response = requests.get(
                url, headers=headers, stream=True, timeout=(self.timeout, self.timeout)
            )
        except requests.Timeout as error:
            raise self._stalled(url, "there was no answer") from error
        except requests.ConnectionError as error:
            if error.args and isinstance(error.args[0], MaxRetryError):
                raise DownloadError(
                    f"{url} cannot be reached; check the network and the address, or "
                    "give the path of a package folder or zip"
                ) from error
            raise _CutError("no answer") from error
        except (requests.RequestException, ValueError) as error:
            raise DownloadError(f"{url} cannot be fetched: {error}") from error
        with response:
            self._receive(response, url, have)

    def _receive(self, response: Any, url: str, have: int) -> None:
        """Write the body of an answer behind what is there."""
        status = int(response.status_code)
        if status == 416:
            self.part.unlink(missing_ok=True)
            raise _CutError("the server does not continue")
        if status in _RETRY_STATUS:
            raise _CutError(f"the server answers {status} {response.reason}")
        if status not in (200, 206):
            raise DownloadError(
                f"{url} cannot be fetched: the server answers {status} "
                f"{response.reason}; check the address"
            )
        if status == 206:
            stated = str(response.headers.get("Content-Range", ""))
            if not stated.replace(" ", "").startswith(f"bytes{have}-"):
                self.part.unlink(missing_ok=True)
                raise _CutError("the server continues at the wrong place")
            self.resumed = True
        else:
            have = 0
        total = self._total(response, url, have)
        with self.part.open("ab" if have else "wb") as file:
            have += self._copy(response.raw, file, url, have, total)
        if total is not None and have < total:
            raise _CutError(f"{have} of {total} bytes arrived")

    def _total(self, response: Any, url: str, have: int) -> int | None:
        """Return the size that the file will have."""
        text = response.headers.get("Content-Length")
        offered = have + int(text) if text and str(text).isdigit() else None
        expected = self.size
        if None not in (offered, expected) and offered != expected:
            self.part.unlink(missing_ok=True)
            raise BadPackage(
                f"{url} offers {offered} bytes, {expected} are expected; try again "
                "later, or update superres-zoo"
            )
        return offered if expected is None else expected

    def _copy(self, raw: Any, file: Any, url: str, have: int, total: int | None) -> int:
        """Copy until the end; return the number of bytes."""
        from tqdm import tqdm
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        limit = MAX_BYTES if total is None else total
        received = 0
        window, began = 0, time.monotonic()
        with tqdm(
            total=total, initial=have, unit="B", unit_scale=True, leave=False,
            disable=None, desc=self.part.name.split(".")[0],
        ) as bar:  # fmt: skip
            while True:
                try:
                    # read1 returns what is there: a trickle must not look like silence
                    chunk: bytes = raw.read1(_CHUNK, decode_content=False)
                except ReadTimeoutError as error:
                    raise self._stalled(url, "nothing arrived") from error
                except (HTTPError, OSError) as error:
                    of = "" if total is None else f"of {total} "
                    raise _CutError(f"{have + received} {of}bytes arrived") from error
                if not chunk:
                    return received
                received += len(chunk)
                if have + received > limit:
                    self.part.unlink(missing_ok=True)
                    raise BadPackage(
                        f"{url} sends more than the expected {limit} bytes"
                    )
                file.write(chunk)
                bar.update(len(chunk))
                window += len(chunk)
                if time.monotonic() - began >= self.timeout:
                    if window < LEAST_BYTES:
                        raise self._stalled(url, f"only {window} bytes arrived")
                    window, began = 0, time.monotonic()

    def _stalled(self, url: str, what: str) -> DownloadError:
        return DownloadError(
            f"{url} stalled: {what} within {self.timeout:g} s; try again later, or "
            "set SUPERRES_ZOO_TIMEOUT to more seconds"
        )
