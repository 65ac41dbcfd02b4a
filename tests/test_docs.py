"""The pages lead where they say, and the reference has all that is public. `.ci/run` builds the site."""

import importlib
import inspect
import json
import re
import runpy
from pathlib import Path

import pytest

import warmnet.training

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *NOTEBOOKS]
HOMES = [path for path in sorted((ROOT / "warmnet").rglob("*.py")) if "\n__all__ =" in path.read_text()]
PUBLIC = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in HOMES]


def prose(page: Path) -> str:
    """A page's Markdown without its code."""
    text = page.read_text()
    if page.suffix == ".ipynb":
        text = "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What may follow a # in links to the page: GitHub's names of its headings."""
    titles = re.findall(r"^#+ (.*)", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[tuple[str, Path, str]]:
    """Its links to files: as they are written, the file, the anchor or ''."""
    written = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if not re.match(r"\w+:", link)]
    parts = [link.partition("#") for link in written]
    return [(link, page.parent / file if file else page, anchor) for link, (file, _, anchor) in zip(written, parts)]


def dead_links(page: Path) -> list[str]:
    return [link for link, file, anchor in links(page) if not file.is_file() or (anchor and anchor not in anchors(file))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page):
    assert dead_links(page) == []


def test_the_readme_leads_to_every_page_of_docs():
    pages = {page for page in PAGES if page.parent.name == "docs"}
    assert pages and pages <= {file.resolve() for _, file, _ in links(ROOT / "README.md")}


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Where to, then?\n[a](#where-to-then) [b](page.md) [c](https://c.org)\n[d](#here) [e](gone.md) [f](page.md#f)"
    )
    assert dead_links(page) == ["#here", "gone.md", "page.md#f"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_is_linked_from_the_readme_and_from_the_page_on_what_it_shows(notebook):
    from_pages = {page.name for page in PAGES for _, file, _ in links(page) if file.resolve() == notebook}
    assert "README.md" in from_pages
    shown = {"2": "looking.md", "3": "looking.md", "5": "training.md", "7": "families.md", "8": "search.md"}
    assert shown.get(notebook.name[0], "README.md") in from_pages


def test_the_reference_has_a_page_for_every_module_with_public_names():
    assert {"warmnet", "warmnet.functional", "warmnet.training"} <= {*PUBLIC}
    pages = {module: ROOT / f"docs/reference/{module}.md" for module in PUBLIC}
    assert [module for module, page in pages.items() if f".. automodule:: {module}\n" not in page.read_text()] == []


def test_the_reference_leaves_out_what_sphinx_leaves_out():
    choose = runpy.run_path(str(ROOT / "docs/conf.py"))["choose"]
    for name, skipped in [("_private", True), ("public", False)]:
        assert choose(None, "module", name, print, skipped, None) is skipped


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_says_what_it_is_or_what_comes_out(module):
    home = importlib.import_module(module)
    assert [name for name in home.__all__ if callable(getattr(home, name)) and not first_sentence(getattr(home, name))] == []


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_function_has_an_example(module):
    functions = {*filter(inspect.isfunction, vars(importlib.import_module(module)).values())}
    own = {
        function for function in functions if re.match(r"warmnet\.(?!networks)", function.__module__)
    }  # networks: the classes
    public = {function for function in own if function.__name__ in importlib.import_module(module).__all__}
    slow = {warmnet.training.search}  # notebooks/8-search.ipynb
    assert [function.__name__ for function in public - slow if ">>> " not in (function.__doc__ or "")] == []


def first_sentence(obj) -> str:
    """Of its own docstring; '' where there is none, or the one that a named tuple or a data class gets by itself."""
    doc = (obj.__doc__ or "").strip()
    sentence = re.match(r"[^.]+[.:]", doc)
    return sentence[0] if sentence and not doc.startswith(f"{obj.__name__}(") else ""


def test_a_docstring_that_nobody_wrote_is_found():
    class Undocumented(Exception):
        pass

    assert first_sentence(Undocumented) == "" != first_sentence(first_sentence)
