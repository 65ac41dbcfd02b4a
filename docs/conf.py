"""The site: README.md, docs/ and notebooks/ where they lie, so that a link leads to the same place on GitHub; `docs/reference`
is made of the docstrings. CONTRIBUTING.md has the command.
"""

import ast
import inspect
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import warmnet.data  # noqa: E402

project = "warmnet"
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "notebooks/*.ipynb", "warmnet/**.py", "tests/**.py", "benchmarks/*.py"]
exclude_patterns = [".*", "build", "dist", "runs"]
extensions = ["myst_nb", "sphinx_copybutton", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".py": "restructuredtext"}

myst_heading_anchors = 3
nb_execution_mode = "off"  # outputs are committed

add_module_names = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
default_role = "py:obj"  # of single backticks: a link where there is such a name, else code
maximum_signature_line_length = 140
python_trailing_comma_in_multi_line_signatures = False

highlight_language = "text"
smartquotes = False

html_theme = "furo"
pygments_dark_style = "github-dark"
html_css_files = html_static_path = ["site.css"]
html_title = "warmnet"
html_show_copyright = html_show_sourcelink = html_copy_source = False

CONTENTS = """
```{toctree}
:hidden:
:caption: Use
docs/recipes
docs/coming-from
docs/how-it-works
docs/families
docs/scaling
docs/looking
docs/weights
docs/edited-weights
docs/training
docs/search
docs/multi-node
docs/deployment
docs/serving
```
```{toctree}
:hidden:
:caption: Measured
docs/exactness
docs/speed
docs/training-results
docs/int8
```
```{toctree}
:hidden:
:glob:
:caption: Notebooks
notebooks/*
```
```{toctree}
:hidden:
:glob:
:caption: Reference
docs/reference/*
```
```{toctree}
:hidden:
:caption: Project
CONTRIBUTING
CHANGELOG
```
"""
SOURCE = """:orphan:
:nosearch:

{path}
{line}

.. literalinclude:: /{path}
   :language: python
   :linenos:
"""


def read(app, docname, source):
    """The README has the table of contents, too; a Python file is a page that shows it."""
    path = app.env.doc2path(docname, base=False)
    if docname == root_doc:
        source[0] += CONTENTS
    elif path.suffix == ".py":
        source[0] = SOURCE.format(path=path, line="=" * len(str(path)))


def docstring(app, what, name, obj, options, lines):
    """Escape what is plain text in a docstring and would be markup in reStructuredText; a module's constants come first."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("`")
            parts[::2] = [re.sub(r"([*|]|_\b)", r"\\\1", part) for part in parts[::2]]
            lines[number] = "`".join(parts)
    public = getattr(obj, "__all__", ()) if what == "module" else ()
    others = {name: getattr(obj, name) for name in public}
    for constant in [name for name, value in others.items() if not (callable(value) or inspect.ismodule(value))]:
        lines += ["", f".. py:data:: {constant}", "", "   .. code-block:: python", "", *definition(name, constant)]


def definition(package, constant):
    """The lines of code that define it, as they are written, indented."""
    for module in [module for name, module in sys.modules.items() if name.startswith(package)]:
        source = inspect.getsource(module)
        for node in ast.parse(source).body:
            names = ast.walk(node) if isinstance(node, (ast.Assign, ast.AnnAssign)) else ()
            if any(isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store) and name.id == constant for name in names):
                return ["      " + line for line in source.splitlines()[node.lineno - 1 : node.end_lineno]]


def choose(app, what, name, obj, skipped, options):
    """All public names, each on one page; of a class what has a docstring, without the fields of a named tuple."""
    if what == "module":
        homes = [home for home in (warmnet, warmnet.data) if getattr(home, name, None) is obj and name in home.__all__]
        elsewhere = homes and app.env.docname != f"docs/reference/{homes[0].__name__}"
        return skipped or bool(elsewhere)
    return skipped or type(obj).__name__ == "_tuplegetter"


def signature(app, what, name, obj, options, arguments, result):
    """Python that Sphinx can read."""
    return arguments and arguments.replace("<factory>", "..."), result


def front_page(app, error):
    """The README is what a browser or a server shows of the folder."""
    if not error:
        shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def setup(app):
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-skip-member", choose)
    app.connect("build-finished", front_page)
