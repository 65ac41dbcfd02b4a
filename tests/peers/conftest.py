"""Prints, at the end, the largest errors for each variant and peer, and what each network is, as tables for the docs."""

import inspect
from collections import defaultdict

from test_project import code_lines

import warmnet
from warmnet.networks import efficientnet_v2
from warmnet.networks.families import NAMES

PEERS = "timm", "torchvision", "lukemelas", "keras", "lite-pytorch"  # the columns of the second table


def pytest_terminal_summary(terminalreporter):
    largest = defaultdict(lambda: defaultdict(float))
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for row, dtype, errors in (value for name, value in report.user_properties if name == "errors"):
            for what, error in errors.items():
                largest[row][f"{what}, {dtype}"] = max(error, largest[row][f"{what}, {dtype}"])
    if largest:
        columns = max(largest.values(), key=len)
        rows = [[*row, *(written(cells.get(key)) for key in columns)] for row, cells in largest.items()]
        terminalreporter.write_line(table(["variant", "peer", *columns], rows))
        terminalreporter.write_line(
            table(
                ["network", "lines of code", "parameters", "GMACs", *(f"{peer}, float64 / float32" for peer in PEERS)],
                [[*figures(name), *(both(largest, name, peer) for peer in PEERS)] for name in NAMES if of_any(largest, name)],
            )
        )


def of_any(largest, name):
    return any((name, peer) in largest for peer in PEERS)


def both(largest, name, peer):
    """The largest errors of the logits in both precisions; nothing for a peer that has no such network."""
    cells = largest.get((name, peer), {})
    errors = [written(cells.get(f"logits, {dtype}")) for dtype in ("float64", "float32")]
    return " / ".join(each or "-" for each in errors) if any(errors) else ""


def figures(name):
    """A network's name, the lines of code of its file, its parameters and multiply-adds, as text."""
    file = efficientnet_v2 if name.startswith("v2-") else inspect.getmodule(NAMES[name])
    measured = warmnet.tabulate(NAMES[name](name, device="meta"))
    lines = len(code_lines(inspect.getsource(file)))
    return [name, str(lines), f"{measured.parameters:,}", f"{measured.macs / 1e9:.3f}"]


def written(error):
    if error is None:
        return ""
    return f"{error:.1e}" if error else "0"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
