"""WarmEfficientNet is the paper's network, and says clearly what it cannot be."""

import functools
import inspect
import math

import pytest
import torch
import torch.nn.functional as F
from small_networks import images
from torch import nn

import warmnet
from warmnet import STAGES, VARIANTS, Endpoints, Stage, Variant, WarmEfficientNet, WarmModule, compound
from warmnet import functional as W
from warmnet.functional import DropConnect
from warmnet.networks.efficientnet import efficientnet, round_filters, round_repeats

PARAMETERS = {  # torchvision's and timm's own counts
    "b0": 5_288_548, "b1": 7_794_184, "b2": 9_109_994, "b3": 12_233_232, "b4": 19_341_616, "b5": 30_389_784,
    "b6": 43_040_704, "b7": 66_347_960, "b8": 87_413_142, "l2": 480_309_308,
}  # fmt: skip


@functools.cache
def on_meta(variant):
    return WarmEfficientNet(variant, device="meta")


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameter_counts_are_the_published_ones(variant):
    model = on_meta(variant)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[variant]


@pytest.mark.parametrize(
    "variant, stem, widths, depths",  # pycls, configs/dds_baselines/effnet
    [
        ("b0", 32, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
        ("b1", 32, (16, 24, 40, 80, 112, 192, 320), (2, 3, 3, 4, 4, 5, 2)),
        ("b2", 32, (16, 24, 48, 88, 120, 208, 352), (2, 3, 3, 4, 4, 5, 2)),
        ("b3", 40, (24, 32, 48, 96, 136, 232, 384), (2, 3, 3, 5, 5, 6, 2)),
        ("b4", 48, (24, 32, 56, 112, 160, 272, 448), (2, 4, 4, 6, 6, 8, 2)),
        ("b5", 48, (24, 40, 64, 128, 176, 304, 512), (3, 5, 5, 7, 7, 9, 3)),
    ],
)
def test_scaled_sizes_are_the_published_ones(variant, stem, widths, depths):
    width, depth, *_ = VARIANTS[variant]
    assert round_filters(32, width) == stem
    assert tuple(round_filters(row.size, width) for row in STAGES) == widths
    assert tuple(round_repeats(row.repeat, depth) for row in STAGES) == depths


def test_heads_are_the_published_ones():
    heads = [round_filters(1280, VARIANTS[name].width) for name in PARAMETERS]
    assert heads == [1280, 1280, 1408, 1536, 1792, 2048, 2304, 2560, 2816, 5504]


def test_initial_values_are_drawn_as_the_official_code_draws_them():
    model = WarmEfficientNet("b0", seed=0)
    deviations = {
        "stem.conv": math.sqrt(2 / (9 * 32)),
        "stage_6.mb_block_2.depthwise.conv": math.sqrt(2 / 25),
        "stage_7.mb_block_1.depthwise.conv": math.sqrt(2 / 9),
        "stage_7.mb_block_1.squeeze_excitation.reduce": math.sqrt(2 / 48),
        "head.conv": math.sqrt(2 / 1280),
        "classifier": 1000**-0.5 / math.sqrt(3),
    }
    for path, deviation in deviations.items():
        weight = model.get_submodule(path).weight
        error = 4 / math.sqrt(2 * weight.numel())  # four standard errors of a deviation
        assert abs(weight.std().item() / deviation - 1) < error, path
        assert abs(weight.mean().item()) < 4 * deviation / math.sqrt(weight.numel()), path
    assert model.classifier.weight.abs().max() <= 1000**-0.5
    for name, p in model.named_parameters():
        if name.endswith("bias") or ".bn." in name:
            assert (p == name.endswith("bn.weight")).all(), name


def test_batch_norm_has_the_official_settings_and_takes_others():
    for options, (eps, momentum) in (({}, (1e-3, 0.01)), (dict(eps=1e-5, momentum=0.1), (1e-5, 0.1))):
        norms = [m for m in WarmEfficientNet("b0", device="meta", **options).modules() if isinstance(m, nn.BatchNorm2d)]
        assert len(norms) == 49 and {(m.eps, m.momentum) for m in norms} == {(eps, momentum)}


def test_the_gate_gates():
    """By a sigmoid of all channels' means, times its input; squeezed to a quarter of the block's input."""
    gate = WarmEfficientNet("b0", device="cpu", seed=0).stage_2.mb_block_1.squeeze_excitation
    assert gate.reduce.weight.shape == (4, 96, 1, 1)
    nn.init.normal_(gate.expand.bias, std=2)
    x = torch.randn(2, 96, 5, 7)
    hidden = F.silu(x.mean((2, 3)) @ gate.reduce.weight[:, :, 0, 0].T)
    ratio = gate(x) / x
    wanted = torch.sigmoid(hidden @ gate.expand.weight[:, :, 0, 0].T + gate.expand.bias)
    assert wanted.std() > 0.2
    torch.testing.assert_close(ratio, wanted[:, :, None, None].expand_as(x))


@pytest.mark.parametrize("variant, blocks", [("b0", 16), ("b1", 23), ("b4", 32), ("b7", 55)])
def test_drop_connect_grows_linearly_over_all_blocks(variant, blocks):
    model = on_meta(variant)
    all_blocks = [module for name, module in model.named_modules() if name.rpartition(".")[2].startswith("mb_block")]
    assert len(all_blocks) == blocks
    for i, module in enumerate(all_blocks):
        if hasattr(module, "drop_connect"):
            assert module.drop_connect.rate == pytest.approx(0.2 * i / blocks)
    assert sum(hasattr(module, "drop_connect") for module in all_blocks) == blocks - 7  # each stage's first changes the shape


def test_the_drops_are_off_in_eval_and_on_in_training():
    model = WarmEfficientNet("b0", 10, seed=0, drop_connect=0.5, dropout=0.5)
    x = images(4, 64, 64)
    blocks = [m for m in model.modules() if isinstance(m, DropConnect | nn.Dropout)]
    assert len(blocks) == 10
    model.train()
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_dropout_is_the_variants_own_unless_given():
    rates = [on_meta(variant).dropout.p for variant in PARAMETERS]
    assert rates == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5, 0.5, 0.5]
    assert WarmEfficientNet("b0", device="meta", dropout=0.0).dropout.p == 0


def test_without_a_classifier_the_pooled_features_come_out():
    model = WarmEfficientNet("b0", 0, seed=0).eval()
    assert model(images(2, 64, 64)).shape == (2, 1280)
    assert not hasattr(model, "classifier") and not hasattr(model, "dropout")
    head = Endpoints(model, ["head"])(images(2, 64, 64))["head"]
    torch.testing.assert_close(model(images(2, 64, 64)), head.mean((2, 3)))


@pytest.mark.parametrize("channels", [1, 4])
def test_any_number_of_input_channels(channels):
    model = WarmEfficientNet("b0", 10, channels, seed=0)
    assert model.stem.conv.weight.shape == (32, channels, 3, 3)
    assert model(torch.randn(2, channels, 64, 64)).shape == (2, 10)


# Compound scaling


def test_compound_scaling_is_the_papers():
    for phi in (0, 0.5, 1, 2.5, 7):
        width, depth, resolution, *_ = compound(phi)
        assert (width, depth) == pytest.approx((1.1**phi, 1.2**phi))
        assert abs(resolution - 224 * 1.15**phi) <= 1
        # depth : width² : resolution² ≈ 1 : 1 : 1, as the article puts it: each at most 1.1 of another per step of phi
        growths = depth, width**2, (resolution / 224) ** 2
        assert max(growths) / min(growths) <= 1.11**phi + 0.02
    assert compound(0) == VARIANTS["b0"]
    assert [compound(phi).dropout for phi in (0, 7, 9)] == [0.2, 0.5, 0.5]


@pytest.mark.parametrize("phi, variant", [(1, "b2"), (2, "b3"), (5, "b5"), (7, "b7")])
def test_compound_scaling_comes_near_the_published_variants(phi, variant):
    near, published = compound(phi), VARIANTS[variant]
    for a, b in zip(near[:3], published[:3]):
        assert abs(a / b - 1) < (0.17 if variant != "b2" else 0.02)  # the authors rounded depth down on the way up


def test_a_network_between_two_variants():
    sizes = [
        sum(p.numel() for p in WarmEfficientNet(v, device="meta").parameters())
        for v in ("b0", compound(0.5), compound(1.5), "b3")
    ]
    assert sizes == sorted(sizes) and len(set(sizes)) == 4


def test_a_variant_goes_wherever_a_name_goes():
    custom = Variant(width=0.5, depth=0.5, resolution=96, dropout=0.1)
    model = WarmEfficientNet(custom, 10, seed=0).eval()
    assert model.resolution == 96 and model.dropout.p == 0.1
    assert len(list(model.stage_6.children())) == 2
    assert model(images(2, 96, 96)).shape == (2, 10)


# In anyone's forward


def test_efficientnet_is_a_function_for_any_forward():
    class Two(WarmModule):
        def __init__(self):
            super().__init__()
            warmnet.up(self, [1, 3, 64, 64], seed=0)

        def forward(self, x):
            x = efficientnet(x, "b0", 0)
            return W.linear(x, 3, name="kind"), W.linear(x, 1, name="age")

    kind, age = Two().eval()(images(2, 64, 64))
    assert kind.shape == (2, 3) and age.shape == (2, 1)


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_output_stride_keeps_resolution_by_dilation(stride):
    model = WarmEfficientNet("b0", 10, seed=0, output_stride=stride).eval()
    ends = Endpoints(model, ["stage_3", "stage_5", "head"])
    assert ends.reduction == {"stage_3": 8, "stage_5": min(16, stride), "head": stride}
    assert ends(images(1, 64, 96))["head"].shape == (1, 1280, 64 // stride, 96 // stride)
    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for p in WarmEfficientNet("b0", 10, device="meta").parameters()
    )
    dilations = {m.dilation[0] for m in model.stage_7.modules() if isinstance(m, nn.Conv2d)}
    assert dilations == {1, 32 // stride}


def test_a_stage_table_of_ones_own():
    stages = (*STAGES[:3], Stage(size=64, expand=4, kernel=7, stride=2, repeat=2))
    model = WarmEfficientNet("b0", 10, seed=0, stages=stages).eval()
    assert model.stage_4.mb_block_1.depthwise.conv.weight.shape == (160, 1, 7, 7)
    assert model.reduction == 16 and model(images(2, 16, 16)).shape == (2, 10)


def test_strides_of_ones_own_are_kept():
    model = WarmEfficientNet("b0", 10, seed=0, stages=(*STAGES, Stage(320, 1, 3, 2, 1)), stem_stride=4).eval()
    assert model.reduction == 128 and model.stage_8.mb_block_1.depthwise.conv.stride == (2, 2)
    assert Endpoints(model, ["head"]).reduction == {"head": 128}
    assert model(images(1, 128, 256)).shape == (1, 10)


# Bad input


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (("b9",), {}, r"Unknown variant 'b9'. Did you mean 'b8'\? Choose one of b0, b1, .*, v2-xl, or pass a Variant"),
        ((["b0"],), {}, r"Unknown variant \['b0'\]"),
        (("b0", -1), {}, r"num_classes=-1 must be at least 0"),
        (("b0", 10, 0), {}, r"in_channels=0 must be at least 1"),
        (
            ("b0",),
            dict(drop_conect=0.1),
            r"Unknown option 'drop_conect'. Did you mean 'drop_connect'\? Choose one of variant, .*padding, eps, ",
        ),
        (("b0",), dict(padding="valid"), r"padding='valid' is unknown.*'same' or 'symmetric'"),
        (("b0",), dict(output_stride=24), r"output_stride=24 cannot be made of these strides. They can make 16"),
        (("b0",), dict(output_stride=64), r"output_stride=64 cannot be made of these strides. They can make 32"),
        (("b0",), dict(drop_connect=1.5), r"drop_connect=1.5 must be at least 0 and below 1"),
        (("b0",), dict(dropout=-0.1), r"dropout"),
    ],
)
def test_a_network_that_cannot_be_is_refused(arguments, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        WarmEfficientNet(*arguments, device="meta", **options)


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.rand(3, 64, 64), r"Images are \(B, 3, H, W\), not \(3, 64, 64\).*image\[None\]"),
        (torch.rand(2, 1, 64, 64), r"Images are \(B, 3, H, W\), not \(2, 1, 64, 64\)"),
        (torch.rand(2, 64, 64, 3), r"Images are \(B, 3, H, W\)"),
        (torch.zeros(2, 3, 64, 64, dtype=torch.uint8), r"floating point, not torch.uint8.*x.float\(\) / 255"),
        (torch.rand(2, 3, 31, 64), r"31x64 are smaller than the network's total stride, 32"),
        (torch.rand(2, 3, 64, 64).index_fill(3, torch.tensor([0]), torch.nan), r"384 numbers that are NaN or infinite"),
        (torch.full((1, 3, 32, 32), torch.inf), r"3072 numbers that are NaN or infinite"),
        ([[1.0]], r"Images are a tensor"),
    ],
)
def test_images_that_cannot_be_are_refused(x, message):
    model = WarmEfficientNet("b0", 10, seed=0).eval()
    with pytest.raises((ValueError, TypeError), match=message):
        model(x)


def test_images_whose_sum_overflows_are_fine():
    x = torch.full((1, 3, 32, 32), 60000.0, dtype=torch.float16)
    WarmEfficientNet("b0", device="meta").check_images(x)
    assert not x.sum().isfinite()


def test_the_class_has_the_options_of_the_functions():
    """Their names, their order and their defaults, each with its type."""
    network, conv, options = (
        inspect.signature(each).parameters for each in (warmnet.efficientnet, warmnet.conv_bn_act, WarmEfficientNet)
    )
    expected = {key: each.default for key, each in network.items() if each.kind is each.KEYWORD_ONLY}
    expected |= {key: conv[key].default for key in ("padding", "eps", "momentum")}
    found = {key: each.default for key, each in options.items() if each.kind is each.KEYWORD_ONLY}
    assert list(found.items()) == [*expected.items(), ("device", None), ("seed", None)]
    assert all(each.annotation is not each.empty for each in options.values())
    assert {*conv} - {*network} - {"padding", "eps", "momentum"} == {"size", "kernel", "stride", "groups", "dilation"}


def test_options_that_are_not_given_are_left_to_the_forward():
    assert WarmEfficientNet("b0", device="meta").options == {}
    given = {"se_ratio": 0.25, "stem": 16, "dropout": None}
    assert WarmEfficientNet("b0", **given, device="meta").options == given
