"""Training: recipes, data sets, and a run on Lightning Fabric. It needs `warmnet[train]`."""

from .data import Data, Images, digits, folder, preview, write_samples
from .engine import Engine
from .evaluate import Evaluation, evaluate, report
from .fit import Run, fit
from .recipe import DIGITS, PHOTOS, RECIPES, Recipe
from .run_folder import CHECKPOINT, check_free, new_folder, trained_on
from .shards import shards
from .statistics import reestimate

__all__ = [
    "CHECKPOINT", "DIGITS", "PHOTOS", "RECIPES", "Data", "Engine", "Evaluation", "Images", "Recipe", "Run", "check_free",
    "digits", "evaluate", "fit", "folder", "new_folder", "preview", "reestimate", "report", "shards", "trained_on",
    "write_samples",
]  # fmt: skip
