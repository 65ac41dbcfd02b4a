"""What only a GPU can tell of warmnet, in one run: see gpu.sh, which runs it.

It writes one JSON as it goes. Each stage has the time that it needs, or its share where there is less; one that fails or runs
out of time is told of there in a line, and the others go on. Contenders are measured alternately, in rounds; a time is the
median (and minimum) of the rounds, a ratio that of warmnet's to the faster of timm's and torchvision's, round by round.
cuDNN chooses its algorithms by its rules, as torch has it by default, and does not try them.
"""

import argparse
import hashlib
import os
import platform
import re
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from gpu_run import Record, Settings, Stage, run  # noqa: E402

ROOT = Path(__file__).parents[1]
PACKAGES = "torch", "triton", "timm", "torchvision", "pywarm", "numpy", "safetensors", "pytest"


STAGES = {  # the most valuable first; seconds that each needs
    "machine": Stage("gpu_machine", "machine", 10),
    "parity": Stage("gpu_exact", "parity", 60),
    "tests": Stage("gpu_exact", "tests", 140),
    "forward": Stage("gpu_speed", "forward", 130),
    "training": Stage("gpu_speed", "training", 110),
    "kernel": Stage("gpu_kernel", "kernel", 40),
    "compiled": Stage("gpu_speed", "compiled", 40),
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 if a stage failed or ran out of time."""
    began = time.monotonic()
    options = parser().parse_args(arguments)
    settings = Settings.dry(options.device) if options.tiny else Settings(options.device)
    if options.device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"  # for the stages; triton reads it when it is imported, as torch may do
    record = Record(options.out, {**about(options), "began": now()})
    stages = {name: stage for name, stage in STAGES.items() if name in options.stages}
    minutes = options.minutes or (60 if options.tiny else 8.5)  # a dry run takes two, and on a busy machine more
    failed = run(stages, settings, record, began + 60 * minutes)
    record.content["ended"] = now()
    record.save()
    print(f"\n{options.out}: {len(stages) - len(failed)} of {len(stages)} stages done")
    for name in failed:
        print(f"{name}: {record.content['stages'][name]['status']}")
    return int(bool(failed))


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("benchmarks/gpu.sh", description="What only a GPU can tell of warmnet, in one run.")
    found.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    found.add_argument("--tiny", action="store_true", help="just see that everything runs")
    found.add_argument("--minutes", type=float, help="to take in all; default: 8.5, and 60 for a dry run")
    found.add_argument("--stages", type=chosen, default=[*STAGES], help=f"of {','.join(STAGES)}; default: all")
    folder = Path(os.environ.get("OUT") or Path(__file__).parent)
    found.add_argument("--out", type=Path, default=folder / "gpu.json", help=f"default: {folder / 'gpu.json'}")
    return found


def chosen(text: str) -> list[str]:
    if unknown := [name for name in text.split(",") if name not in STAGES]:
        raise argparse.ArgumentTypeError(f"Unknown {unknown[0]!r}. Choose among {', '.join(STAGES)}.")
    return text.split(",")


def about(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "command": f"benchmarks/gpu.sh {' '.join(sys.argv[1:])}".strip(),
        "minutes": options.minutes,
        "commit": commit(),
        "sources": sources(),
        "versions": versions(),
        "unit": "seconds of a call: median and minimum of the rounds, and ratios in each; errors are of the largest number",
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    found["warmnet"] = re.findall(r'__version__ = "(.*)"', (ROOT / "warmnet/version.py").read_text())[0]
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def commit() -> str | None:
    """The commit that is checked out, and whether something was changed since; None where there is no repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def sources() -> str:
    """A digest of warmnet's files, for where there is no repository."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "warmnet").rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


if __name__ == "__main__":
    sys.exit(main())
