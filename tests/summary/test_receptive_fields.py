"""Receptive fields are those pixels that change the output, counted by changing them one by one."""

from functools import partial
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from small_families import SMALL
from small_networks import ConvNet
from torch import nn

import warmnet
import warmnet.functional as W
from warmnet.errors import InputError
from warmnet.networks.resnet import basic_block


@warmnet.block
def branches(x):
    """A kernel on what lies 5 rows below and 2 columns to the left, beside a mean of 7 rows."""
    moved = F.pad(x[:, :, 5:, :-2], [2, 0, 0, 5])
    moved = W.conv(moved, 4, (1, 3), padding="same", dilation=2)
    return torch.cat([moved, F.avg_pool2d(x, (7, 1), 1, (3, 0))], 1) + x.mean(1, keepdim=True)


class Branching(warmnet.WarmModule):
    def forward(self, x):
        x = W.conv(x, 4, 3, padding="same")
        x = branches(F.max_pool2d(x, 2))
        x = branches(x[:, :, ::2, ::2].permute(0, 2, 3, 1).transpose(1, 3).transpose(2, 3))
        return W.linear(x.flatten(2).mean(2), 2)


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def small(family, **options):
    return partial(SMALL[family], 2, act=F.relu, **options)


SMALL_RESNET = {"stem": 8, "stem_stride": 1, "stages": [(8, 1, 3, 2, 1, basic_block)] * 2}
NETWORKS = {
    "EfficientNet": partial(
        warmnet.WarmEfficientNet, warmnet.Variant(0.5, 0.5, 224, 0), 2, stages=warmnet.STAGES[:3], head=8, act=F.relu
    ),
    "Lite": small("lite"),
    "V2": small("v2"),
    "MobileNetV2": small("mobilenet_v2"),
    "ResNet": small("resnet"),
    "symmetric": small("lite", padding="symmetric"),
    "SAME in a ResNet": partial(warmnet.WarmResNet, 18, 2, act=F.relu, padding="same", **SMALL_RESNET),
    "dilated": small("lite", output_stride=2),
    "dilated ResNet": partial(warmnet.WarmResNet, 18, 2, act=F.relu, output_stride=4, **SMALL_RESNET),
    "branches": lambda: warmnet.up(Branching(), [1, 3, 64, 64]),
}
ROWS, COLUMNS = 2, 3
FAST = {
    ("EfficientNet", COLUMNS),
    ("SAME in a ResNet", ROWS),
    ("dilated ResNet", ROWS),
    ("branches", ROWS),
    ("branches", COLUMNS),
}
ALL = [pytest.param(*case, marks=() if case in FAST else pytest.mark.slow) for case in product(NETWORKS, (ROWS, COLUMNS))]


@torch.no_grad()
def changing(model, paths, shape, axis):
    """By path how many rows of the input, or columns, change the middle pixel of the block's maps.

    All weights are positive, so that no change is undone by another, and gates stay as they are.
    """
    model = model.double().eval()
    for weight in model.parameters():
        weight.fill_(1 / weight[0].numel())
    for gate in (module for path, module in model.named_modules() if path.endswith("squeeze_excitation.expand")):
        gate.weight.zero_()
    images = torch.ones(1 + shape[axis], *shape[1:], dtype=torch.float64)
    for n, image in enumerate(images[1:]):
        image.select(axis - 1, n).fill_(1e6)  # the largest, which max pooling takes
    found = {}
    for path, maps in warmnet.Endpoints(model, paths)(images).items():
        middle = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2].sum(1)
        changes = (middle[1:] != middle[0]).nonzero().flatten()
        found[path] = int(changes[-1] - changes[0]) + 1
    return found


@pytest.mark.parametrize("side", [80, pytest.param(97, marks=pytest.mark.slow)])
@pytest.mark.parametrize("network, axis", ALL)
def test_a_receptive_field_has_the_pixels_that_change_the_output(network, axis, side):
    model = NETWORKS[network]()
    shape = [1, 3, side, side]
    if network != "branches":
        shape[5 - axis] = 32  # the other axis, less to compute
    fields = warmnet.receptive_fields(model, tuple(shape))
    blocks = [path for path, module in model.named_modules() if isinstance(module, warmnet.Block)]
    assert changing(model, blocks, shape, axis) == {path: fields[path][axis - 2] for path in blocks}


def test_a_field_may_be_larger_than_the_input_and_needs_no_weights():
    fields = warmnet.receptive_fields("resnet18")
    assert fields["stage_4"] == (435, 435) and fields["stage_4.basic_block_1.shortcut"] == (211, 211)
    assert fields == warmnet.receptive_fields(warmnet.WarmResNet(18, device="meta"), (1, 3, 64, 64))


def test_paths_are_those_of_the_table_that_are_maps():
    rows = warmnet.tabulate("b0").rows
    maps = {row.path for row in rows if row.shape and len(row.shape) == 4 and row.shape[2] > 1}
    assert {*warmnet.receptive_fields("b0")} == maps


def test_a_network_without_blocks_and_one_of_torch_have_receptive_fields():
    assert warmnet.receptive_fields(ConvNet(), (1, 1, 28, 28)) == {"conv_1": (5, 5), "conv_2": (14, 14)}
    layers = nn.Sequential(nn.Conv1d(2, 4, 3, 2), nn.BatchNorm1d(4), nn.Conv1d(4, 4, 3, dilation=4))
    assert warmnet.receptive_fields(layers, (1, 2, 40)) == {"": (19,), "0": (3,), "1": (3,), "2": (19,)}
    assert warmnet.receptive_fields(nn.Conv2d(3, 3, 5), (1, 3, 8, 8)) == {"": (5, 5)}


@pytest.mark.parametrize(
    "layer",
    [
        nn.PReLU(),
        nn.Hardswish(),
        nn.Mish(inplace=True),
        nn.AdaptiveAvgPool2d(16),
        nn.GLU(1),
        nn.Softmax(1),
        nn.ChannelShuffle(2),
        nn.LocalResponseNorm(2),
        Function(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)),
        Function(lambda x: x.view(2, 2, 2, 16, 16).transpose(1, 2).reshape(2, 4, 16, 16)),
        Function(lambda x: x.unsqueeze(2).squeeze(2).narrow(-2, 0, 16)),
    ],
)
def test_what_is_done_to_each_pixel_or_to_channels_leaves_the_places(layer):
    last = nn.Conv2d(2 if isinstance(layer, nn.GLU) else 4, 4, 5)
    fields = warmnet.receptive_fields(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), layer, last), (2, 3, 16, 16))
    assert fields["0"] == (3, 3) and fields["2"] == (7, 7)


def test_adaptive_pooling_has_the_windows_that_it_takes():
    for pool in nn.AdaptiveAvgPool2d((4, 2)), nn.AdaptiveMaxPool2d((4, 2)):
        fields = warmnet.receptive_fields(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), pool), (1, 3, 16, 16))
        assert fields["1"] == (6, 10)
    with pytest.raises(InputError, match="_adaptive_avg_pool2d with a map in '0'"):
        warmnet.receptive_fields(nn.Sequential(nn.AdaptiveAvgPool2d(7)), (1, 3, 16, 16))


def added_to_a_part(x):
    x[:, :, 5:].add_(x[:, :, :-5].clone())
    return x


def added_to_a_part_of_a_buffer(x):
    y = torch.zeros(x.shape, device=x.device)
    y[:, :, 5:] += x[:, :, :-5]
    return x + y


def put_in_a_row(x):
    return x.flatten(2).relu().unflatten(2, x.shape[2:])


@pytest.mark.parametrize(
    "function, problem",
    [
        (added_to_a_part, r"writes over a part of a tensor \(add_\)"),
        (added_to_a_part_of_a_buffer, "writes over a part of a tensor"),
        (put_in_a_row, "has mixed up the pixels"),
    ],
)
def test_what_moves_pixels_out_of_sight_is_refused_with_the_modules_path(function, problem):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(Function(function)), nn.Conv2d(4, 4, 3))
    with pytest.raises(InputError, match=f"{problem}.* in '1.0'"):
        warmnet.receptive_fields(network, (1, 3, 16, 16))


def test_an_exported_program_is_refused():
    program = torch.export.export(nn.Conv2d(3, 4, 3), (torch.zeros(1, 3, 8, 8),)).module()
    with pytest.raises(InputError, match="torch.export has no layers to follow"):
        warmnet.receptive_fields(program, (1, 3, 8, 8))


def test_attention_over_a_map_and_an_enlarged_map_are_refused_with_the_operation_and_the_line():
    def mixed(x):
        x = W.conv(x, 4, 3)
        return x + x.flatten(2).softmax(2).view(x.shape)

    def enlarged(x):
        return F.interpolate(W.conv(x, 4, 3), scale_factor=2)

    for forward, what in (mixed, "_softmax|add"), (enlarged, "upsample_nearest2d"):
        with pytest.raises(InputError, match=f"(?s)does ({what}) with a map.*in {forward.__name__}: "):
            warmnet.receptive_fields(forward, (1, 3, 16, 16))


def test_a_network_without_maps_has_no_receptive_fields():
    with pytest.raises(InputError, match="outputs no maps"):
        warmnet.receptive_fields(lambda x: W.linear(x, 2), (1, 3))
