"""Training: recipes, data sets, and a run on Lightning Fabric. It needs `warmnet[train]`."""

from .batch_norm_statistics import reestimate
from .data import Data, Images, digits, folder, preview, write_samples
from .evaluation import Evaluation, evaluate, report
from .execution import Engine
from .recipe import DIGITS, PHOTOS, RECIPES, Recipe
from .run import Run, fit
from .run_folder import CHECKPOINT, check_free, new_folder, trained_on
from .shards import shards

__all__ = [
    "CHECKPOINT", "DIGITS", "PHOTOS", "RECIPES", "Data", "Engine", "Evaluation", "Images", "Recipe", "Run", "check_free",
    "digits", "evaluate", "fit", "folder", "new_folder", "preview", "reestimate", "report", "shards", "trained_on",
    "write_samples",
]  # fmt: skip
