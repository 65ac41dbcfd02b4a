"""The README's words on lineages and on bad files are what the code does."""

from collections import defaultdict
from pathlib import Path

import pytest

import warmnet
from warmnet.weights import LINEAGES

from test_read import LOADED, REFUSED

README = (Path(__file__).parents[2] / "README.md").read_text()


def span(names):
    names = list(names)
    return f"{names[0]} to {names[-1]}" if names == [v for v in warmnet.VARIANTS if names[0] <= v <= names[-1]] else ", ".join(names)


def row(lineage):
    """What a lineage is, as the README's table has it."""
    groups, paddings, crop = defaultdict(list), set(), lineage.preprocessing("b3", "")
    for variant in lineage.variants:
        options = lineage.options(variant)
        groups[f"{options['eps']:g}, {options['momentum']:g}"].append(variant)
        paddings.add(options["padding"])
    norms = "; ".join(f"{key} ({span(names)})" if len(groups) > 1 else key for key, names in groups.items())
    cells = lineage.name, span(lineage.variants), *paddings, norms, f"{crop.crop:.3g}", f"`{lineage.first()}`"
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", [name for name in LINEAGES if name != "warmnet"])
def test_the_readme_s_table_is_computed(name):
    assert row(LINEAGES[name]) in README.splitlines()


def test_the_readme_names_every_bad_file():
    words = " ".join(README.split())
    assert [what for what, *_ in REFUSED + LOADED if what not in words] == []


if __name__ == "__main__":
    print(*[row(lineage) for name, lineage in LINEAGES.items() if name != "warmnet"], sep="\n")
