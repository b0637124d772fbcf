"""Downloads: whole, right and in time, or one line and no trace."""

import contextlib
import hashlib
import http.server
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from zoo.core.errors import BadInput, BadPackage
from zoo.io import download as module
from zoo.io.download import DownloadError, fetch, timeout_s

# pooch leaves it to the garbage collector to close an answer that broke off
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
BODY = np.random.default_rng(1).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `BODY` in the way that the path asks for."""

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        self.server.requests += 1
        # the client gives up, as it should
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, self.path.strip("/").split(".")[0])()

    def head(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()

    def good(self):
        self.head()
        self.wfile.write(BODY)

    def cut(self):
        self.head()
        self.wfile.write(BODY[:100_000])

    def cut_once(self):
        self.good() if self.server.requests > 1 else self.cut()

    def busy_once(self):
        self.good() if self.server.requests > 1 else self.send_error(503)

    def lie(self):
        self.head()
        self.wfile.write(bytes(len(BODY)))

    def endless(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(BODY * 10)

    def silent(self):
        self.server.stop.wait(20)

    def stall(self):
        self.head()
        self.wfile.write(BODY[:1000])
        self.wfile.flush()
        self.server.stop.wait(20)

    def trickle(self):
        self.head()
        for i in range(400):
            self.wfile.write(BODY[i : i + 1])
            self.wfile.flush()
            if self.server.stop.wait(0.05):
                return

    def slow(self):
        """Take longer than the timeout, but never stand still."""
        self.head()
        for i in range(0, len(BODY), 50_000):
            self.wfile.write(BODY[i : i + 50_000])
            self.wfile.flush()
            time.sleep(0.12)

    def missing(self):
        self.send_error(404)

    def broken(self):
        self.send_error(500)


@pytest.fixture
def server():
    instance = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    instance.requests = 0
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
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    monkeypatch.setenv("SUPERRES_ZOO_TIMEOUT", "0.5")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def get(server, way, target, **options):
    options = {"sha256": SHA256, "size": len(BODY)} | options
    return fetch(f"{server.url}/{way}.zip", target, **options)


def names(folder):
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


@pytest.mark.parametrize("way", ["good", "slow", "cut_once", "busy_once"])
@pytest.mark.parametrize("known", [True, False])
def test_a_server_that_sends_it_in_the_end(server, tmp_path, way, known):
    target = tmp_path / "a.zip"
    facts = {} if known else {"sha256": None, "size": None}
    assert get(server, way, target, **facts) == target
    assert target.read_bytes() == BODY
    assert names(tmp_path) == ["a.zip"]
    requests = server.requests
    get(server, way, target, **facts)
    assert server.requests == requests


def test_what_is_outdated_is_replaced(server, tmp_path):
    target = tmp_path / "a.zip"
    target.write_bytes(b"the package of last year")
    get(server, "good", target)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize(
    ("way", "kind", "words", "requests"),
    [
        ("lie", BadPackage, "SHA-256 differs", 3),
        ("endless", BadPackage, "sends more than the expected 300000 bytes", 1),
        ("silent", DownloadError, r"stalled: .* within 0\.5 s.*SUPERRES_ZOO_TIM", 1),
        ("stall", DownloadError, r"stalled: .* within 0\.5 s.*SUPERRES_ZOO_TIM", 1),
        ("cut", DownloadError, "cannot be fetched .*100000 bytes read", 3),
        ("missing", DownloadError, "answers 404 Not Found; check the address", 1),
        ("broken", DownloadError, "cannot be fetched .*500 .*check the network", 3),
    ],
)
def test_a_bad_server_gets_one_line_and_leaves_no_trace(
    server, tmp_path, way, kind, words, requests
):
    target = tmp_path / "a.zip"
    target.write_bytes(b"old")
    with pytest.raises(kind, match=words) as caught:
        get(server, way, target)
    assert "\n" not in str(caught.value)
    assert server.requests == requests
    assert names(tmp_path) == ["a.zip"]
    assert target.read_bytes() == b"old"


def test_there_is_an_end_to_a_trickle(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DEADLINE_TIMEOUTS", 2)
    began = time.monotonic()
    with pytest.raises(DownloadError, match="not complete within 1 s"):
        get(server, "trickle", tmp_path / "a.zip")
    assert time.monotonic() - began < 5
    assert names(tmp_path) == []


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:1/a.zip", "ftp://x/a"])
def test_nobody_there(tmp_path, url):
    with pytest.raises(DownloadError, match="cannot be fetched") as caught:
        fetch(url, tmp_path / "a.zip", sha256=SHA256)
    assert "\n" not in str(caught.value)


def test_what_a_check_refuses_never_stays(server, tmp_path):
    def refuse(path):
        assert path.read_bytes() == BODY
        raise BadPackage("an error page")

    with pytest.raises(BadPackage, match="an error page"):
        get(server, "good", tmp_path / "a.zip", sha256=None, check=refuse)
    assert names(tmp_path) == []


def test_several_processes_want_one_file(server, tmp_path):
    code = (
        "import sys, pathlib; from zoo.io.download import fetch\n"
        "fetch(sys.argv[1], pathlib.Path(sys.argv[2]), sha256=sys.argv[3])"
    )
    words = (f"{server.url}/slow.zip", tmp_path / "a.zip", SHA256)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            cwd=Path(module.__file__).parents[2],
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in running:
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 0
    assert server.requests == 1
    assert (tmp_path / "a.zip").read_bytes() == BODY


@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan"])
def test_timeout_must_be_a_number(monkeypatch, value):
    monkeypatch.setenv("SUPERRES_ZOO_TIMEOUT", value)
    with pytest.raises(BadInput, match="positive number of seconds"):
        timeout_s()


def test_timeout_default(monkeypatch):
    monkeypatch.delenv("SUPERRES_ZOO_TIMEOUT")
    assert timeout_s() == 30
