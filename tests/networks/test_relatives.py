"""Lite, V2, MobileNetV2 and ResNet are the published networks, and whatever goes for b0 goes for them."""

import copy
import functools
import io
import pickle

import alive
import pytest
import torch
import torch.nn.functional as F
from small_networks import images
from torch import nn

import warmnet
from warmnet import Endpoints, Stage, Variant, WarmEfficientNet, WarmMobileNetV2, WarmModule, WarmResNet
from warmnet.networks import efficientnet, efficientnet_v2, mobilenet_v2, resnet
from warmnet.networks.families import NAMES

PARAMETERS = {  # the official code's, timm's and torchvision's own counts
    "lite0": 4_652_008, "lite1": 5_416_680, "lite2": 6_092_072, "lite3": 8_197_096, "lite4": 13_006_568,
    "v2-b0": 7_139_704, "v2-b1": 8_141_052, "v2-b2": 10_096_086, "v2-b3": 14_358_406, "v2-s": 21_458_488,
    "v2-m": 54_139_356, "v2-l": 118_515_272, "v2-xl": 208_119_808, "mobilenetv2-0.5": 1_968_680,
    "mobilenetv2-1.0": 3_504_872, "mobilenetv2-1.4": 6_108_776, "resnet18": 11_689_512, "resnet34": 21_797_672,
    "resnet50": 25_557_032, "resnet101": 44_549_160, "resnet152": 60_192_808,
}  # fmt: skip

GMACS = {  # at the variant's resolution: V2's by families.md, the others' of torchvision's weights (`_ops`)
    "v2-b0": 0.718, "v2-b1": 1.197, "v2-b2": 1.698, "v2-b3": 3.011, "v2-s": 8.366, "v2-m": 24.582, "v2-l": 56.080,
    "v2-xl": 93.353, "mobilenetv2-1.0": 0.301, "resnet18": 1.814, "resnet34": 3.664, "resnet50": 4.089, "resnet101": 7.801,
    "resnet152": 11.514,
}  # fmt: skip

RESOLUTIONS = {
    "lite0": 224, "lite1": 240, "lite2": 260, "lite3": 280, "lite4": 300, "v2-b0": 224, "v2-b1": 240, "v2-b2": 260,
    "v2-b3": 300, "v2-s": 384, "v2-m": 480, "v2-l": 480, "v2-xl": 512,
}  # fmt: skip

KINDS = {  # the function behind one of each
    "lite0": efficientnet.efficientnet,
    "v2-b0": efficientnet.efficientnet,
    "mobilenetv2-1.0": mobilenet_v2.mobilenet_v2,
    "resnet18": resnet.resnet,
    "resnet50": resnet.resnet,
}

SMALL = {  # the first stages, a tenth of the time
    "lite0": {"stages": efficientnet.STAGES[:3]},
    "v2-b0": {"stages": (*efficientnet_v2.BASE[:2], efficientnet_v2.BASE[3])},
    "mobilenetv2-1.0": {"stages": mobilenet_v2.STAGES[:3]},
    "resnet18": {"stages": resnet.DEPTHS["resnet18"][:2]},
    "resnet50": {"stages": resnet.DEPTHS["resnet50"][:2]},
}


LARGE = "v2-m", "v2-l", "v2-xl", "resnet101", "resnet152"


def with_slow(names, slow):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in names]


@functools.cache
def on_meta(name):
    return NAMES[name](name, device="meta")


def whole(name, num_classes=10, **options):
    return NAMES[name](name, num_classes, seed=0, **options).eval()


def small(name, **options):
    return whole(name, **SMALL[name], **options)


def kinds_of_layers(model):
    return {type(module) for module in model.modules()}


# The published networks


@pytest.mark.parametrize("name", with_slow(PARAMETERS, LARGE))
def test_every_name_is_the_published_network(name):
    model = on_meta(name)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    assert (model.variant_name, model.reduction, model.resolution) == (name, 32, RESOLUTIONS.get(name, 224))
    assert model.options == {}


def test_there_are_no_other_names():
    assert {*NAMES} == {*PARAMETERS, *(f"b{n}" for n in range(9)), "l2"}


@pytest.mark.parametrize("name", with_slow(GMACS, LARGE))
def test_multiply_adds_are_the_published_ones(name):
    assert round(warmnet.tabulate(on_meta(name)).macs / 1e9, 3) == GMACS[name]


def test_lite_scales_neither_stem_nor_head_nor_the_first_and_the_last_stage():
    model = on_meta("lite4")
    assert model.stem.conv.weight.shape[0] == 32 and model.head.conv.weight.shape[0] == 1280
    assert [len(list(getattr(model, f"stage_{n}").children())) for n in range(1, 8)] == [1, 4, 4, 6, 6, 8, 1]
    assert nn.SiLU not in kinds_of_layers(model) and not any("squeeze" in path for path, _ in model.named_modules())


def test_lite_leaves_the_last_stage_of_a_table_of_ones_own_as_it_is():
    row = Stage(16, 1, 3, 1, 1)
    model = WarmEfficientNet("lite4", 10, stages=(row, row, row), device="meta")
    assert [len(list(getattr(model, f"stage_{n}").children())) for n in (1, 2, 3)] == [1, 2, 1]


def test_batch_norm_has_each_family_s_own_settings():
    expected = {"lite0": (1e-3, 0.01), "v2-b0": (1e-3, 0.1), "mobilenetv2-1.0": (1e-5, 0.1), "resnet18": (1e-5, 0.1)}
    for name, settings in expected.items():
        norms = [module for module in on_meta(name).modules() if isinstance(module, nn.BatchNorm2d)]
        assert {(norm.eps, norm.momentum) for norm in norms} == {settings}, name


# What goes for b0


@pytest.mark.parametrize("name", KINDS)
def test_the_class_is_the_function(name):
    class Net(WarmModule):
        def forward(self, x):
            return KINDS[name](x, name, 10)

    x = images(2, 64, 64)
    net = warmnet.up(Net(), [1, 3, 64, 64], seed=0).eval()
    model = whole(name)
    assert [*net.state_dict()] == [*model.state_dict()]
    assert torch.equal(net(x), model(x))


@pytest.mark.parametrize("name", KINDS)
def test_without_a_classifier_the_pooled_last_map_comes_out(name):
    model, x = small(name, num_classes=0), images(2, 64, 64)
    last = [path for path, _ in model.named_children() if not path.startswith("dropout")][-1]
    ends = Endpoints(model, [last])
    assert not hasattr(model, "classifier")
    torch.testing.assert_close(model(x), ends(x)[last].mean((2, 3)))


@pytest.mark.parametrize("size", [(33, 75), (64, 32), (95, 41)])
@pytest.mark.parametrize("name", KINDS)
def test_images_of_any_size_from_the_total_stride_on(name, size):
    model = small(name)
    last = f"stage_{len(SMALL[name]['stages'])}"
    y, ends = model(images(1, *size)), Endpoints(model, [last])
    assert y.shape == (1, 10) and y.isfinite().all()
    stride = ends.reduction[last]
    assert stride == model.reduction
    assert ends(images(1, *size))[last].shape[2:] == tuple(-(-side // stride) for side in size)


@pytest.mark.parametrize("stride", [16, 8])
@pytest.mark.parametrize("name", KINDS)
def test_dilation_computes_the_same_map_more_densely(name, stride):
    """The coarse map is in the dense one, where padding is symmetric and no gate sees the mean of the map."""
    alike = {"padding": "symmetric", "se_ratio": 0} if NAMES[name] is WarmEfficientNet else {}
    coarse, dense = (whole(name, 0, output_stride=each, **alike).double() for each in (32, stride))
    assert dense.reduction == stride and [*dense.state_dict()] == [*coarse.state_dict()]
    last = [path for path, module in coarse.named_children() if path == "head" or path.startswith("stage")][-1]
    x, step = images(1, 64, 96).double(), 32 // stride
    found = Endpoints(dense, [last])(x)[last][:, :, ::step, ::step]
    torch.testing.assert_close(found, Endpoints(coarse, [last])(x)[last], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_a_copy_is_the_same_network(name, tmp_path):
    model, x = small(name), images(2, 64, 64)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    warmnet.save(model, tmp_path / "w.safetensors")
    other = NAMES[name](name, 10, **SMALL[name], seed=1)
    warmnet.load(other, tmp_path / "w.safetensors")
    copies = [
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(file, weights_only=False),
        NAMES[name].from_pretrained(tmp_path / "w.safetensors"),
        warmnet.Classifier.from_pretrained(tmp_path / "w.safetensors"),
        other.eval(),
    ]
    for each in copies:
        assert type(each) is type(model) and each.variant_name == name
        assert each.options == model.options and torch.equal(each(x), model(x))


@pytest.mark.parametrize("name", KINDS)
def test_a_named_variant_comes_back_from_its_file_by_name(name, tmp_path):
    warmnet.save(NAMES[name](name, 10, seed=0), tmp_path / "w.safetensors")
    model = NAMES[name].from_pretrained(tmp_path / "w.safetensors")
    assert (model.variant_name, model.variant, model.options) == (name, NAMES[name].variants[name], {})


@pytest.mark.parametrize("name", with_slow(KINDS, ("lite0", "v2-b0", "mobilenetv2-1.0", "resnet50")))
def test_it_compiles_whole_and_exports(name):
    stages = tuple(row._replace(repeat=1) for row in SMALL[name]["stages"][-2:])
    model, x = whole(name, stages=stages), images(2, 64, 64)
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(x), model(x))
        batch, height, width = (
            torch.export.Dim(side, min=2 if side == "batch" else 32) for side in ("batch", "height", "width")
        )
        program = torch.export.export(model, (x,), dynamic_shapes=({0: batch, 2: height, 3: width},)).module()
        for size in [(2, 64, 64), (3, 47, 65)]:
            torch.testing.assert_close(program(images(*size)), model(images(*size)))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_whole_network_compiles_and_exports(name):
    model, x = whole(name), images(2, 64, 64)
    torch._dynamo.reset()
    with torch.no_grad():
        for other in torch.compile(model, fullgraph=True), torch.export.export(model, (x,)).module():
            assert alive.error(other(x), model(x)) < 1e-4  # rounding: batch norms are folded in one of them, up to 53 times


# A variant's options, and those of a call


def test_what_a_call_gives_goes_before_a_variant_s_options():
    x = images(2, 64, 64)
    plain, gated = small("lite0"), small("lite0", se_ratio=0.25)
    assert gated.stage_2.mb_block_1.squeeze_excitation.reduce.weight.shape[0] == 4
    assert gated.settings["act"] is F.relu6 and plain.settings["se_ratio"] == 0
    silu = small("lite0", act=F.silu)
    same = WarmEfficientNet(Variant(1, 1, 224, 0.2), 10, **SMALL["lite0"], se_ratio=0, act=F.silu, seed=0).eval()
    assert torch.equal(silu(x), same(x)) and not torch.equal(silu(x), plain(x))


def test_what_a_call_gives_the_function_goes_before_a_variant_s_options():
    class Net(WarmModule):
        def forward(self, x):
            return warmnet.efficientnet(x, "lite0", 10, act=F.silu, **SMALL["lite0"])

    x = images(2, 64, 64)
    net = warmnet.up(Net(), [1, 3, 64, 64], seed=0).eval()
    assert torch.equal(net(x), small("lite0", act=F.silu)(x))


class Silu(WarmEfficientNet):
    """It has b0's activation as a default of its own."""

    def __init__(self, variant="lite0", num_classes=10, in_channels=3, *, act=F.silu, **options):
        super().__init__(variant, num_classes, in_channels, act=act, **options)


class AlwaysSilu(WarmEfficientNet):
    """It has b0's activation, and no such option."""

    def __init__(self, variant="lite0", num_classes=10, in_channels=3, *, device=None, seed=None, **options):
        super().__init__(variant, num_classes, in_channels, act=F.silu, device=device, seed=seed, **options)


@pytest.mark.parametrize("kind", [Silu, AlwaysSilu])
def test_what_a_subclass_gives_goes_before_a_variant_s_options(kind):
    x = images(2, 64, 64)
    assert torch.equal(kind(**SMALL["lite0"], seed=0).eval()(x), small("lite0", act=F.silu)(x))


def test_a_subclass_without_defaults_of_its_own_leaves_a_variant_s_options_as_they_are():
    class Net(WarmEfficientNet):
        def __init__(self, variant="lite0", **options):
            super().__init__(variant, 10, **options)

    assert Net(device="meta").options == {} and Net(device="meta").settings["act"] is F.relu6
    assert Net(act=F.silu, device="meta").settings["act"] is F.silu


def test_a_stage_of_a_resnet_that_names_no_block_has_the_depth_s():
    for depth, block in (18, "basic_block_1"), (50, "bottleneck_1"):
        model = WarmResNet(depth, 10, stages=(Stage(64, 4, 3, 1, 1), (128, 4, 3, 2, 1, warmnet.mb_block)), device="meta")
        assert [*dict(model.stage_1.named_children())] == [block] and hasattr(model.stage_2, "mb_block_1")


@pytest.mark.parametrize("given", [50, "50", "resnet50"])
def test_a_depth_is_known_in_any_form(given):
    assert WarmResNet(given, device="meta").variant_name == "resnet50"


@pytest.mark.parametrize("given", [0.5, "0.5", "mobilenetv2-0.5"])
def test_a_width_is_known_in_any_form(given):
    assert WarmMobileNetV2(given, device="meta").variant_name == "mobilenetv2-0.5"


def with_options(options):
    return WarmEfficientNet, (Variant(1, 1, 224, 0.2, options),)


@pytest.mark.parametrize(
    "network, arguments, options, message",
    [
        (WarmResNet, (20,), {}, r"Unknown variant 20\. Choose one of resnet18, .*, resnet152, or pass its depth"),
        (WarmResNet, ("b0",), {}, r"Unknown variant 'b0'"),
        (WarmMobileNetV2, ("1.x",), {}, r"Unknown variant '1\.x'.*mobilenetv2-1\.4, or pass a width"),
        (WarmMobileNetV2, (-1,), {}, r"width=-1\.0 must be above 0"),
        (*with_options({"act": F.relu}), {}, r"options=\{'act': .*\} of a variant must be a tuple of pairs.*\('se_ratio', 0\)"),
        (*with_options((("se_ratio", -1),)), {}, r"se_ratio=-1 must be at least 0"),
        (*with_options((("acct", F.relu),)), {}, r"'acct'\. Did you mean 'act'"),
        (WarmEfficientNet, ("lite0",), {"stages": ((16, 1, 3, 1, 1, 3),)}, r"block=3 of a stage must be a function, or None"),
        (WarmResNet, (50,), {"stages": ()}, r"stages=\(\) must be a tuple of stages"),
        (WarmResNet, (50,), {"se_ratio": 0.25}, r"Unknown option 'se_ratio'"),
        (WarmResNet, (50,), {"output_stride": 2}, r"output_stride=2 cannot be made of these strides. They can make 4"),
        (WarmMobileNetV2, (1.0,), {"output_stride": 64}, r"output_stride=64 cannot be made of these strides"),
    ],
)
def test_a_network_that_cannot_be_is_refused(network, arguments, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        network(*arguments, device="meta", **options)


def test_a_variant_s_function_that_no_file_can_hold_is_asked_for_again(tmp_path):
    def act(x):
        return x.relu()

    model = WarmEfficientNet(Variant(1, 1, 224, 0.2, (("act", act),)), 10, **SMALL["lite0"], seed=0).eval()
    warmnet.save(model, tmp_path / "w.safetensors")
    with pytest.raises(warmnet.WeightsError, match=r"saved with act=<function .*Pass act="):
        WarmEfficientNet.from_pretrained(tmp_path / "w.safetensors")
    x = images(2, 64, 64)
    assert torch.equal(WarmEfficientNet.from_pretrained(tmp_path / "w.safetensors", act=act)(x), model(x))
