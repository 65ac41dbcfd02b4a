import io
import re

import pytest
import rich
from rich.cells import cell_len
from test_run import FEW, SHORT, TINY

from warmnet import training
from warmnet.training.metrics import Epoch
from warmnet.training.progress import Progress


@pytest.fixture
def terminal(monkeypatch):
    """What is written to a terminal of 60 columns."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    written = io.StringIO()
    rich.reconfigure(file=written, force_terminal=True, width=60)
    yield written
    rich.reconfigure()


def test_the_bar_says_what_it_is_of_and_fits_60_columns(terminal, undrawn, tmp_path):
    training.fit(FEW, SHORT, tmp_path, variant=TINY)
    written = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.getvalue())
    lines = re.split(r"[\r\n]+", written)
    assert max(map(cell_len, lines)) <= 60
    assert re.search(r"epoch 1/1, step \d+/\d+ of the run", written) and "evaluating, batch 1/" in written


@pytest.mark.parametrize("loss", [0.1234, 99.99, 12_345.6, 654_321.0])
@pytest.mark.parametrize("seconds", [0.1, 86_400.5])
@pytest.mark.parametrize("width", [60, 80])
def test_an_epochs_line_does_not_wrap(loss, seconds, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    Progress(10, 0, 350).end_epoch(Epoch(350, 0.01, loss, loss, 0.5, 1.0, seconds))
    line = capsys.readouterr().out.rstrip("\n")
    assert len(line) <= width and line.startswith("epoch 350/350") and "100.0% right" in line
