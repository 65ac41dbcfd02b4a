"""Training from scratch on small data: recipes, data sets, and a run on PyTorch Lightning. It needs `warmnet[train]`."""

from .data import Data, digits, folder, write_samples
from .fit import Run, check_free, fit, new_folder
from .recipe import DIGITS, PHOTOS, Recipe

__all__ = ["DIGITS", "PHOTOS", "Data", "Recipe", "Run", "check_free", "digits", "fit", "folder", "new_folder", "write_samples"]
