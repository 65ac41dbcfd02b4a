import numpy as np
import pytest
import torch
from alive import fill
from PIL import Image

import warmnet
from warmnet.data import Data, Sample
from warmnet.data.preprocessing import Preprocessing

SMALL = warmnet.Variant(width=1.0, depth=1.0, resolution=64, dropout=0.2)
STAGES = (warmnet.Stage(size=16, expand=2, kernel=5, stride=2, repeat=2),)


@pytest.fixture(scope="session")
def network():
    """A function that builds a small EfficientNet whose signal is alive; without pixels it takes float images."""

    def build(side=64, pixels=True, **options):
        options = {"stages": STAGES, "stem": 8, "head": 32, **options}
        model = warmnet.WarmEfficientNet(SMALL, 3, seed=0, **options)
        model = fill(model).eval()
        model.classes, model.metadata = ("cat", "dog", "cow"), {"accuracy": 0.5}
        model.preprocessing = Preprocessing(side) if pixels else None
        return model

    return build


@pytest.fixture(scope="session")
def model(network):
    return network()


@pytest.fixture(scope="session")
def data(model):
    """Coloured noise, labelled by what the network takes it for, but for every tenth."""
    generator = np.random.default_rng(0)
    coloured = generator.uniform(40, 215, (120, 1, 1, 3)) + generator.normal(0, 40, (120, 64, 64, 3))
    images = [Image.fromarray(image) for image in coloured.clip(0, 255).astype(np.uint8)]
    with torch.no_grad():
        labels = model(torch.stack([model.preprocessing(image) for image in images])).argmax(1).tolist()
    assert len({*labels}) > 1
    samples = [Sample(image, (label + (n % 10 == 0)) % 3) for n, (image, label) in enumerate(zip(images, labels))]
    return Data("noise", model.classes, samples[:40], samples[40:])
