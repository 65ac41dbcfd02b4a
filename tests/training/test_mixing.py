import random

import pytest
import torch
import torch.nn.functional as F

from warmnet.errors import InputError
from warmnet.training.mixing import cutmix, mixup

LABELS = torch.tensor([0, 1, 2, 3])
TARGETS = F.one_hot(LABELS, 5).double()
IMAGES = torch.arange(4, dtype=torch.double)[:, None, None, None].expand(4, 3, 30, 20).contiguous()  # each its number


@pytest.mark.parametrize("mix", [mixup, cutmix])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_labels_are_mixed_as_the_pixels_are(mix, alpha):
    weights = torch.arange(5, dtype=torch.double)  # the mean label of an image's targets, and its mean pixel
    shares = []
    for seed in range(200):
        images, targets = mix(IMAGES, TARGETS, alpha, random.Random(seed))
        torch.testing.assert_close(targets.sum(1), torch.ones(4, dtype=torch.double))
        torch.testing.assert_close(images.mean((1, 2, 3)), targets @ weights)
        assert (targets >= 0).all()
        shares.append(targets[0, 0].item())
    assert min(shares) < 0.25 and max(shares) > 0.9
    assert torch.equal(IMAGES[:, 0, 0, 0], torch.arange(4).double()), "what is given stays as it is"


def test_mixup_draws_its_share_from_the_beta_distribution():
    shares = torch.tensor([mixup(IMAGES, TARGETS, 0.2, random.Random(seed))[1][0, 0] for seed in range(4000)])
    assert abs(shares.mean() - 0.5) < 0.04  # variance 1 / (4 (2 * 0.2 + 1)): a standard deviation of the mean is 0.007
    assert abs(shares.var() - 1 / 5.6) < 0.01


def test_cutmix_takes_one_box_and_nothing_else():
    for seed in range(100):
        images, targets = cutmix(IMAGES, TARGETS, 1.0, random.Random(seed))
        other = images[0] == 3
        assert ((images[0] == 0) | other).all() and (other == other[:1]).all()
        y, x = other[0].nonzero().T
        assert len(x) == 0 or len(x) == (y.max() - y.min() + 1) * (x.max() - x.min() + 1)
        assert targets[0, 3] == pytest.approx(other[0].double().mean().item())


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_labels_are_asked_for_as_probabilities(mix):
    for targets in (LABELS, F.one_hot(LABELS), TARGETS[:3]):
        with pytest.raises(InputError, match=r"targets are torch\..* must be probabilities, \(4, classes\): F.one_hot"):
            mix(IMAGES, targets, 1.0, random.Random(0))


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: mixup(IMAGES, TARGETS, 1.0, rng)[0],
        lambda rng: cutmix(IMAGES, TARGETS, 1.0, rng)[0],
    ],
    ids=["mixup", "cutmix"],
)
def test_what_comes_out_follows_from_the_seed_alone(draw):
    states = random.getstate(), torch.get_rng_state()
    assert torch.equal(draw(random.Random(5)), draw(random.Random(5)))
    assert not torch.equal(draw(random.Random(5)), draw(random.Random(6)))
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])
