"""Training: recipes, data sets, and a run on Lightning Fabric. It needs `warmnet[train]`."""

from ..data import Data, Images, arrays, digits, folder, shards

# Those as themselves are for the command line and are not public.
from ..data.split_csv import trained_on as trained_on
from .batch_norm_statistics import recalibrate_batch_norm
from .checks import check_run as check_run
from .data_report import DataReport, report_data
from .evaluation import evaluate
from .evaluation_report import report
from .evaluation_report import report_files as report_files
from .evaluation_result import Evaluation
from .execution import Execution
from .execution import count_processes_and_threads as count_processes_and_threads
from .freezing import count_learning as count_learning
from .initial_network import digest as digest
from .initial_network import load_source as load_source
from .recipe import DIGITS, PHOTOS, RECIPES, Recipe
from .resumption import CHECKPOINT as CHECKPOINT
from .resumption import read_checkpoint as read_checkpoint
from .resumption import saved_step as saved_step
from .run import Run, fit
from .run_folder import check_can_be_written as check_can_be_written
from .run_folder import check_free as check_free
from .run_folder import new_folder as new_folder
from .run_record import FACTS as FACTS
from .run_record import RECORD as RECORD
from .run_record import from_json as from_json
from .run_record import plain as plain
from .run_record import read_record as read_record
from .sample_images import check_preview as check_preview
from .sample_images import plot_classes as plot_classes
from .sample_images import preview
from .sample_images import write_samples as write_samples
from .searching.running import Outcome, search

__all__ = [
    "DIGITS", "PHOTOS", "RECIPES", "Data", "DataReport", "Evaluation", "Execution", "Images", "Outcome", "Recipe", "Run",
    "arrays", "digits", "evaluate", "fit", "folder", "preview", "recalibrate_batch_norm", "report", "report_data", "search",
    "shards",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
