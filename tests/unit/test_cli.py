"""The command line as a user meets it: help, speed, exit codes, one line on failure."""

import errno
import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import typer

from zoo import cli, terminal
from zoo.core.errors import BadInput

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "demo",
    "list",
    "show",
    "predict",
    "simulate",
    "train",
    "package",
    "verify",
    "check",
    "evaluate",
    "convert",
    "download",
    "calibrate",
    "design",
    "fit-crappifier",
]


def in_new_process(*words, code="from zoo.cli import main; main()"):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_command(zoo):
    code, out, err = zoo("--help")
    assert code == 0
    assert not err
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert set(COMMANDS) <= set(listed)
    assert "..." not in out.split("Commands:")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example_that_parses(zoo, command):
    code, out, err = zoo(command, "--help")
    assert code == 0
    assert not err
    assert "--quiet" in out
    assert "--debug" in out
    example = out.split("Example:")[1].split()
    assert example[:2] == ["zoo", command]
    root = typer.main.get_command(cli.app)
    subcommand = root.commands[command]
    subcommand.make_context(command, example[2:])


def test_without_a_command_the_help_is_shown(zoo):
    code, out, _ = zoo()
    assert code == 0
    listed = out.split("Commands:")[1].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == COMMANDS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["prdict"],
            "No such command 'prdict'. Did you mean 'predict'? See zoo --help",
        ),
        (["predict"], "Missing argument 'NAME|PATH'. See zoo predict --help"),
        (["predict", "a", "b"], "Missing option '-o'"),
        (["predict", "a", "b", "-o", "c", "--engine", "torch"], "'torch'"),
        (["predict", "a", "b", "-o", "c", "--tile", "x"], "--tile"),
        (["simulate", "a", "-o", "b", "-n", "0"], "--count"),
        (["train"], "give either NAME or --resume RUN"),
        (["train", "a", "--resume", "b"], "give either NAME or --resume RUN"),
        (["convert", "a", "-o", "b"], "give either --as NETWORK or --to FORMAT"),
        (["package"], "give RUN or NAME"),
        (["list", "--wrong"], "--wrong"),
    ],
)
def test_wrong_calls_exit_with_2_and_one_line(zoo, words, message):
    code, out, err = zoo(*words)
    assert code == 2
    assert not out
    assert err.startswith("zoo: ")
    assert message in err
    assert err.count("\n") == 1


def fail_with(monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr("zoo.cards.rows", broken)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BadInput("a.tif is odd; mend it"), "a.tif is odd; mend it"),
        (ValueError("two\nlines"), "two lines"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a.tif"),
            "a.tif: No such file or directory; check the name",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/image.ome.tif"),
            "out/image.ome.tif: No space left on device; free some space or choose "
            "another disk with -o",
        ),
        (KeyError("x"), "KeyError: 'x' (--debug shows where)"),
        (RuntimeError(""), "RuntimeError: no message (--debug shows where)"),
        (
            EOFError("No data left"),
            "a file ends where more is to come; copy or download it again "
            "(No data left)",
        ),
        (
            MemoryError("14 GiB"),
            "there is not enough memory; choose a smaller part, tile or batch size, or "
            "end other programs (14 GiB)",
        ),
        (
            RecursionError("too deep"),
            "a file nests its contents too deeply; get it from a source you trust "
            "(too deep)",
        ),
        (
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
            "a text or name is not UTF-8; rename or convert the file that holds it "
            "('utf-8' codec can't decode byte 0xff in position 0: bad)",
        ),
        (zlib.error("-3"), "a file is damaged; copy or download it again (-3)"),
        (
            ImportError("no such symbol"),
            "a library cannot be loaded; install superres-zoo again in a new "
            "environment (no such symbol)",
        ),
        (
            OverflowError("inf"),
            "a number is beyond what can be computed with; check sizes and options "
            "(inf)",
        ),
        (KeyboardInterrupt(), "interrupted; nothing incomplete was left behind"),
    ],
)
def test_failures_exit_with_1_and_one_line(zoo, monkeypatch, error, line):
    fail_with(monkeypatch, error)
    code, out, err = zoo("list")
    assert code == 1
    assert not out
    assert err == f"zoo: {line}\n"


def test_debug_lets_the_traceback_through(monkeypatch):
    fail_with(monkeypatch, BadInput("odd"))
    with pytest.raises(BadInput, match="odd"):
        cli.main(["list", "--debug"])


def test_a_failure_is_one_line_in_a_real_process(tmp_path):
    done = in_new_process("predict", tmp_path, tmp_path / "a.tif", "-o", tmp_path / "o")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("zoo: ")
    assert not (tmp_path / "o").exists()


def test_native_chatter_and_warnings_do_not_reach_the_user():
    code = (
        "import os, warnings, zoo.cards\n"
        "def rows():\n"
        "    os.write(2, b'chatter of a library')\n"
        "    warnings.warn('of another')\n"
        "    raise ValueError('ours')\n"
        "zoo.cards.rows = rows\n"
        "from zoo.cli import main; main()"
    )
    quiet = in_new_process("list", code=code)
    assert (quiet.returncode, quiet.stderr) == (1, "zoo: ours\n")
    loud = in_new_process("list", "--debug", code=code)
    assert "chatter of a library" in loud.stderr
    assert "Traceback" in loud.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("list",),
        ("list", "--json"),
        ("show", "dfcan_sim"),
        ("show", "dfcan_sim", "--json"),
        ("predict", "--help"),
        ("train", "--help"),
    ],
    ids=" ".join,
)
def test_commands_that_answer_at_once_import_nothing_heavy(words):
    heavy = (
        "keras tensorflow jax torch onnxruntime onnx pandas skimage matplotlib "
        "bioimageio pooch scipy"
    )
    code = (
        "import sys\n"
        "from zoo.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    bad = [m for m in {heavy.split()} if m in sys.modules]\n"
        "    sys.stderr.write(str(bad))\n"
    )
    done = in_new_process(*words, code=code)
    assert done.returncode == 0
    assert done.stderr == "[]"


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, zoo; print(sum(m in sys.modules for m in ('numpy', 'keras')))"
    assert in_new_process(code=code).stdout == "0\n"


def test_version(zoo):
    code, out, _ = zoo("--version")
    assert code == 0
    assert out.startswith("zoo ")


def test_a_closed_pipe_is_not_a_traceback():
    line = f"{sys.executable} -c 'from zoo.cli import main; main()' --help | true"
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


def test_progress_is_silent_without_a_terminal():
    with terminal.progress("frames", quiet=False) as report:
        assert report is None


def test_progress_draws_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with terminal.progress("frames", quiet=True) as report:
        assert report is None
    with terminal.progress("frames", quiet=False) as report:
        assert report is not None
        report(1, 4)
        report(4, 4, {"loss": 1.0})
    assert "1/4" in capsys.readouterr().err


def test_a_forecast_is_given_once(capsys):
    calls = []
    report = terminal.forecast(lambda *words: calls.append(words), quiet=False)
    figures = {"loss": 1.0, "samples_per_s": 1234.5, "remaining_s": 3600.0}
    report(0, 4)
    report(1, 4, figures)
    report(2, 4, figures)
    assert calls == [(0, 4, None), (1, 4, figures), (2, 4, figures)]
    out = capsys.readouterr().out
    assert out.startswith("1,234 samples per second; done at about ")
    assert out.endswith(", 1:00:00 from now\n")
    terminal.forecast(None, quiet=True)(1, 4, figures)
    assert capsys.readouterr().out == ""


def test_unknown_conversions_list_the_known(zoo, tmp_path):
    code, _, err = zoo("convert", "x.h5", "--as", "no_such", "-o", tmp_path / "o")
    assert code == 1
    assert "no converter for checkpoints of 'no_such'" in err
    code, _, err = zoo("convert", "x", "--to", "no_such", "-o", tmp_path / "o")
    assert code == 1
    assert "no converter for the format 'no_such'; supported are" in err
    assert not list(tmp_path.iterdir())


def test_scores_of_a_table(zoo, tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text(
        '"id","frame","x [nm]","y [nm]"\n1,1,1000,1000\n2,2,2000,2000\n',
        encoding="utf-8",
    )
    found = tmp_path / "found.csv"
    found.write_text(
        '"id","frame","x [nm]","y [nm]"\n1,1,1003,1004\n', encoding="utf-8"
    )
    code, out, _ = zoo("evaluate", found, "--truth", truth, "-o", tmp_path)
    assert code == 0
    assert "RMSE lateral" in out
    stored = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    scores = stored["localizations"]["all"]
    assert scores["jaccard"] == 0.5
    assert scores["rmse_lateral_nm"] == pytest.approx(5)

    code, _, err = zoo("evaluate", found, "--truth", truth, "-o", tmp_path)
    assert code == 1
    assert "--overwrite" in err
    assert (
        zoo("evaluate", found, "--truth", truth, "-o", tmp_path, "--overwrite")[0] == 0
    )
    code, _, err = zoo("evaluate", found, "-o", tmp_path / "new")
    assert code == 1
    assert "--truth" in err


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
@pytest.mark.parametrize("columns", [80, 100])
def test_a_card_fits_a_terminal_and_is_paged(tmp_path, columns):
    import pty

    seen = tmp_path / "seen.txt"
    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\necho "$LESS" > {seen}\ncat >> {seen}\n')
    pager.chmod(0o755)
    command = [sys.executable, "-c", "from zoo.cli import main; main()"]
    ours, theirs = pty.openpty()
    settings = {"PAGER": str(pager), "COLUMNS": str(columns), "TERM": "xterm"}
    environment = {k: v for k, v in os.environ.items() if k != "LESS"} | settings
    done = subprocess.run(
        [*command, "show", "deep_storm_fast_microtubules"],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0, done.stderr
    options, *lines = seen.read_text(encoding="utf-8").splitlines()
    plain = [re.sub(r"\x1b\[[0-9;]*m|\x1b\].*?\x1b\\", "", line) for line in lines]
    assert options == "-FRX"
    assert any("Intended use" in line for line in plain)
    assert max(len(line.rstrip()) for line in plain) <= columns
    assert not any("…" in line for line in plain if "zoo" not in line)
