"""What a trained network does with an image: where it sees signs of a class, which channels its gates shut, in one picture."""

from .explaining import Explanation, explain
from .gating import gates
from .localization import grad_cam

__all__ = ["Explanation", "explain", "gates", "grad_cam"]


def __dir__() -> list[str]:
    return __all__
