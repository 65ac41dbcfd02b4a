"""Grad-CAM lies where the class is, and leaves the network as it was."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_families import SMALL
from small_networks import ConvNet, Small, images
from torch import nn

import warmnet
import warmnet.functional as W
from warmnet.errors import InputError
from warmnet.inspection.localization import block_and_grad_cam

CAT = Path(__file__).parents[2] / "docs" / "cat.jpg"
IMAGES = images(height=64, width=64)


@pytest.fixture(scope="module")
def lite0():
    return warmnet.WarmEfficientNet.from_pretrained("lite0")


@pytest.fixture
def network():
    return Small(seed=0)


class OneBlock(warmnet.WarmModule):
    def forward(self, x):
        x = warmnet.conv_bn_act(x, 4, 3, name="maps")
        return W.linear(x.mean((2, 3)), 2, name="classifier")


def centre(cam):
    """The centre of mass of a map, (row, column), as shares of its sides."""
    places = [(torch.arange(side) + 0.5) / side for side in cam.shape]
    return [float((cam.sum(1 - dim) * place).sum() / cam.sum()) for dim, place in enumerate(places)]


def test_grad_cam_follows_the_cat_to_where_it_is_in_the_picture(lite0):
    cat = lite0.preprocessing.pixels(CAT).resize((112, 112))
    corners = [(0, 0), (0, 112), (112, 0), (112, 112)]
    pictures = [Image.new("RGB", (224, 224), (124, 116, 104)) for _ in corners]
    for picture, (row, column) in zip(pictures, corners):
        picture.paste(cat, (column, row))
    x = torch.stack([lite0.preprocessing.normalized(picture) for picture in pictures])
    cams = warmnet.grad_cam(lite0, x, lite0.classes.index("tiger cat"))
    found = [tuple(112 * round(place) for place in centre(cam)) for cam in cams]
    assert found == corners


def test_a_map_is_each_images_own_and_of_its_own_label(network):
    both = warmnet.grad_cam(network, IMAGES, torch.tensor([3, 4]))
    each = [warmnet.grad_cam(network, IMAGES[n : n + 1], 3 + n)[0] for n in range(2)]
    assert both.shape == (2, 64, 64) and both.amax((1, 2)).gt(0).all()
    torch.testing.assert_close(both, torch.stack(each))
    assert not torch.equal(both, warmnet.grad_cam(network, IMAGES, [4, 3]))


def test_the_maps_are_weighted_by_their_mean_gradients():
    """Of a classifier that takes means, those are its weights over the number of pixels."""
    net = warmnet.up(OneBlock(), [1, 3, 16, 16], seed=0).double()
    x = IMAGES.double()
    maps = warmnet.Endpoints(net.eval(), ["maps"])(x)["maps"].detach()
    weighted = (net.classifier.weight[1].detach() @ maps.flatten(2)).view(2, *maps.shape[2:]).relu() / maps[0, 0].numel()
    assert weighted.any()
    torch.testing.assert_close(warmnet.grad_cam(net, x, 1), weighted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("family", SMALL)
def test_a_network_stays_as_it_was(family):
    model = SMALL[family](10, seed=0)
    model.stem.eval()
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    generator = torch.get_rng_state()
    block, _ = block_and_grad_cam(model, IMAGES, 1)
    assert block == ("stage_2" if family == "resnet" else "head")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes and torch.equal(torch.get_rng_state(), generator)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_frozen_weights_and_modes_without_gradients_give_the_same_map(network):
    expected = warmnet.grad_cam(network, IMAGES, 1)
    assert expected.any() and not expected.requires_grad
    network.requires_grad_(False)
    for mode in torch.no_grad(), torch.inference_mode():
        with mode:
            assert torch.equal(warmnet.grad_cam(network, IMAGES.clone(), 1), expected)
    with torch.inference_mode():
        built = warmnet.grad_cam(Small(seed=0), IMAGES, 1)
    assert torch.equal(built, expected) and not built.is_inference()


def test_the_last_maps_of_more_than_one_pixel_are_taken():
    model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), 10, seed=0)
    assert block_and_grad_cam(model, IMAGES[..., :32, :32], 1)[0] == "stage_6.mb_block_1.expand"
    assert block_and_grad_cam(ConvNet(), images(height=28, width=28)[:, :1], 1)[0] == "conv_2"
    assert block_and_grad_cam(layers(nn.ReLU()), IMAGES, 1)[0] == "0"
    assert block_and_grad_cam(layers(nn.BatchNorm2d(4), nn.ReLU()), IMAGES, 1)[0] == "1"


def test_of_a_shared_block_the_last_call_counts():
    class Net(warmnet.WarmModule):
        def forward(self, x):
            x = warmnet.conv_bn_act(x, 3, 3, name="shared")
            x = warmnet.conv_bn_act(x, 3, 3, name="between")
            x = warmnet.conv_bn_act(x, 3, 3, name="shared", share=True)
            return W.linear(x.mean((2, 3)), 2, name="classifier")

    net = warmnet.up(Net(), [1, 3, 16, 16], seed=0)
    last = []
    net.shared.register_forward_hook(lambda module, args, y: last.append(y.detach()))
    block, cam = block_and_grad_cam(net, IMAGES, 1)
    net.eval()(IMAGES)
    assert block == "shared"
    torch.testing.assert_close(cam, (net.classifier.weight[1].detach().view(3, 1, 1) * last[-1] / 4096).sum(1).relu())


def test_a_class_that_every_map_speaks_against_has_a_map_of_zeros(network):
    with torch.no_grad():
        network.classifier.weight[5] = 0
    assert not warmnet.grad_cam(network, IMAGES, 5).any()


def test_what_is_not_there_is_named_with_what_is(network):
    for arguments, message in [
        (
            (1, "residul_1"),
            "'residul_1' of Small is not there. Did you mean 'residual_1'. Choose one of stem, residual_1, resi",
        ),
        ((1, "classifier"), r"outputs no maps \(B, C, H, W\). Choose one of stem,"),
        ((10,), "labels is 10, and the 10 classes have the indices 0 to 9"),
        ((-1,), "labels is -1"),
        (((1, 2, 3),), r"labels is \(1, 2, 3\). It is the index of a class, or one for each of the 2 images"),
        (("cat",), "labels is 'cat'. It is the index"),
        ((None,), "labels is None. It is the index"),
        (({1},), r"labels is \{1\}. It is the index"),
        (([None, 1],), r"labels is \[None, 1\]. It is the index"),
        ((True,), "labels is True. It is the index"),
        ((1.0,), "labels is 1.0. It is the index"),
        ((1, network.stem), "block is of type Block, and is to be a path. Choose one of stem, residual_1"),
    ]:
        with pytest.raises(InputError, match=message):
            warmnet.grad_cam(network, IMAGES, *arguments)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint64, np.int32])
def test_labels_are_whole_numbers_of_any_kind(network, dtype):
    expected = warmnet.grad_cam(network, IMAGES, [3, 4])
    assert torch.equal(warmnet.grad_cam(network, IMAGES, np.array([3, 4], dtype)), expected)
    assert torch.equal(warmnet.grad_cam(network, IMAGES, dtype(3))[0], expected[0])
    assert torch.equal(warmnet.grad_cam(network, IMAGES, [torch.tensor(3), torch.tensor(4)]), expected)


def layers(*after, size=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, size, 4, 4), *after, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(size, 10))


@pytest.mark.parametrize("block", ["0", "1", "2"])
def test_what_is_written_over_the_maps_later_does_not_change_them(block):
    expected, found = (
        warmnet.grad_cam(layers(nn.BatchNorm2d(4), nn.ReLU(inplace)), IMAGES, 1, block) for inplace in (False, True)
    )
    assert expected.any() and torch.equal(found, expected)


class ChannelsLast(nn.Module):
    """A convolution whose maps go on with the channels last, as in a Swin transformer, and in heads, as in attention."""

    def __init__(self, size):
        super().__init__()
        self.embedding, self.norm, self.head_norm = nn.Conv2d(3, size, 4, 4), nn.LayerNorm(size), nn.LayerNorm(4)
        self.classifier = nn.Linear(size, 10)

    def forward(self, x):
        x = self.norm(self.embedding(x).permute(0, 2, 3, 1))
        heads = self.head_norm(x.flatten(1, 2).unflatten(2, (-1, 4)).transpose(1, 2))
        return self.classifier(heads.transpose(1, 2).flatten(2).mean(1))


@pytest.mark.parametrize("size", [8, 16, 64])  # 16: maps that are as wide as they have channels
def test_what_has_channels_last_is_not_taken_for_maps(size):
    net = ChannelsLast(size)
    assert block_and_grad_cam(net, IMAGES, 1)[0] == "embedding"
    if size != 16:
        with pytest.raises(InputError, match=r"Block 'norm' of ChannelsLast outputs no maps \(B, C, H, W\)"):
            warmnet.grad_cam(net, IMAGES, 1, "norm")


@pytest.mark.parametrize(
    "x", [IMAGES[0], IMAGES.numpy(), IMAGES.int(), IMAGES[:0]], ids=["no batch", "an array", "integers", "empty"]
)
def test_what_is_no_batch_of_images_is_refused(network, x):
    for function in lambda: warmnet.grad_cam(network, x, 1), lambda: warmnet.gates(network, x):
        with pytest.raises(InputError, match=r"It is to be a batch of images as a float tensor \(B, C, H, W\)"):
            function()


def test_a_network_whose_logits_say_nothing_is_refused():
    def refused(network, message, x=IMAGES):
        with pytest.raises(InputError, match=message):
            warmnet.grad_cam(network, x, 1)

    refused(warmnet.Endpoints(Small(), ["stem"]), "this one outputs a dict")
    refused(Small(device="meta"), "on 'meta' and has no values")
    refused(Small(), "x is on 'meta'", IMAGES.to("meta"))
    refused("b0", "model is 'b0'. It is to be a network")
    program = torch.export.export(layers(), (IMAGES,))
    refused(program, "model is of type ExportedProgram")
    refused(program.module(), "torch.export has no layers to follow. Pass the module that it was made of")
    refused(nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), "lazy")
    refused(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 10)), "outputs maps")
    refused(Small(), "not finite", IMAGES * 1e38)


def test_a_block_beside_the_way_to_the_logits_is_refused():
    class Net(warmnet.WarmModule):
        def forward(self, x):
            y = warmnet.conv_bn_act(x, 4, 3, name="on_the_way")
            warmnet.conv_bn_act(x, 4, 3, name="beside")
            return W.linear(y.mean((2, 3)), 10)

    net = warmnet.up(Net(), [1, 3, 16, 16])
    with pytest.raises(InputError, match="do not depend on the maps of 'beside'"):
        warmnet.grad_cam(net, IMAGES, 1, "beside")
    assert block_and_grad_cam(net, IMAGES, 1)[0] == "on_the_way"


def test_a_forward_without_gradients_is_refused():
    class Net(nn.Sequential):
        @torch.no_grad()
        def forward(self, x):
            return super().forward(x)

    net = Net(*layers())
    with pytest.raises(InputError, match="computes within torch.no_grad"):
        warmnet.grad_cam(net, IMAGES, 1)
