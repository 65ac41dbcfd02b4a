"""Training: recipes, data sets, and a run on Lightning Fabric. It needs `warmnet[train]`."""

from ..data import Data, Images, arrays, digits, folder, shards
from ..data.split_csv import trained_on
from .batch_norm_statistics import recalibrate_batch_norm
from .checks import check_run
from .data_report import DataReport, report_data
from .evaluation import evaluate
from .evaluation_report import report, report_files
from .evaluation_result import Evaluation
from .execution import Execution, count_processes_and_threads
from .freezing import count_learning
from .initial_network import digest, load_source
from .recipe import DIGITS, PHOTOS, RECIPES, Recipe
from .resumption import CHECKPOINT, read_checkpoint, saved_step
from .run import Run, fit
from .run_folder import check_can_be_written, check_free, new_folder
from .run_record import FACTS, RECORD, from_json, plain, read_record
from .sample_images import check_png, check_preview, plot_classes, preview, write_samples
from .searching.running import Outcome, search

__all__ = [
    "CHECKPOINT", "DIGITS", "FACTS", "PHOTOS", "RECIPES", "RECORD", "Data", "DataReport", "Evaluation", "Execution", "Images",
    "Outcome", "Recipe", "Run", "arrays", "check_can_be_written", "check_free", "check_png", "check_preview", "check_run",
    "count_learning", "count_processes_and_threads", "digest", "digits", "evaluate", "fit", "folder", "from_json",
    "load_source", "new_folder", "plain", "plot_classes", "preview", "read_checkpoint", "read_record",
    "recalibrate_batch_norm", "report", "report_data", "report_files", "saved_step", "search", "shards", "trained_on",
    "write_samples",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
