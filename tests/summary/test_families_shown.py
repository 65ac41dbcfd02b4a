"""Every network's name is one for tables, differences and drawings."""

import pytest
import torch

import warmnet
from warmnet.cli.main import main
from warmnet.networks.families import NAMES

PARAMETERS = {"lite0": 4_652_008, "v2-b0": 7_139_704, "mobilenetv2-1.0": 3_504_872, "resnet18": 11_689_512}  # published


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_table_is_of_the_network_of_that_name(name, capsys):
    table = warmnet.tabulate(name)
    assert table.parameters == PARAMETERS[name] and table.call == f"{NAMES[name].__name__}({name!r})"
    assert main(["summary", name]) == 0
    assert capsys.readouterr().out.startswith(f"{table.text()}\n")


def test_a_name_that_there_is_not_offers_the_one_that_is_meant(capsys):
    with pytest.raises(ValueError, match="'ResNet50'.*'resnet50'"):
        warmnet.tabulate("ResNet50")
    with pytest.raises(SystemExit):
        main(["summary", "mobilenet_v2"])
    assert "mobilenetv2-1.0" in capsys.readouterr().err


def test_two_families_are_told_apart_block_by_block():
    difference = warmnet.diff("mobilenetv2-1.0", "resnet18")
    marks = {change.path: change.mark for change in difference.changes}
    assert marks["stage_1.mb_block_1"] == "-" and marks["stage_1.basic_block_1"] == "+" and marks["stem"] == "±"
    assert difference.text().startswith("   WarmMobileNetV2('mobilenetv2-1.0') → WarmResNet('resnet18')")


@pytest.mark.parametrize("name, block", [("v2-b0", "fused_mb_block ×2"), ("resnet50", "bottleneck ×3")])
def test_a_drawing_names_the_blocks(name, block):
    assert f">{block}</text>" in warmnet.draw(name).svg


@pytest.mark.parametrize("name", ["lite0", "v2-b0", "resnet18"])
def test_shapes_are_torch_s(name):
    shown = warmnet.tabulate(name)
    model = NAMES[name](name).eval()
    shapes = {}
    for path, module in model.named_modules():
        module.register_forward_hook(lambda m, x, y, path=path: shapes.update({path: tuple(y.shape)}))
    with torch.no_grad():
        model(torch.rand(1, 3, model.resolution, model.resolution))
    assert {row.path: row.shape for row in shown.rows} == {path: shape for path, shape in shapes.items() if path}
