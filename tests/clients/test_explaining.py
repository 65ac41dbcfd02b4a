"""What explains a network finds in warmnet's what it finds in the peer's, and lets go of it."""

import copy
import gc
import weakref
from pathlib import Path

import captum.attr
import numpy as np
import pytest
import torch
from alive import error
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import warmnet

from .subjects import IMAGES, LAST, PEERS, pair

CAT = Path(__file__).parents[2] / "docs" / "cat.jpg"
TARGETS = [ClassifierOutputTarget(3), ClassifierOutputTarget(4)]


@pytest.mark.parametrize("peer", PEERS)
def test_captums_attributions_are_those_of_the_peer(peer, row):
    found = []
    for network, path in zip(pair(peer), LAST[peer]):
        layer = network.get_submodule(path)
        found.append(
            {
                "IntegratedGradients": captum.attr.IntegratedGradients(network).attribute(IMAGES, target=3, n_steps=8),
                "LayerGradCam": captum.attr.LayerGradCam(network, layer).attribute(IMAGES, target=3),
                "LayerActivation": captum.attr.LayerActivation(network, layer).attribute(IMAGES),
                "LayerIntegratedGradients": captum.attr.LayerIntegratedGradients(network, layer).attribute(
                    IMAGES, target=3, n_steps=4
                ),
            }
        )
    ours, theirs = found
    for what in ours:
        row("captum", f"{what}, size", float(ours[what].norm()), peer, float(theirs[what].norm()))
        assert error(ours[what], theirs[what]) < 1e-4 and ours[what].norm() > 0


@pytest.mark.parametrize("peer", PEERS)
def test_grad_cams_maps_are_those_of_the_peer(peer, row):
    maps = []
    for network, path in zip(pair(peer), LAST[peer]):
        with GradCAM(network, [network.get_submodule(path)]) as cam:
            maps.append(cam(input_tensor=IMAGES, targets=TARGETS))
    row("grad-cam", "mean of the maps", float(maps[0].mean()), peer, float(maps[1].mean()))
    assert np.abs(maps[0] - maps[1]).max() < 1e-3 and maps[0].std() > 0.1


@pytest.mark.parametrize("path", ["stage_7", "head"])
def test_a_grad_cam_that_holds_the_network_goes_with_it(path):
    network = copy.deepcopy(pair("timm")[0])
    cam = GradCAM(network, [network.get_submodule(path)])
    for _ in range(6):
        cam(input_tensor=IMAGES, targets=TARGETS)
    with torch.no_grad():
        network(IMAGES)
    gone = weakref.ref(cam), weakref.ref(network)
    del cam, network
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


@pytest.mark.parametrize("path", ["head", "stage_5", "stage_2.mb_block_2.depthwise.bn"])
def test_grad_cam_is_that_of_captum_and_of_pytorch_grad_cam_on_a_photograph(path, row):
    model = warmnet.WarmEfficientNet.from_pretrained("lite0")
    x = model.preprocessing([CAT, CAT])
    labels = torch.tensor([model.classes.index("tiger cat"), model.classes.index("space shuttle")])
    ours, layer = warmnet.grad_cam(model, x, labels, path), model.eval().get_submodule(path)

    maps = captum.attr.LayerGradCam(model, layer).attribute(x, target=labels, relu_attributions=True)
    theirs = captum.attr.LayerAttribution.interpolate(maps, x.shape[2:], "bilinear")[:, 0].detach()
    assert error(ours, theirs) < 1e-5 and (ours > 0).any()

    with GradCAM(model, [layer]) as cam:
        scaled = cam(input_tensor=x, targets=[ClassifierOutputTarget(int(label)) for label in labels])
    low, high = ours.amin((1, 2), keepdim=True), ours.amax((1, 2), keepdim=True)
    row("grad-cam", f"largest of {path}", float(ours.max()), "captum", float(theirs.max()))
    assert np.abs(((ours - low) / (high - low)).numpy() - scaled).max() < 1e-4
