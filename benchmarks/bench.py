"""warmnet beside everything a user would pick instead, in one table and one picture: python benchmarks/bench.py

Contenders compute the same logits from the same weights, which is checked before any is timed, each at the first call, whose
time is reported and not counted. Then they take turns; see bench_turns.py. A contest is one row of the table. Its contenders
are in one process, which it has for itself, and which on a CPU keeps the memory that it frees (`warmnet.keep_memory`): what it
would cost to get it back from the system is luck, and up to a third of a time. Peak memory is that of a process for each
contender. In each turn warmnet's time is divided by each library's; the ratio is the highest of the medians.
Beside each time stands how many times the floor it is; see bench_floors.py. What could not be measured says why.

A contest has `--seconds` for its rounds, and at least seven rounds; those that take long come last. The JSON is written after
each, and what is in it is not measured again: after `--minutes`, a kill, or on another day the same command goes on. It
writes the picture and, as Markdown, the whole table beside the JSON. `compiled`, minutes of a C++ compiler for each contender,
is measured when it is asked for; `scale`, a study of warmnet as its memory comes, when it is asked for alone. It needs the
peers in constraints.txt; see CONTRIBUTING.md.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bench_floors  # noqa: E402
import bench_page  # noqa: E402
import bench_picture  # noqa: E402
import torch  # noqa: E402
from bench_contenders import COLUMNS  # noqa: E402
from bench_deployed import Exports  # noqa: E402
from bench_measured import hold  # noqa: E402
from bench_results import Results  # noqa: E402
from bench_rows import GROUPS, Asked, contests  # noqa: E402

from warmnet.networks.families import NAMES  # noqa: E402

PACKAGES = (
    "torch", "warmnet", "timm", "torchvision", "efficientnet_pytorch", "keras", "onnx", "onnxruntime", "onnxscript", "openvino",
)  # fmt: skip
VARIANTS = "b0,b2,b4,b7,lite0,v2-s,mobilenetv2-1.0,resnet50"
ROWS = *GROUPS, "scale"
DEFAULT = ",".join(row for row in ROWS if row not in ("compiled", "scale"))


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 if a contender was refused for what it computes."""
    options = parser().parse_args(arguments)
    if "scale" in options.rows and len(options.rows) > 1:
        parser().error("--rows scale is a study of its own. Ask for it alone.")
    torch.set_num_threads(options.threads)
    if options.rows == ["scale"]:
        import bench_scale

        bench_scale.run(options, about(options))
        return 0
    results = Results(options.out)
    floors = results.begin(about(options), lambda: bench_floors.measured(options.device))
    with tempfile.TemporaryDirectory() as folder:
        asked = Asked(
            options.variants, options.batches, options.contenders, options.threads, options.device, Exports(Path(folder))
        )
        end = time.monotonic() + 60 * options.minutes
        left = hold(options.rows, asked, results, floors, options.seconds, end)
    rows = results.rows(contest.name for contest in contests(options.rows, asked))
    page = bench_page.page(rows, results.runs)
    options.out.with_suffix(".md").write_text(page)
    bench_picture.draw(rows, results.runs, options.out.with_suffix(".png"))
    print(page)
    if left:
        print(f"Left for the next time: {left} contests. The same command goes on with them.", file=sys.stderr)
    return int(any(cell.get("missing", "").startswith("refused") for row in rows for cell in row["cells"].values()))


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        "warmnet bench", allow_abbrev=False, description="warmnet beside everything a user would pick instead."
    )
    found.add_argument("--rows", type=among(ROWS), default=DEFAULT, help=f"of {', '.join(ROWS)}; default: {DEFAULT}")
    found.add_argument("--variants", type=among(NAMES), default=VARIANTS, help=f"any of `warmnet summary`; default: {VARIANTS}")
    found.add_argument("--batches", type=lambda text: [*map(positive, text.split(","))], default="1,16")
    found.add_argument("--contenders", type=among(COLUMNS), default=",".join(COLUMNS), help=f"of {', '.join(COLUMNS)}")
    found.add_argument("--threads", type=positive, default=torch.get_num_threads())
    found.add_argument("--seconds", type=float, default=20.0, help="for the rounds of a contest, about; default: 20")
    found.add_argument("--minutes", type=float, default=float("inf"), help="after which no contest begins; default: none")
    found.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    found.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="picture and page are beside it")
    return found


def about(options: argparse.Namespace) -> dict[str, Any]:
    """What the times of a run depend on, beside the networks."""
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}",
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "threads": options.threads,
        "versions": versions(),
    }


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
