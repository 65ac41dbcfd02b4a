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
FLOORS = (  # from the ground up; a file imports from lower floors, or from its own
    "errors",
    "version",
    "spelling",
    "checks",
    "text",
    "terminal",
    "kernels",
    "data",
    "plotting",
    "engine",
    "functional",
    "networks",
    "summary",
    "weights",
    "authoring",
    "deployment",
    "inspection",
    "training",
    "cli",
    "__main__",
)
MODULES = {  # by name: 'warmnet.engine.block', 'warmnet.engine'
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "warmnet").rglob("*.py"))
}
FILES = [name for name in MODULES if name != "warmnet"]  # warmnet/__init__.py gathers the public names, and nothing else


def imported(source: str, package: str) -> set[str]:
    """The modules of warmnet that a file of `package` imports: at its head, in functions, or for type checking."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            home = ".".join(parts[: len(parts) + 1 - node.level] if node.level else [])
            base = ".".join(filter(None, (home, node.module)))
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else base for name in names}
    return {name for name in found if name.partition(".")[0] == "warmnet"}


def floor(module: str) -> int:
    return FLOORS.index(module.split(".")[1]) if module != "warmnet" else len(FLOORS)


def imports_of(module: str) -> set[str]:
    path = MODULES[module]
    return imported(path.read_text(), module if path.name == "__init__.py" else module.rpartition(".")[0])


@pytest.mark.parametrize("module", FILES)
def test_imports_go_down_only(module):
    assert module.split(".")[1] in FLOORS, "Give it its place in FLOORS."
    assert not [name for name in imports_of(module) if floor(name) > floor(module)]


def circle(imports: dict[str, set[str]]) -> list[str]:
    """The modules that import themselves by way of others."""

    def reached(start: str) -> set[str]:
        found, new = set[str](), imports[start] - {start}
        while new:
            found |= new
            new = set().union(*(imports.get(name, set()) for name in new)) - found
        return found

    return [name for name in imports if name in reached(name)]


def test_no_files_import_each_other_in_a_circle():
    assert not circle({module: imports_of(module) for module in FILES})


def test_an_upward_import_and_a_circle_are_found():
    assert imported("from .networks.efficientnet import STAGES", "warmnet") == {"warmnet.networks.efficientnet"}
    assert imported("def f():\n    from .. import weights", "warmnet.summary") == {"warmnet.weights"}
    assert imported("if TYPE_CHECKING:\n    from ...cli import main", "warmnet.weights.lineages") == {"warmnet.cli.main"}
    assert floor("warmnet.cli.main") > floor("warmnet.weights.lineages.timm") > floor("warmnet.networks.efficientnet")
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["b", "c"]
    assert not circle({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def hidden_names(package: Path) -> set[str]:
    """The names that a package shows which are names of its files, too: whichever is imported last hides the other."""
    names = set()
    for node in ast.walk(ast.parse((package / "__init__.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name for alias in node.names}
    return names & {path.stem for path in package.iterdir()}


def test_no_file_hides_a_name_that_its_package_shows():
    packages = [init.parent for init in ROOT.glob("warmnet/**/__init__.py")]
    assert [package for package in packages if hidden_names(package)] == []


def test_a_hidden_name_is_found(tmp_path):
    (tmp_path / "__init__.py").write_text("from .export import deploy, export")
    (tmp_path / "export.py").touch()
    assert hidden_names(tmp_path) == {"export"}


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
    assert "warmnet.networks.efficientnet" in loaded
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
    source = (ROOT / "warmnet/networks/efficientnet.py").read_text()
    assert 50 < len(code_lines(source)) <= 150
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    assert all(node.end_lineno - node.lineno < 40 for node in functions)


def test_a_version_has_one_place_and_a_changelog_entry():
    import warmnet

    assert f"## {warmnet.__version__}" in (ROOT / "CHANGELOG.md").read_text()


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", [page for page in PAGES if "```python\n" in page.read_text()], ids=lambda page: page.name)
def test_the_python_of_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    """Each ```python block, in order, in one namespace; its output is in comments `# prints: ...`, or a ```text block below."""
    monkeypatch.chdir(tmp_path)  # it writes files
    (tmp_path / "docs").symlink_to(ROOT / "docs")  # where the photograph is
    namespace: dict = {}
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", page.read_text(), re.DOTALL)
    for block, text in blocks:
        out = io.StringIO()
        namespace["print"] = lambda *args, out=out, **kw: print(*args, file=out, **kw)
        exec(block, namespace)
        assert out.getvalue().splitlines() == (text.splitlines() or re.findall(r"# prints: (.*)", block))
