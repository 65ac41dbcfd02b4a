"""Training: recipes, data sets, and a run on Lightning Fabric. It needs `warmnet[train]`."""

from ..data import Data, Images, digits, folder, shards
from ..data.split_csv import trained_on
from .batch_norm_statistics import recalibrate_batch_norm
from .evaluation import evaluate
from .evaluation_report import report, report_files
from .evaluation_result import Evaluation
from .execution import Execution
from .recipe import DIGITS, PHOTOS, RECIPES, Recipe
from .run import Run, fit
from .run_folder import CHECKPOINT, check_free, new_folder
from .sample_images import preview, write_samples

__all__ = [
    "CHECKPOINT", "DIGITS", "PHOTOS", "RECIPES", "Data", "Evaluation", "Execution", "Images", "Recipe", "Run", "check_free",
    "digits", "evaluate", "fit", "folder", "new_folder", "preview", "recalibrate_batch_norm", "report", "report_files",
    "shards", "trained_on", "write_samples",
]  # fmt: skip
