import contextlib
import hashlib
import http.server
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from zoo.core.errors import BadInput, BadPackage
from zoo.io import download as module
from zoo.io.download import DownloadError, fetch, timeout_s

BODY = np.random.default_rng(1).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `BODY` in the way that the path asks for."""

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        start = 0
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if wanted and self.server.supports_range:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        # the client gives up, as it should
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, self.path.strip("/").split(".")[0])(start)

    def head(self, start, length=None, status=None):
        self.send_response(status or (206 if start else 200))
        self.send_header("Content-Length", str(length or len(BODY) - start))
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
            )
        self.end_headers()

    def good(self, start):
        self.head(start)
        self.wfile.write(BODY[start:])

    def chunked(self, _):
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(0, len(BODY), 50_000):
            piece = BODY[i : i + 50_000]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def cut(self, start):
        """Send 100,000 bytes of the rest, then close."""
        self.head(start)
        self.wfile.write(BODY[start : start + 100_000])

    def crumbs(self, start):
        self.head(start)
        self.wfile.write(BODY[start : start + 10])

    def lie(self, start):
        self.head(start)
        self.wfile.write(bytes(len(BODY) - start))

    def bloat(self, _):
        self.head(0, length=10 * len(BODY))
        self.wfile.write(BODY * 10)

    def endless(self, _):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(BODY * 10)

    def silent(self, _):
        self.server.stop.wait(20)

    def stall(self, start):
        self.head(start)
        self.wfile.write(BODY[start : start + 1000])
        self.wfile.flush()
        self.server.stop.wait(20)

    def trickle(self, start):
        self.head(start)
        for i in range(200):
            self.wfile.write(BODY[start + i : start + i + 1])
            self.wfile.flush()
            if self.server.stop.wait(0.05):
                return

    def slow(self, start):
        """Take longer than the timeout, but never stand still."""
        self.head(start)
        for i in range(start, len(BODY), 50_000):
            self.wfile.write(BODY[i : i + 50_000])
            self.wfile.flush()
            time.sleep(0.12)

    def missing(self, _):
        self.send_error(404)

    def busy(self, start):
        if len(self.server.ranges) < 3:
            self.send_error(503)
        else:
            self.good(start)

    def broken(self, _):
        self.send_error(500)

    def wrong_place(self, start):
        if start:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes 0-{len(BODY) - 1}/{len(BODY)}")
            self.end_headers()
            self.wfile.write(BODY)
        else:
            self.good(0)

    def refuses_range(self, start):
        if start:
            self.send_error(416)
        else:
            self.good(0)


@pytest.fixture
def server():
    instance = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    instance.ranges = []
    instance.supports_range = True
    instance.stop = threading.Event()
    instance.daemon_threads = True
    instance.url = f"http://127.0.0.1:{instance.server_address[1]}"
    thread = threading.Thread(target=instance.serve_forever, args=(0.02,))
    thread.start()
    yield instance
    instance.stop.set()
    instance.shutdown()
    instance.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "RETRY_PAUSE_S", 0.0)
    monkeypatch.setenv("SUPERRES_ZOO_TIMEOUT", "0.4")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def get(server, way, target, **options):
    options = {"sha256": SHA256, "size": len(BODY)} | options
    return fetch(f"{server.url}/{way}.zip", target, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def part_of(target, sha256=SHA256):
    key = hashlib.sha256(sha256.encode()).hexdigest()[:12]
    return target.with_name(f"{target.name}.{key}.part")


def one_line(caught):
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("way", ["good", "chunked", "slow"])
@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_good_server(server, tmp_path, way, size):
    target = tmp_path / "a.zip"
    assert get(server, way, target, size=size) == target
    assert target.read_bytes() == BODY
    assert names(tmp_path) == ["a.zip"]


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    target = tmp_path / "a.zip"
    get(server, "good", target)
    get(server, "good", target)
    assert len(server.ranges) == 1


def test_what_is_outdated_is_replaced(server, tmp_path):
    target = tmp_path / "a.zip"
    target.write_bytes(b"the package of last year")
    get(server, "good", target)
    assert target.read_bytes() == BODY


def test_without_a_hash(server, tmp_path):
    target = tmp_path / "a.zip"
    part_of(target, f"{server.url}/good.zip").write_bytes(b"of another day")
    fetch(f"{server.url}/good.zip", target)
    assert target.read_bytes() == BODY
    assert names(tmp_path) == ["a.zip"]


def test_a_cut_connection_is_taken_up_again(server, tmp_path):
    target = tmp_path / "a.zip"
    get(server, "cut", target)
    assert target.read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert names(tmp_path) == ["a.zip"]


def test_a_cut_connection_starts_anew_where_ranges_are_not_known(server, tmp_path):
    server.supports_range = False
    target = tmp_path / "a.zip"
    with pytest.raises(DownloadError, match="broke off 5 times") as caught:
        get(server, "cut", target)
    assert "100000 of 300000 bytes arrived" in one_line(caught)
    assert len(server.ranges) == module.ATTEMPTS
    get(server, "good", target)
    assert target.read_bytes() == BODY


def test_a_part_of_an_earlier_call_is_continued(server, tmp_path):
    target = tmp_path / "a.zip"
    with pytest.raises(DownloadError, match="broke off"):
        get(server, "crumbs", target)
    assert part_of(target).stat().st_size == 10 * module.ATTEMPTS
    get(server, "good", target)
    assert server.ranges[-1] == "bytes=50-"
    assert target.read_bytes() == BODY
    assert names(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("way", ["wrong_place", "refuses_range", "good"])
@pytest.mark.parametrize("length", [500, len(BODY), len(BODY) + 7])
def test_a_wrong_part_does_no_harm(server, tmp_path, way, length):
    target = tmp_path / "a.zip"
    part_of(target).write_bytes(bytes(length))
    get(server, way, target)
    assert target.read_bytes() == BODY
    assert names(tmp_path) == ["a.zip"]


def test_a_server_that_lies(server, tmp_path):
    target = tmp_path / "a.zip"
    with pytest.raises(BadPackage, match="SHA-256 differs") as caught:
        get(server, "lie", target)
    one_line(caught)
    assert names(tmp_path) == []


def test_a_server_that_lies_does_not_destroy_what_is_there(server, tmp_path):
    target = tmp_path / "a.zip"
    target.write_bytes(b"old")
    with pytest.raises(BadPackage):
        get(server, "lie", target)
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("way", "words"),
    [("bloat", "offers 3000000 bytes, 300000 are"), ("endless", "sends more than")],
)
def test_a_server_that_sends_too_much(server, tmp_path, way, words):
    with pytest.raises(BadPackage, match=words) as caught:
        get(server, way, tmp_path / "a.zip")
    one_line(caught)
    assert names(tmp_path) == []


@pytest.mark.parametrize("way", ["silent", "stall", "trickle"])
def test_a_server_that_stalls_is_given_up_in_time(server, tmp_path, way):
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"stalled: .* within 0\.4 s") as caught:
        get(server, way, tmp_path / "a.zip")
    assert time.monotonic() - began < 2
    assert "SUPERRES_ZOO_TIMEOUT" in one_line(caught)
    assert not (tmp_path / "a.zip").exists()


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    with pytest.raises(DownloadError, match="answers 404 Not Found") as caught:
        get(server, "missing", tmp_path / "a.zip")
    one_line(caught)
    assert len(server.ranges) == 1
    assert names(tmp_path) == []


def test_a_busy_server_is_asked_again(server, tmp_path):
    get(server, "busy", tmp_path / "a.zip")
    assert len(server.ranges) == 3


def test_a_broken_server(server, tmp_path):
    with pytest.raises(DownloadError, match=r"broke off 5 times .*answers 500"):
        get(server, "broken", tmp_path / "a.zip")


def test_nobody_there(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(
        DownloadError, match="cannot be reached; check the net"
    ) as caught:
        get(server, "good", tmp_path / "a.zip")
    one_line(caught)


def test_no_address(tmp_path):
    with pytest.raises(DownloadError, match="cannot be fetched"):
        fetch("http://", tmp_path / "a.zip", sha256=SHA256)


def test_a_full_disk_is_no_network_error(server, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module._Transfer, "_copy", full)
    with pytest.raises(OSError, match="No space left"):
        get(server, "good", tmp_path / "a.zip")
    assert len(server.ranges) == 1


@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan"])
def test_timeout_must_be_a_number(monkeypatch, value):
    monkeypatch.setenv("SUPERRES_ZOO_TIMEOUT", value)
    with pytest.raises(BadInput, match="positive number of seconds"):
        timeout_s()


def test_timeout_default(monkeypatch):
    monkeypatch.delenv("SUPERRES_ZOO_TIMEOUT")
    assert timeout_s() == 30


def test_nothing_is_left_in_the_working_directory(server, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    get(server, "good", tmp_path / "a.zip")
    assert list(Path.cwd().iterdir()) == []
