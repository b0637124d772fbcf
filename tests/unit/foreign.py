"""Programs that tests start in a Python, or without one, of their own."""

import os
import subprocess

import pytest


def interpreter(variable):
    """Return the Python that a variable names, or skip."""
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} names no Python")
    return python


def run(*words, codes=(0,)):
    """Return the lines that a program prints which ends with one of some codes."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=600,
    )
    assert done.returncode in codes, done.stderr
    return done.stdout.strip().splitlines()
