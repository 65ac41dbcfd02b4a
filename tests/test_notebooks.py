"""The notebooks run, and show what they said when they were run last."""

import json
import re
from pathlib import Path

import matplotlib
import pytest
import torch

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def test_they_are_numbered_from_one():
    assert [path.name.partition("-")[0] for path in NOTEBOOKS] == [*"12345678"]


SHORTENED = {  # what takes long, and what is run instead
    "1": {"range(epochs)": "range(1)", "range(1, 6)": "[1]", "randperm(1000)": "randperm(200)"},
    "2": {"range(6)": "range(1)", "randperm(1200)": "randperm(200)"},
    "3": {"range(epochs)": "range(1)", "range(4)": "range(2)", "randperm(1000)": "randperm(200)"},
    "4": {
        "range(0, 15)": "range(0, 2)", "range(1, 8)": "[1]", "range(8)": "range(2)", "range(5)": "range(2)", "B[:5]": "B",
        '"macs", "memory"]': "]", "1e9": "1e8", "100e6": "10e6",
    },
    "5": {"epochs=5": "epochs=1"},
    "6": {"STEPS = 200": "STEPS = 4", '"test", 256': '"test", 16'},
    "7": {"calls=7": "calls=1"},
    "8": {"epochs=4": "epochs=1", "trials=3": "trials=1"},
}  # fmt: skip


@each_notebook
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of NumPy, when matplotlib draws a tensor
def test_it_runs_shortened(path, tmp_path, monkeypatch):
    """Each code cell, in order, in one namespace. Whole it runs when its outputs are made: see CONTRIBUTING.md."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    namespace, found = {"__name__": "__main__"}, set()
    instead = SHORTENED[path.name[0]]
    with matplotlib.rc_context(), torch.random.fork_rng():
        for number, cell in enumerate(cells(path, "code"), 1):
            source = "".join(cell["source"])
            found |= {before for before in instead if before in source}
            for before, after in instead.items():
                source = source.replace(before, after)
            exec(compile(source, f"{path.name}, code cell {number}", "exec"), namespace)
            pyplot.close("all")
    assert found == {*instead}


@each_notebook
def test_its_outputs_are_of_one_run_without_errors_or_warnings(path):
    code = cells(path, "code")
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}
    assert any("image/png" in output.get("data", {}) for output in outputs)


@each_notebook
def test_its_first_cell_says_what_the_reader_will_see(path):
    text = "".join(cells(path, "markdown")[0]["source"])
    assert text.startswith(f"# {path.name[0]}. ")
    assert "**You will see**" in text


@each_notebook
def test_none_fails_where_the_machine_is_slow(path):
    """A budget of time, or an assertion about one, holds on some machines only."""
    code = "".join("".join(cell["source"]) for cell in cells(path, "code"))
    assert not re.search(r"milliseconds=|assert.*(seconds|perf_counter|time)", code)


@each_notebook
def test_it_and_its_cells_are_small(path):
    assert path.stat().st_size < 400_000
    assert all(len(cell["source"]) <= 30 for cell in cells(path, "code"))
