import json
import re
from html import escape

import pytest
import torch
import torch.nn.functional as F
from folded import rows_of
from torch import nn

import warmnet
import warmnet.functional as W
from warmnet.networks.efficientnet import efficientnet
from warmnet.summary import diff, tabulate

IMAGES = (1, 3, 224, 224)


def edited(**options):
    return lambda x: efficientnet(x, **options)


def deeper():
    """b0 with a fourth block in stage 5."""
    stages = list(warmnet.STAGES)
    stages[4] = stages[4]._replace(repeat=4)
    return warmnet.WarmEfficientNet("b0", stages=tuple(stages), device="meta")


def marks(change):
    return {c.path: c.mark for c in change.changes}


def test_a_network_is_not_different_from_itself():
    change = diff("b0", efficientnet, IMAGES)
    assert change.changes == change.settings == ()
    assert str(change) == "WarmEfficientNet('b0') → efficientnet, (1, 3, 224, 224): no difference"
    assert change._repr_html_() == f"<div>{escape(str(change))}</div>"


def test_an_inserted_block_is_new_with_all_that_is_in_it_and_its_stage_differs():
    change = diff("b0", deeper())
    (stage, block, *inside), new = change.changes, tabulate("b0")
    assert (stage.path, stage.mark, block.path, block.mark) == ("stage_5", "±", "stage_5.mb_block_4", "+")
    assert inside and all(c.mark == "+" and c.path.startswith("stage_5.mb_block_4.") for c in inside)
    assert block.before is None and block.after.parameters == 208_572, "as the block before it has"
    assert stage.after.parameters - stage.before.parameters == change.after.parameters - new.parameters == 208_572
    assert {c.path for c in diff(deeper(), "b0").changes if c.mark == "-"} == {c.path for c in change.changes if c.mark == "+"}


def test_a_block_that_is_gone_stands_where_it_was():
    change = diff("b0", edited(se_ratio=0), IMAGES)
    gates = [path for path, mark in marks(change).items() if mark == "-" and path.endswith("squeeze_excitation")]
    assert len(gates) == 16 and change.before.parameters - change.after.parameters == 636_540
    paths = [c.path for c in change.changes]
    assert paths == [row.path for row in change.before.rows if row.path in paths]
    assert "stem" not in paths and "stage_1.mb_block_1.project" not in paths


def test_only_rows_that_differ_and_the_blocks_that_they_are_in_are_there():
    rows = [{row.path: row[2:6] for row in tabulate(x, IMAGES).rows} for x in ("b0", edited(stem=40))]
    figures = [{path: (shape, *rest) for path, (shape, _, *rest) in table.items()} for table in rows]
    differ = {path for path in figures[0] if figures[0][path] != figures[1][path]}
    found = marks(diff("b0", edited(stem=40), IMAGES))
    assert {path for path, mark in found.items() if mark} == differ
    assert {path for path, mark in found.items() if not mark} <= {path.rpartition(".")[0] for path in differ}
    assert found["stage_1.mb_block_1.depthwise.conv"] == "±" and "stage_2" not in found


def test_a_block_whose_figures_stay_is_shown_if_something_in_it_differs():
    @warmnet.block
    def two(x, first):
        return W.linear(W.linear(x, first, bias=False, name="a"), 4, bias=False, name="b").sum(1, keepdim=True)

    @warmnet.block
    def around(x, first):
        return W.linear(two(x, first, name="two"), 1) + (0 if first == 8 else W.linear(x, 8, bias=False, name="more").sum())

    change = diff(lambda x: around(x, 8), lambda x: around(x, 4), (1, 4))
    assert marks(change)["around_1"] == "" and marks(change)["around_1.two"] == "±"


def test_settings_alone_are_counted_and_an_example_said():
    change = diff("b0", edited(act=F.relu), IMAGES)
    assert change.changes == () and "stem" in change.settings and "stem.conv" not in change.settings
    assert str(change).endswith(", (1, 3, 224, 224): 72 rows differ in settings alone, such as stem: default → act=relu")
    assert str(diff("b0", deeper())).endswith(
        "\n27 rows differ in settings alone, such as stage_2.mb_block_1: drop=0.0125 → drop=0.0118"
    )


def test_a_layer_of_another_kind_is_said_whole():
    change = diff(nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh()), (1, 4))
    assert str(change) == "Sequential, (1, 4): 1 row differs in settings alone, such as 0: ReLU → Tanh"


def test_a_parameter_of_the_network_itself_is_a_difference():
    after = nn.Sequential(nn.ReLU())
    after.scale = nn.Parameter(torch.ones(3))
    *_, total = str(diff(nn.Sequential(nn.ReLU()), after, (1, 4))).splitlines()
    assert total.split() == ["total", "3", "+3"]


def test_the_text_shows_before_after_and_by_how_much_but_not_what_is_in_new_blocks():
    title, rule, stage, block, _, total, _ = str(diff("b0", deeper())).splitlines()
    assert title.split()[0] == "WarmEfficientNet('b0')" and set(rule) == {"─"}
    assert stage.split()[:2] == ["±", "stage_5"] and block.split()[:2] == ["+", "mb_block_4"]
    assert stage.split()[6:9] == ["543,148", "751,720", "+208,572"]
    assert total.split()[1:] == ["5,288,548", "5,497,120", "+208,572", "385,814,752", "418,648,672", "+32,833,920"]
    assert "-208,572" in str(diff(deeper(), "b0"))


def test_the_html_folds_every_change_into_its_block():
    change = diff("b0", deeper())
    rows = rows_of(change._repr_html_())
    assert [*rows] == [*(c.path for c in change.changes), "total"]
    for c in change.changes:
        assert rows[c.path][0][0] == f"{c.mark} {c.path.rpartition('.')[2]}"
    assert rows["total"][0][:4] == ["total", "", "5,288,548 → 5,497,120", "+208,572"]


def test_the_html_is_unfolded_down_to_what_is_new():
    folds = re.findall(r"<details( open=.*?)?><summary class=.r.><b>. (.*?)</b>", diff("b0", deeper())._repr_html_())
    inside = ["expand", "depthwise", "squeeze_excitation", "project"]
    assert [(name, bool(opened)) for opened, name in folds] == [
        ("stage_5", True),
        *((name, False) for name in ["mb_block_4", *inside]),
    ]


def test_the_html_says_both_shapes_where_they_differ():
    rows = rows_of(diff(lambda x: W.linear(x, 2), lambda x: W.linear(x, 3), (1, 4))._repr_html_())
    assert rows["linear_1"][0][1:4] == ["(1, 2) → (1, 3)", "10 → 15", "+5"]


def test_the_difference_as_data_is_plain():
    data = json.loads(json.dumps(diff("b0", deeper()).to_dict()))
    assert data["parameters"] == [5_288_548, 5_497_120] and len(data["settings"]) == 27
    stage, block, *_ = data["changes"]
    assert (stage["mark"], stage["before"]["parameters"], stage["after"]["parameters"]) == ("±", 543_148, 751_720)
    assert block["mark"] == "+" and block["before"] is None


@pytest.mark.parametrize("before, after", [("b0", "b7"), ("b7", "b0")])
def test_variants_are_compared_each_at_its_own_resolution(before, after):
    change = diff(before, after)
    assert marks(change)["stem"] == "±" and len(change._repr_html_()) < 300_000
    assert {path for path, mark in marks(change).items() if mark == "±"} == {row.path for row in tabulate("b0").rows}
