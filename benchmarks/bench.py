"""warmnet beside everything a user would pick instead, in one table and one picture: python benchmarks/bench.py

Contenders compute the same logits from the same weights, which is checked before any is timed, each at the first call, whose
time is reported and not counted. Then they take turns; see bench_turns.py. All are in one process, which on a CPU keeps the
memory that it frees (`warmnet.keep_memory`): what it would cost to get it back from the system is luck, and up to a third of a
time. Peak memory is that of a process for each, as it comes. Beside each library warmnet's time is compared turn by turn; the
ratio is the highest of those medians. ResNet-50 is none of the libraries. Beside each time stands how many times the floor it
is; see bench_floors.py. What could not be measured says why.

`--minutes` is shared out: each contest has an equal part of what is left, for its set-up and as many rounds as fit, at least
five; those that take long come last, and are not measured when nothing is left. The JSON is written after each contest. The
rows `compiled`, minutes of a C++ compiler for each contender, are measured when they are asked for; `scale`, a study of warmnet
as its memory comes, when it is asked for alone. It needs the peers in constraints.txt; see CONTRIBUTING.md.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bench_floors  # noqa: E402
import bench_shown  # noqa: E402
import torch  # noqa: E402
from bench_contenders import COLUMNS  # noqa: E402
from bench_deployed import Exports  # noqa: E402
from bench_measured import measured  # noqa: E402
from bench_rows import GROUPS, Asked  # noqa: E402

import warmnet  # noqa: E402
from warmnet.data.files import replacing  # noqa: E402
from warmnet.networks.families import NAMES  # noqa: E402

PACKAGES = (
    "torch", "warmnet", "timm", "torchvision", "efficientnet_pytorch", "keras", "onnx", "onnxruntime", "onnxscript", "openvino",
)  # fmt: skip
ROWS = *GROUPS, "scale"
DEFAULT = ",".join(row for row in ROWS if row not in ("compiled", "scale"))


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 if a contender was refused for what it computes."""
    options = parser().parse_args(arguments)
    study = "scale" in options.rows
    if study and len(options.rows) > 1:
        parser().error("--rows scale is a study of its own. Ask for it alone.")
    began, load = time.perf_counter(), os.getloadavg()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True  # of no effect on a CPU
    kept = options.device == "cpu" and not study and warmnet.keep_memory()
    floors = bench_floors.measured(options.device)
    asked = Asked(options.variants, options.batches, options.contenders, options.threads, options.device, Exports())
    about: dict[str, Any] = {
        "date": str(date.today()),
        "machine": f"{processor()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}",
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "threads": options.threads,
        "freed memory": "kept, but for the peaks" if kept else "as it comes",
        "load": {"before": load, "of": "1, 5 and 15 minutes"},
        "versions": versions(),
        "floors": {"operations/s": floors.peaks, "bytes/s": floors.bandwidth},
        "unit": "seconds of a call, or bytes; ratio is of warmnet's turns to those of the library where its median is highest",
    }

    if study:
        import bench_scale

        bench_scale.run(options, about, floors)
        return 0

    def keep(rows: list[dict[str, Any]]) -> None:
        about["load"]["after"], about["minutes"] = os.getloadavg(), round((time.perf_counter() - began) / 60, 1)
        with replacing(options.out) as path:
            path.write_text(json.dumps({**about, "rows": rows}, indent=1, ensure_ascii=False) + "\n")

    rows = measured(options.rows, asked, floors, began + 60 * options.minutes, keep)
    print(bench_shown.table(rows, about))
    bench_shown.draw(rows, about, options.out.with_suffix(".png"))
    return int(any(cell.get("missing", "").startswith("refused") for row in rows for cell in row["cells"].values()))


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("warmnet bench", description="warmnet beside everything a user would pick instead.")
    found.add_argument("--rows", type=among(ROWS), default=DEFAULT, help=f"of {', '.join(ROWS)}; default: {DEFAULT}")
    found.add_argument("--variants", type=among(NAMES), default="b0,b2,b4,b7", help="any of `warmnet summary`")
    found.add_argument("--batches", type=lambda text: [*map(positive, text.split(","))], default="1,16")
    found.add_argument("--contenders", type=among(COLUMNS), default=",".join(COLUMNS), help=f"of {', '.join(COLUMNS)}")
    found.add_argument("--threads", type=positive, default=torch.get_num_threads())
    found.add_argument("--minutes", type=float, default=60.0, help="to take in all, about; default: 60")
    found.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    found.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="the picture is beside it")
    return found


def among(allowed: Any) -> Callable[[str], list[str]]:
    """What reads names out of a text with commas, and refuses others."""

    def names(text: str) -> list[str]:
        if unknown := [name for name in text.split(",") if name not in allowed]:
            raise argparse.ArgumentTypeError(f"Unknown {unknown[0]!r}. Choose among {', '.join(allowed)}.")
        return text.split(",")

    return names


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0.")
    return int(text)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


if __name__ == "__main__":
    sys.exit(main())
