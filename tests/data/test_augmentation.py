import random

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Resampling
from sklearn.datasets import load_sample_image

from warmnet.data import Augmentation, Preprocessing
from warmnet.data.augmentation import POLICIES
from warmnet.data.crop import random_resized_crop
from warmnet.errors import InputError


def test_images_are_shifted_by_up_to_the_share_and_never_mirrored():
    augmentation = Augmentation("shift", shift=1 / 16)
    image = Image.new("RGB", (8, 8), "white")
    image.paste((0, 0, 0), (0, 2, 4, 6))  # dark on the left
    moved = [augmentation(image, Preprocessing(32, 1.0), random.Random(seed)) for seed in range(200)]
    red = torch.stack(moved)[:, 0]  # (200, 32, 32)
    ink = red.amax() - red
    assert (ink[:, :, 0].mean(1) > ink[:, :, -1].mean(1)).all(), "still dark on the left"
    right, bottom = ((ink.mean(axis) * torch.arange(32.0)).sum(1) / ink.mean(axis).sum(1) for axis in (1, 2))
    for place, still in (right, 7.5), (bottom, 15.5):
        assert still - 2.5 < place.min() < still - 0.5 and still + 0.5 < place.max() < still + 2.5


def test_images_are_mirrored_half_of_the_time():
    augmentation = Augmentation("part", flip=True)
    image = Image.new("RGB", (8, 8), "white")
    image.paste((0, 0, 0), (0, 0, 4, 8))  # dark on the left
    parts = [augmentation(image, Preprocessing(8), random.Random(seed)) for seed in range(200)]
    mirrored = sum(bool(part[:, :, 0].mean() > part[:, :, -1].mean()) for part in parts)
    assert 70 < mirrored < 130


@pytest.mark.parametrize("random_interpolation, filters", [(True, {"bilinear", "bicubic"}), (False, {"lanczos"})])
def test_images_are_resized_by_the_filter_which_looks_at_no_more_than_the_part(random_interpolation, filters):
    augmentation = Augmentation("torchvision", random_interpolation=random_interpolation)
    image, used = Image.fromarray(load_sample_image("china.jpg")[:120, :160]), set()
    for seed in range(12):
        part = image.crop(random_resized_crop(*image.size, random.Random(seed)))
        found = np.asarray(augmentation.pixels(image, Preprocessing(48, None, "lanczos"), random.Random(seed)))
        same = {name for name in filters if np.array_equal(part.resize((48, 48), Resampling[name.upper()]), found)}
        assert len(same) == 1
        used |= same
    assert used == filters


@pytest.mark.parametrize("augment", POLICIES)
def test_policies_differ_and_each_leaves_an_image_of_the_resolution(augment):
    image = Image.fromarray(load_sample_image("china.jpg")[:120, :160])

    def pictures(policy):
        augmentation = Augmentation(augment=policy)
        return [augmentation.pixels(image, Preprocessing(48), random.Random(seed)) for seed in range(9)]

    assert {picture.size for picture in pictures(augment)} == {(48, 48)}
    assert pictures(augment) not in [pictures(other) for other in (None, *POLICIES) if other != augment]


@pytest.mark.parametrize("wrong", [{"sampling": "centre"}, {"augment": "v0"}])
def test_what_is_no_choice_is_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is .*Choose one of"):
        Augmentation(**wrong)


def test_noise_is_put_in_as_often_as_asked():
    image = Image.new("RGB", (16, 16))
    plain = Preprocessing(16, 1.0)(image)
    for erase in 0, 0.5, 1:
        augmentation = Augmentation(erase=erase)
        changed = sum(not plain.equal(augmentation(image, Preprocessing(16), random.Random(seed))) for seed in range(200))
        assert abs(changed - 200 * erase) <= 30
