import re
from xml.etree import ElementTree

import pytest
import torch.nn.functional as F
from small_networks import ConvNet, Small

import warmnet
import warmnet.functional as W
from warmnet.errors import InputError
from warmnet.summary import draw
from warmnet.summary.drawing import BLOCK, CHANNEL, PIXEL

SVG = "{http://www.w3.org/2000/svg}"


def boxes(picture):
    """Each box of a picture: its name, length, height, how far back it goes, and how many lines divide it."""
    root = ElementTree.fromstring(picture.svg)
    names = [text.text for text in root.iter(f"{SVG}text") if text.get("font-weight")][:-1]
    found = {}
    for name, group in zip(names, root.iter(f"{SVG}g")):
        upper, right, near, *lines = [[float(n) for n in re.findall(r"-?[\d.]+", p.get("d"))] for p in group.iter(f"{SVG}path")]
        (*_, long, high, _), (*_, across, up, _, _, _) = near, right
        found[name] = long, high, (across**2 + up**2) ** 0.5, len(lines)
        assert upper[2:4] == [across, up], "the faces meet"
    return found


def corners(path):
    """The points that a path of M, l, h, v and z goes through."""
    x = y = 0.0
    for command, numbers in re.findall(r"([Mlhv])([^Mlhvz]*)", path):
        given = [float(n) for n in numbers.split()]
        dx, dy = {"h": (given[0], 0), "v": (0, given[0])}.get(command, given[:2])
        x, y = x + dx, y + dy
        yield x, y


@pytest.mark.parametrize("variant", ["b0", "b7"])
def test_boxes_are_to_scale_in_depth_resolution_and_width(variant):
    model = warmnet.WarmEfficientNet(variant, device="meta")
    found, rows = boxes(draw(model)), {row.path: row for row in warmnet.tabulate(model).rows}
    names = ["stem", *(f"stage_{i}" for i in range(1, 8)), "head", "classifier"]
    assert [*found] == names
    for name in names[:-1]:
        long, high, back, lines = found[name]
        blocks = len(list(model.get_submodule(name).children())) if name.startswith("stage") else 1
        _, channels, height, _ = rows[name].shape
        assert (long, lines) == (blocks * BLOCK, blocks - 1)
        assert high == pytest.approx(height * PIXEL, abs=0.1) and back == pytest.approx(channels * CHANNEL, abs=0.1)


def test_an_edited_stage_is_drawn_as_it_is():
    stages = list(warmnet.STAGES)
    stages[4] = stages[4]._replace(repeat=6, size=224)
    before, after = (boxes(draw(warmnet.WarmEfficientNet("b0", device="meta", **kw))) for kw in ({}, {"stages": tuple(stages)}))
    assert [after["stage_5"][i] / before["stage_5"][i] for i in range(3)] == pytest.approx([2, 1, 2], rel=0.02)
    assert {name for name in before if before[name] != after[name]} == {"stage_5"}


def test_any_warm_network_is_drawn_by_its_top_level_blocks():
    assert [*boxes(draw(ConvNet(), (1, 1, 28, 28)))] == ["conv_1", "conv_2", "linear_1", "linear_2"]
    found = boxes(draw(Small(), (1, 3, 32, 32)))
    assert [*found] == ["stem", "residual_1", "residual_2", "classifier"] and found["residual_1"][0] == 3 * BLOCK


def test_a_function_without_layers_is_an_empty_picture():
    assert boxes(draw(F.relu, (1, 3, 8, 8))) == {}


@pytest.mark.parametrize("model, shape", [("b7", None), (lambda x: W.linear(x, 2**20), (1, 1))], ids=["b7", "<lambda>"])
def test_the_picture_holds_all_that_is_drawn_and_says_what_it_is_of(model, shape):
    svg = draw(model, shape).svg
    root = ElementTree.fromstring(svg)
    width, height = (float(root.get(key)) for key in ("width", "height"))
    for path in root.iter(f"{SVG}path"):
        assert all(0 <= x <= width and 0 <= y <= height for x, y in corners(path.get("d")))
    title = [text.text for text in root.iter(f"{SVG}text")][-1]
    table = warmnet.tabulate(model, shape)
    assert title.startswith(f"{table.call}: ") and f"{table.parameters:,} parameters" in title
    assert "script" not in svg and svg.count("http") == 1, "the name of the format"


def test_it_is_no_wider_than_its_page_and_keeps_its_shape():
    root = ElementTree.fromstring(draw("b7").svg)
    assert root.get("style") == "max-width:100%;height:auto"
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"


def test_it_is_saved_and_shown_as_the_same_picture(tmp_path):
    picture = draw("b0")
    picture.save(tmp_path / "b0.svg")
    assert (tmp_path / "b0.svg").read_text(encoding="utf-8") == picture._repr_svg_()
    with pytest.raises(InputError, match=r"b0.png does not end in .svg.*Call it .*/b0.svg\."):
        picture.save(tmp_path / "b0.png")
    page = picture._repr_html_()
    assert picture.svg in page and "--jp-content-font-color1,currentColor" in ElementTree.fromstring(page)[0].text
