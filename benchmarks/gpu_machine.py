"""What the measurements are made on."""

import os
import platform
import subprocess
from pathlib import Path

import torch
from gpu_run import Add, Row, Settings
from gpu_turns import seconds_of


def machine(settings: Settings, add: Add, until: float) -> None:
    """What it runs on, and the most that it does."""
    row: Row = {"processor": processor(), "cores": os.cpu_count(), "CUDA": torch.version.cuda}
    if settings.device == "cuda":
        there = torch.cuda.get_device_properties(0)
        row |= {
            "device": there.name,
            "capability": f"{there.major}.{there.minor}",
            "memory, bytes": there.total_memory,
            "multiprocessors": there.multi_processor_count,
            "cudnn": torch.backends.cudnn.version(),
            **nvidia_smi("driver_version", "clocks.sm", "clocks.max.sm", "power.limit", "temperature.gpu", "memory.used"),
        }
    add(row)
    side, numbers = (256, 2**20) if settings.tiny else (8192, 2**29)
    a = torch.randn(side, side, device=settings.device).bfloat16()
    x = torch.rand(numbers, device=settings.device)
    y = torch.empty_like(x)
    product, copied = (min(seconds_of(call, 5) for _ in range(4)) for call in (lambda: a @ a.t(), lambda: y.copy_(x)))
    add({"bf16 operations/s": 2 * side**3 / product, "bytes/s, read and written": 2 * x.nbytes / copied})


def nvidia_smi(*names: str) -> Row:
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader", "--id=0"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return {"nvidia-smi": f"not measured: {error}"}
    return dict(zip(names, (value.strip() for value in text.split(","))))


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
