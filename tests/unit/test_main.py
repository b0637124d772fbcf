"""The program from its first line to its last: it can be stopped, and says so."""

import signal
import subprocess
import sys

import pytest

EARLY = """
import os
import sys
from zoo.__main__ import be_stoppable
be_stoppable()
os.kill(os.getpid(), int(sys.argv[1]))
raise SystemExit("went on")
"""
LATE = """
import atexit
import os
import sys
from zoo.__main__ import main
ending = int(sys.argv.pop(1))
atexit.register(lambda: os.kill(os.getpid(), ending))
main()
"""
every_request = pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])


def run(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True
    )


@every_request
def test_a_program_that_still_imports_ends_in_one_line(ending):
    done = run("-c", EARLY, int(ending))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "zoo: interrupted; nothing incomplete was left behind\n"


@every_request
def test_a_program_that_is_done_says_so_however_it_is_ended(ending):
    done = run("-c", LATE, int(ending), "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("zoo ")
    assert done.stderr == ""
    assert run("-c", LATE, int(ending), "predict").returncode == 2


def test_the_package_runs_as_a_program():
    done = run("-m", "zoo", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("zoo ")
