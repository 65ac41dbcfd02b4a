import pytest
from alive import fill

import warmnet
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
