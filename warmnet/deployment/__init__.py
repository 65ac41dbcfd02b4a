"""Deployment: a trained network as a file for an engine, or as a predictor on the fastest one."""

from .about import About, DeployError
from .checked import Check
from .engines import ENGINES
from .export import PRECISIONS, deploy, export, exported_path
from .predictor import Predictor, is_exported, open_exported

__all__ = [
    "ENGINES", "PRECISIONS", "About", "Check", "DeployError", "Predictor", "deploy", "export", "exported_path",
    "is_exported", "open_exported",
]  # fmt: skip
