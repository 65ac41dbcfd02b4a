import random

import torch

from warmnet.data.erasing import random_erasing


def test_random_erasing_puts_noise_into_one_box_and_leaves_the_rest():
    image, areas, noise = torch.full((3, 60, 80), 9.0), [], []
    for seed in range(300):
        erased = random_erasing(image, random.Random(seed), probability=1)
        box = (erased != 9).all(0)
        assert torch.equal(box, (erased != 9).any(0))
        rows, columns = int(box.any(1).sum()), int(box.any(0).sum())
        assert rows * columns == box.sum() and rows < 60 and columns < 80
        assert 0.29 < rows / columns < 1 / 0.29
        areas.append(rows * columns / (60 * 80))
        noise.append(erased[:, box].flatten())
    assert 0.018 < min(areas) < 0.04 and 0.28 < max(areas) < 0.345
    pixels = torch.cat(noise)
    assert abs(pixels.mean()) < 0.01 and abs(pixels.std() - 1) < 0.01
    assert (image == 9).all(), "what is given stays as it is"


def test_random_erasing_erases_as_often_as_asked():
    image = torch.zeros(1, 16, 16)
    erased = sum(bool(random_erasing(image, random.Random(seed), probability=0.2).any()) for seed in range(3000))
    assert abs(erased - 600) < 5 * (3000 * 0.2 * 0.8) ** 0.5
    assert random_erasing(image, random.Random(0), probability=0) is image


def test_the_box_and_the_noise_follow_from_the_seed_alone():
    image = torch.zeros(3, 30, 20)
    states = random.getstate(), torch.get_rng_state()
    first, again, other = (random_erasing(image, random.Random(seed), probability=1) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])
