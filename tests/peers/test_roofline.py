"""A layer's operations and bytes are those of its shapes, and each layer is of the kind that it is."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import roofline  # noqa: E402
import roofline_picture  # noqa: E402
from roofline import Layer, Way  # noqa: E402


def test_operations_and_bytes_are_those_of_the_shapes():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, groups=8, bias=False),
        nn.Conv2d(8, 4, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    ).eval()  # fmt: skip
    x = torch.rand(1, 3, 18, 18)
    with torch.no_grad():
        layers = [roofline.of_torch(event, 0.5) for event in roofline.operations(lambda: network(x))]
    assert [layer for layer in layers if layer.kind != "gate, sum, pooling"] == [
        Layer("other convolution", 2 * 8 * 16 * 16 * 27, 4 * (3 * 18 * 18 + 8 * 27 + 8 * 16 * 16), 0.5),
        Layer("normalization", 2 * 8 * 16 * 16, pytest.approx(4 * (2 * 8 * 16 * 16 + 4 * 8)), 0.5),
        Layer("activation", 4 * 8 * 16 * 16, 4 * 2 * 8 * 16 * 16, 0.5),
        Layer("depthwise", 2 * 8 * 7 * 7 * 9, 4 * (8 * 16 * 16 + 8 * 9 + 8 * 7 * 7), 0.5),
        Layer("1x1 convolution", 2 * 4 * 7 * 7 * 8, 4 * (8 * 7 * 7 + 4 * 8 + 4 * 7 * 7), 0.5),
        Layer("linear", 2 * 4 * 2, 4 * (4 + 4 * 2 + 2), 0.5),
    ]


def test_what_is_computed_of_weights_alone_is_folding():
    weight, factor = torch.rand(8, 4, 3, 3), torch.rand(8, 1, 1, 1)
    layers = [roofline.of_torch(event, 0.5) for event in roofline.operations(lambda: weight * factor)]
    assert [layer.kind for layer in layers] == ["folding"]


def test_a_call_s_time_is_that_of_its_layers_and_what_is_between(tmp_path):
    way = Way([Layer("depthwise", 10, 20, 1.0), Layer("depthwise", 10, 20, 3.0), Layer("linear", 1, 2, 0.5)], 5.0).to_json()
    assert way["layers"] == [["depthwise", 10, 20, 2, 2.0], ["linear", 1, 2, 1, 0.5]]
    assert roofline_picture.by_kind(way) == {"depthwise": 4.0, "linear": 0.5, "between layers": 0.5}
    slowed = {**way, "seconds": 2.25}
    assert roofline_picture.by_kind(slowed) == {"depthwise": 2.0, "linear": 0.25}
    floors = {"peaks": {"fp32": 1e11}, "bandwidth": 1e10}
    networks = {name: dict.fromkeys(("as written", "folded", "deployed"), way) for name in roofline.NETWORKS}
    roofline_picture.draw(networks, floors, "here", tmp_path / "roofline.png")
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")
    assert "| b0, folded | " in roofline.table(networks)
