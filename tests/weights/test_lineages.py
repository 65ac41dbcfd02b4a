"""The words of docs/weights.md on lineages and on bad files are what the code does."""

import re
from collections import defaultdict
from pathlib import Path

import pytest
from test_reading import LOADED, REFUSED

from warmnet.weights import LINEAGES
from warmnet.weights.conventions import default_settings

PAGE = (Path(__file__).parents[2] / "docs/weights.md").read_text()


def spans(names):
    """'b0 to b8, l2' of the names of variants, by what is before their numbers."""
    groups = {}
    for name in names:
        groups.setdefault(re.match(r"(v2-|mobilenetv2-|[a-z]+)", name)[1], []).append(name)
    return ", ".join(f"{group[0]} to {group[-1]}" if len(group) > 1 else group[0] for group in groups.values())


def row(lineage):
    """What a lineage is, as the page's table has it."""
    groups, paddings = defaultdict(list), set()
    for variant in lineage.architectures:
        settings = {**default_settings(lineage.family, variant), **lineage.options(variant)}
        groups[f"{settings['eps']:g}, {settings['momentum']:g}"].append(variant)
        paddings.add(settings["padding"])
    norms = "; ".join(f"{key} ({spans(names)})" if len(groups) > 1 else key for key, names in groups.items())
    usual = lineage.preprocessing([*lineage.architectures][0], "")
    crop = f"{usual.crop:.3g}" if usual else "by its config"
    return (
        f"| {lineage.name} | {spans(lineage.architectures)} | {', '.join(paddings)} | {norms} | {crop} | `{lineage.stem()}` |"
    )


ROWS = [row(lineage) for name, lineages in LINEAGES.items() for lineage in lineages if name != "warmnet"]


@pytest.mark.parametrize("row", ROWS)
def test_the_page_s_table_is_computed(row):
    assert row in PAGE.splitlines()


def test_the_page_names_every_bad_file():
    words = " ".join(PAGE.split())
    assert [what for what, *_ in REFUSED + LOADED if what not in words] == []


if __name__ == "__main__":
    print(*ROWS, sep="\n")
