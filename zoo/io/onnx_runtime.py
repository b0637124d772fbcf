"""ONNX Runtime, which reports to its makers by default, kept from doing so."""

import os
from importlib import import_module
from types import ModuleType

SILENT = {"ORT_DISABLE_TELEMETRY": "1"}
"""Environment in which it sends nothing and keeps no number for the machine (its
``Privacy.md``); read when it is imported first."""


def onnx_runtime() -> ModuleType:
    """Import ONNX Runtime without its telemetry.

    Its official builds, 1.32 for one, send events to Microsoft, and keep a number for
    the machine in the user's cache and one for the session among temporary files.
    Whoever wants that sets ``ORT_DISABLE_TELEMETRY=0``.
    """
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    return import_module("onnxruntime")
