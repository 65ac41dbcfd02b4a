"""The table of names is the peers' own: ids on the Hub, sizes, crops, filters, means, standard deviations, and pixels."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from warmnet.data.imagenet import imagenet_classes
from warmnet.data.preprocessing import Preprocessing
from warmnet.networks.names import find_meant
from warmnet.weights.checkpoints import CHECKPOINTS, TIMM
from warmnet.weights.lineages import LINEAGES
from warmnet.weights.wrong_names import OWN_TRAINING

from .libraries import timm, torchvision

# isort: off
from timm.data import create_transform, resolve_data_config  # after .libraries, without which torchvision cannot be imported
from timm.models import get_pretrained_cfg

MOBILENET = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1
OF_TIMM = [name for name, row in CHECKPOINTS.items() if row.top1_source == TIMM]
PHOTOGRAPHS = [Image.fromarray(image) for image in load_sample_images().images]
PHOTOGRAPHS += [PHOTOGRAPHS[0].rotate(90, expand=True).resize((333, 501)), PHOTOGRAPHS[1].crop((0, 0, 250, 201))]


def timms(name):
    """timm's configuration of a checkpoint, by what stands before the tag; and that it resolves for evaluation."""
    config = get_pretrained_cfg(CHECKPOINTS[name].source.removeprefix("timm/").partition(".")[0])
    return config, resolve_data_config(pretrained_cfg=config.to_dict(), use_test_size=True)


@pytest.mark.parametrize("name", OF_TIMM)
def test_a_row_is_timms_own_configuration_of_its_default_weights(name):
    row, (config, data) = CHECKPOINTS[name], timms(name)
    assert (row.source, row.licence.lower(), config.num_classes) == (config.hf_hub_id, config.license, 1000)
    expected = Preprocessing(
        data["input_size"][-1], data["crop_pct"], data["interpolation"], data["mean"], data["std"], data["crop_mode"]
    )
    assert row.preprocessing == expected


@pytest.mark.parametrize("name", OF_TIMM)
def test_photographs_become_timms_tensors_bit_for_bit(name):
    transform = create_transform(**timms(name)[1])
    for image in PHOTOGRAPHS:
        assert torch.equal(CHECKPOINTS[name].preprocessing(image), transform(image))


def test_photographs_become_torchvisions_tensors_bit_for_bit():
    for image in PHOTOGRAPHS:
        assert torch.equal(CHECKPOINTS["mobilenetv2-1.0"].preprocessing(image), MOBILENET.transforms()(image))


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_photographs_become_what_the_official_code_of_lite_makes_of_pixels(name):
    """(x - 127) / 128, efficientnet_lite_builder.py, to half an ulp of float32's two divisions."""
    preprocessing = CHECKPOINTS[name].preprocessing
    for image in PHOTOGRAPHS:
        pixels = np.asarray(preprocessing.pixels(image), dtype=np.float64)
        official = torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)
        torch.testing.assert_close(preprocessing(image).double(), official, rtol=0, atol=2e-7)


def test_top1_of_mobilenet_and_the_names_of_the_classes_are_torchvisions():
    row = CHECKPOINTS["mobilenetv2-1.0"]
    assert row.top1 == MOBILENET.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert row.sha256.startswith(MOBILENET.url.rpartition("-")[2].removesuffix(".pth"))
    assert imagenet_classes() == tuple(MOBILENET.meta["categories"])


def test_timms_own_trainings_are_those_that_it_takes_by_default():
    for architecture, tag in OWN_TRAINING.items():
        assert get_pretrained_cfg(architecture).tag == tag
    untold = {architecture for architecture in timm.list_models(pretrained=False) if find_meant(architecture, CHECKPOINTS)}
    untold -= {row.source.removeprefix("timm/").partition(".")[0] for row in CHECKPOINTS.values()}
    assert {each for each in untold if get_pretrained_cfg(each).hf_hub_id} - {*OWN_TRAINING} == LITES


LITES = {"tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"}  # the same weights as the packages'


@pytest.mark.parametrize("variant", [f"b{n}" for n in range(8)])
def test_photographs_become_torchvisions_tensors_for_its_own_files_too(variant):
    weights = torchvision.models.get_model_weights(f"efficientnet_{variant}").DEFAULT
    name = weights.url.rpartition("/")[2].removesuffix(".pth")
    preprocessing = LINEAGES["torchvision"][0].preprocessing(variant, name)
    for image in PHOTOGRAPHS:
        assert torch.equal(preprocessing(image), weights.transforms()(image))
