"""Deployment: a trained network as a file for an engine, or as a predictor on the fastest one."""

from .engines import ENGINES
from .export import PRECISIONS, deploy, export, exported_path
from .metadata import About, DeployError
from .predictor import Predictor, is_exported, open_exported
from .verification import Check

__all__ = [
    "ENGINES", "PRECISIONS", "About", "Check", "DeployError", "Predictor", "deploy", "export", "exported_path",
    "is_exported", "open_exported",
]  # fmt: skip
