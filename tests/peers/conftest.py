"""Prints, at the end, the largest errors for each variant and peer as a table for the README."""

from collections import defaultdict


def pytest_terminal_summary(terminalreporter):
    largest = defaultdict(lambda: defaultdict(float))
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for row, dtype, errors in (value for name, value in report.user_properties if name == "errors"):
            for what, error in errors.items():
                largest[row][f"{what}, {dtype}"] = max(error, largest[row][f"{what}, {dtype}"])
    if largest:
        columns = max(largest.values(), key=len)
        table = [["variant", "peer", *columns], ["---"] * (2 + len(columns))]
        table += [[*row, *(f"{cells[key]:.1e}" if key in cells else "" for key in columns)] for row, cells in largest.items()]
        terminalreporter.write_line("\n" + "\n".join(f"| {' | '.join(line)} |" for line in table))
