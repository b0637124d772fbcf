"""In which precision a machine computes fastest without a loss."""

import platform
from pathlib import Path

import keras

from zoo.core.recipe import Budget

INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16"})
"""Flags of processors that multiply bfloat16 numbers; others take ten times as long."""
PROCESSOR = Path("/proc/cpuinfo")


def precision_for(budget: Budget) -> str:
    """Return the Keras policy to train with: a budget may wish for bfloat16.

    It gets its wish on a GPU and on a processor with instructions for it.
    """
    if budget.mixed_precision and (has_gpu() or has_bfloat16()):
        return "mixed_bfloat16"
    return "float32"


def has_gpu() -> bool:
    """Say whether the backend of Keras computes on a GPU."""
    # asked for GPUs only, JAX raises where there is none
    devices = keras.distribution.list_devices()
    return any(name.lower().startswith(("gpu", "cuda", "rocm")) for name in devices)


def has_bfloat16() -> bool:
    """Say whether the processor multiplies bfloat16 numbers."""
    if platform.system() != "Linux" or not PROCESSOR.is_file():
        return False
    for line in PROCESSOR.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return bool(INSTRUCTIONS & set(line.partition(":")[2].split()))
    return False
