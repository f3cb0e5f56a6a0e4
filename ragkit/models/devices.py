"""Which device and number format a local model gets, decided without importing torch.

A run whose calls are all in the cache has to know its models' fingerprints, and so their device and number format,
but must not pay for loading torch. So `auto` is decided from what the system tells: NVIDIA's management library and
the CPU's flags. `check` compares the decision with what torch finds when the weights are loaded.
"""

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Literal

from ragkit.errors import InputError

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
DEVICE_PATTERN = r"^(auto|cpu|mps|cuda(:\d+)?)$"

_CPU_INFO = Path("/proc/cpuinfo")


def resolve_device(device: str) -> str:
    """Return the device that `auto` stands for here (`cuda`, `mps` or `cpu`), and any other name as it is."""
    if device != "auto":
        return device
    if _cuda_capability() is not None:
        return "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def resolve_dtype(dtype: Dtype, device: str) -> Literal["float32", "bfloat16", "float16"]:
    """Return the number format that `auto` stands for on a resolved device, and any other name as it is.

    It is bfloat16 where the hardware multiplies in it (NVIDIA from compute capability 8.0; CPUs with AMX or
    AVX512-BF16), else float32.
    """
    if dtype != "auto":
        return dtype
    if device.startswith("cuda"):
        return "bfloat16" if (_cuda_capability() or (0, 0)) >= (8, 0) else "float32"
    return "bfloat16" if device == "cpu" and _cpu_flags() & {"amx_bf16", "avx512_bf16"} else "float32"


def check(requested: str, resolved: str) -> None:
    """Compare a resolved device with what torch can use, so that nothing runs on a slower device unnoticed.

    Raises:
        InputError: torch cannot use the device, or can use a GPU that `auto` did not find.
    """
    import torch

    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = resolved.split(":")[0]
    if not usable[kind]:
        meaning = "" if requested == resolved else f" means {resolved} here"
        raise InputError(
            f"device: {requested}{meaning}, but the installed torch ({torch.__version__}) cannot use it: "
            "install a build of torch that can, or set device: cpu"
        )
    if kind == "cuda" and ":" in resolved and int(resolved.split(":")[1]) >= torch.cuda.device_count():
        raise InputError(f"device: {requested}: there are only {torch.cuda.device_count()} CUDA devices")
    if requested == "auto" and kind == "cpu" and usable["cuda"]:
        raise InputError("device: auto found no GPU, but torch has one: set device: cuda (or device: cpu)")


@cache
def _cuda_capability() -> tuple[int, int] | None:
    """Return the lowest compute capability of the visible NVIDIA GPUs, None if there is none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in {"", "-1"}:
        return None
    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return None
    if nvml.nvmlInit_v2() != 0:
        return None
    count, major, minor, handle = ctypes.c_uint(), ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
    found = []
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0:
        for index in range(count.value):
            if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) != 0:
                continue
            if nvml.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor)) == 0:
                found.append((major.value, minor.value))
    nvml.nvmlShutdown()
    return min(found, default=None)


@cache
def _cpu_flags() -> frozenset[str]:
    """Return the CPU's feature flags; empty where the system has no /proc/cpuinfo."""
    if not _CPU_INFO.exists():
        return frozenset()
    for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()
