"""Prints, at the end, what each program made of warmnet's network and of the peer's."""

import pytest


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore")  # the clients' own


@pytest.fixture
def row(record_property):
    """Note a line of the table: what a client found in warmnet's network, and in the peer's, if there is one."""

    def row(client, what, ours, peer="", theirs=""):
        record_property("row", (client, what, _cell(ours), f"{_cell(theirs)} ({peer})" if peer else ""))

    return row


def _cell(value):
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def pytest_terminal_summary(terminalreporter):
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    reports.sort(key=lambda report: report.nodeid)
    rows = [value for report in reports for name, value in report.user_properties if name == "row"]
    if rows:
        table = [("client", "what", "warmnet", "peer"), ("---",) * 4, *rows]
        terminalreporter.write_line("\n" + "\n".join(f"| {' | '.join(line)} |" for line in table))
