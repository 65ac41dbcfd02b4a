import ast
import runpy
from pathlib import Path

import pytest
import torch

SCRIPTS = sorted(path for path in (Path(__file__).parents[1] / "edits").glob("*.py") if path.name != "conftest.py")


def test_there_are_twelve():
    assert len(SCRIPTS) == 12


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_edit_does_what_it_says(script):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_edit_is_small(script):
    """One to three changed lines; for the U-Net, functions that fit on a screen together."""
    source = script.read_text()
    if script.stem == "unet":
        functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
        assert 0 < sum(node.end_lineno - node.lineno + 1 for node in functions) <= 30
    else:
        assert 1 <= sum(line.endswith("  # edit") for line in source.splitlines()) <= 3
