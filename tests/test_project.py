"""The project's own promises: imports go down only, importing is light, the shop window stays small, the README is true."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (  # from the ground up; a file imports from lower floors, or from its own package
    "errors",
    "checks",
    "kernels",
    "memory",
    "engine",
    "functional",
    "efficientnet",
    "preprocessing",
    "look",
    "scaling",
    "weights",
    "model_file",
    "training",
    "deployment",
    "workbench",
    "cli",
    "__main__",
)


def upward_imports(source: str, floor: str, level: int = 1) -> list[str]:
    """What a file on that floor imports from above it; `level` is 1 for warmnet/x.py, 2 for warmnet/x/y.py."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == level:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            found += [name for name in names if name in FLOORS and FLOORS.index(name) >= FLOORS.index(floor)]
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "warmnet":
            found.append(node.module)
    return found


def files():
    for path in sorted((ROOT / "warmnet").rglob("*.py")):
        inner = path.relative_to(ROOT / "warmnet")
        if inner != Path("__init__.py"):
            yield pytest.param(path, inner.parts[0].removesuffix(".py"), len(inner.parts), id=str(inner))


@pytest.mark.parametrize("path, floor, level", list(files()))
def test_imports_go_down_only(path, floor, level):
    assert floor in FLOORS, f"Give {floor} its place in FLOORS."
    assert not upward_imports(path.read_text(), floor, level)


def test_an_upward_import_is_found():
    assert upward_imports("from .efficientnet import STAGES", "functional") == ["efficientnet"]
    assert upward_imports("def f():\n    from . import weights", "look") == ["weights"]
    assert upward_imports("from ..cli import main", "training", 2) == ["cli"]
    assert not upward_imports("from .engine.block import block", "functional")


def test_only_one_file_knows_the_engine():
    users = [
        p.name
        for p in (ROOT / "warmnet").rglob("*.py")
        if re.search(r"\bwarm(\.| import )engine|import engine\b", p.read_text())
    ]
    assert users == ["pywarm.py"]


def test_importing_warmnet_imports_nothing_heavy():
    heavy = (
        "pytorch_lightning",
        "lightning",
        "sklearn",
        "matplotlib",
        "PIL",
        "onnx",
        "rich",
        "torch._dynamo",
        "torch._inductor",
        "scipy",
        "sympy",
    )
    code = "import sys, torch; before = set(sys.modules); import warmnet; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "warmnet.efficientnet" in loaded
    assert not [name for name in loaded if name.startswith(heavy)]


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code: no blank lines, comments or docstrings."""
    tree, lines = ast.parse(source), set()
    layout = tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return lines


def test_the_whole_of_efficientnet_is_at_most_150_lines_of_code():
    source = (ROOT / "warmnet/efficientnet.py").read_text()
    assert 50 < len(code_lines(source)) <= 150
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    assert all(node.end_lineno - node.lineno < 40 for node in functions)


def test_a_version_has_one_place_and_a_changelog_entry():
    import warmnet

    assert f"## {warmnet.__version__}" in (ROOT / "CHANGELOG.md").read_text()


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", [page for page in PAGES if "```python\n" in page.read_text()], ids=lambda page: page.name)
def test_the_python_of_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    """Each ```python block, in order, in one namespace; a comment `# prints: ...` is the real output of its line."""
    monkeypatch.chdir(tmp_path)  # it writes files
    namespace: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    for block in blocks:
        out = io.StringIO()
        namespace["print"] = lambda *args, out=out: print(*args, file=out)
        exec(block, namespace)
        assert out.getvalue().splitlines() == re.findall(r"# prints: (.*)", block)
