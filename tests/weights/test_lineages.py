"""The words of docs/weights.md on lineages and on bad files are what the code does."""

from collections import defaultdict
from pathlib import Path

import pytest
from test_reading import LOADED, REFUSED

from warmnet.weights import LINEAGES

PAGE = (Path(__file__).parents[2] / "docs/weights.md").read_text()


def span(names):
    return f"{names[0]} to {names[-1]}"  # none has a gap


def row(lineage):
    """What a lineage is, as the page's table has it."""
    groups, paddings, b3 = defaultdict(list), set(), lineage.preprocessing("b3", "")
    for variant in lineage.variants:
        options = lineage.options(variant)
        groups[f"{options['eps']:g}, {options['momentum']:g}"].append(variant)
        paddings.add(options["padding"])
    norms = "; ".join(f"{key} ({span(names)})" if len(groups) > 1 else key for key, names in groups.items())
    cells = (
        lineage.name,
        span(lineage.variants),
        *paddings,
        norms,
        f"{b3.crop:.3g}" if b3 else "by its config",
        f"`{lineage.stem()}`",
    )
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", [name for name in LINEAGES if name != "warmnet"])
def test_the_page_s_table_is_computed(name):
    assert row(LINEAGES[name]) in PAGE.splitlines()


def test_the_page_names_every_bad_file():
    words = " ".join(PAGE.split())
    assert [what for what, *_ in REFUSED + LOADED if what not in words] == []


if __name__ == "__main__":
    print(*[row(lineage) for name, lineage in LINEAGES.items() if name != "warmnet"], sep="\n")
