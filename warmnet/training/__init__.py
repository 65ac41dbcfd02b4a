"""Training: recipes, data sets, and a run on Lightning Fabric. It needs `warmnet[train]`."""

from ..data import Data, Images, arrays, digits, folder, shards
from ..data.split_csv import trained_on
from .batch_norm_statistics import recalibrate_batch_norm
from .data_report import DataReport, report_data
from .evaluation import evaluate
from .evaluation_report import report, report_files
from .evaluation_result import Evaluation
from .execution import Execution
from .recipe import DIGITS, PHOTOS, RECIPES, Recipe
from .run import Run, fit
from .run_folder import CHECKPOINT, check_free, new_folder
from .sample_images import plot_classes, preview, write_samples

__all__ = [
    "CHECKPOINT", "DIGITS", "DataReport", "PHOTOS", "RECIPES", "Data", "Evaluation", "Execution", "Images", "Recipe", "Run",
    "arrays", "check_free", "digits", "evaluate", "fit", "folder", "new_folder", "plot_classes", "preview",
    "recalibrate_batch_norm", "report", "report_data", "report_files", "shards", "trained_on", "write_samples",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
