"""Whether warmnet computes on the GPU what it has to: beside timm and float64, and by its own tests."""

import copy
import os
import time
from typing import Any

import torch
from gpu_contenders import MINE, ROOT, TIMM, alive, amp, apart, pair
from gpu_run import LATE, Add, Row, Settings
from torch import Tensor, nn

PRECISIONS = {  # whether float32 is computed in TF32; what AMP computes in; an error that is rounding, whatever timm's is
    "fp32": (False, None, 1e-5),
    "fp32 in TF32": (True, None, 1e-2),
    "AMP bf16": (False, torch.bfloat16, 5e-2),
    "AMP fp16": (False, torch.float16, 1e-2),
}
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def parity(settings: Settings, add: Add, until: float) -> None:
    """b0 and b4, warmnet's and timm's, against the same weights in float64 on the CPU: logits, and gradients in training."""
    for variant, size in {"b0": 224, "b4": 380}.items():
        networks = pair(variant)
        inputs = alive.images(96 if settings.tiny else size, 96 if settings.tiny else size), alive.images(96, 96)
        exact = copy.deepcopy(networks[MINE]).double()
        wanted = alive.logits(exact, inputs[0]), gradient(exact, inputs[1])  # the former sees that the signal is alive
        for layout, memory_format in LAYOUTS.items():
            networks = {name: network.to(settings.device, memory_format=memory_format) for name, network in networks.items()}
            x, small = (y.float().to(settings.device, memory_format=memory_format) for y in inputs)
            for precision, (tf32, dtype, least) in PRECISIONS.items():
                row: Row = {"variant": variant, "of": "logits", "layout": layout, "precision": precision}
                if time.monotonic() > until:
                    add(row | {"missing": LATE})
                    continue
                allow_tf32(tf32)
                with torch.no_grad(), amp(settings, dtype):
                    found = {name: network.eval()(x) for name, network in networks.items()}
                add(row | compared(found, wanted[0], least))
            allow_tf32(False)
            row = {"variant": variant, "of": "gradient", "layout": layout, "precision": "fp32"}
            found = {name: gradient(network, small) for name, network in networks.items()}
            add(row | compared(found, wanted[1], 1e-5))


def allow_tf32(allowed: bool) -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed


def gradient(network: nn.Module, x: Tensor) -> Tensor:
    """Those of all parameters as one, in training mode. The statistics stay as they were."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    alive.loss(network.train()(x)).backward()
    found = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    network.zero_grad()
    for name, buffer in network.named_buffers():
        buffer.copy_(before[name])
    return found


def compared(found: dict[str, Tensor], wanted: Tensor, least: float) -> Row:
    """Errors relative to the largest number. warmnet's may be `least`, or twice as large as timm's."""
    row: Row = {name: apart(one, wanted) for name, one in found.items()}
    row["warmnet to timm tf"] = apart(found[MINE], found[TIMM])
    if not row[MINE] <= max(2 * row[TIMM], least):
        row["failed"] = f"failed: warmnet is {row[MINE]:.1e} away from float64, timm {row[TIMM]:.1e}"
    return row


def tests(settings: Settings, add: Add, until: float) -> None:
    """pytest -m gpu, a row for each test. Only files with such tests are read: others need what is not on every machine."""
    import pytest

    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    if not files:
        raise FileNotFoundError(f"No test in {ROOT / 'tests'} is marked gpu.")
    os.chdir(ROOT)
    options = ["-m", "gpu", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    code = pytest.main([*options, *files], plugins=[Reporter(add, until)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):  # of those that failed the rows tell
        add({"failed": f"failed: pytest ended with {pytest.ExitCode(code).name}"})


class Reporter:
    """A plugin of pytest's that adds a row for each test as it ends, and skips those for which no time is left."""

    def __init__(self, add: Add, until: float):
        self.add, self.until = add, until

    def pytest_runtest_setup(self, item: Any) -> None:
        import pytest

        if time.monotonic() > self.until:
            pytest.skip("no time was left")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.passed:
            return
        row = {"test": report.nodeid, "seconds": round(report.duration, 2)}
        if report.failed:
            row |= {"failed": f"failed: {crash(report)}", "report": report.longreprtext}
        elif report.skipped:
            row["missing"] = f"not measured: {str(report.longrepr[-1]).removeprefix('Skipped: ')}"
        self.add(row)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.add({"test": report.nodeid, "failed": f"failed: {crash(report)}", "report": report.longreprtext})


def crash(report: Any) -> str:
    """The error of a test in one line."""
    found = getattr(report.longrepr, "reprcrash", None)
    lines = str(found.message if found else report.longrepr).strip().splitlines()
    return (lines[0] if found else lines[-1]) if lines else "?"
