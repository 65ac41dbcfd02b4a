"""Deployment: a trained network as a file for an engine, or as a predictor on the fastest one."""

from .building import PRECISIONS, check_precision
from .deploying import deploy
from .engines import ENGINES
from .errors import DeployError
from .exporting import engine_for, export, exported_files, exported_path
from .metadata import Metadata
from .prediction import predict
from .predictor import Predictor, is_exported, open_exported
from .verification import Verification

__all__ = [
    "ENGINES", "PRECISIONS", "DeployError", "Metadata", "Predictor", "Verification", "check_precision", "deploy", "engine_for",
    "export", "exported_files", "exported_path", "is_exported", "open_exported", "predict",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
