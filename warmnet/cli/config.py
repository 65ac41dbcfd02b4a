"""Options from a JSON file: the run.json of a run, or one of the user's own."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..authoring.source_code import SourceCode
from ..errors import InputError
from ..networks.names import choose_one
from .arguments import augmentation

RECORDED = (
    "folder",
    "val",
    "val_share",
    "labels",
    "strict",
    "model",
    "weights",
    "lineage",
)  # options that run.json has beside what the run itself knows
PATHS = "folder", "val", "labels", "model", "weights"
NOT_IN_FILES = "help", "config", "set", "resume", "preview", "join", "trials", "minutes", "jobs"
FACT_TYPES = {"weights_sha256": str, "extended": list, "processes": int, "threads": int}  # of the facts that count here
TYPES = {str: "text", list: "a list", int: "a whole number", float: "a number", bool: "true or false"}  # as messages have them


def add_config(arguments: argparse.Namespace, file: Path) -> argparse.Namespace:
    """The arguments with the options of a file, before which those go that were given.

    `recipe_settings` are all settings of a recipe, if the file has them, as run.json does.
    """
    from .. import training

    content = training.read_record(file)
    if isinstance(content.get("augment"), list):
        raise InputError(f"{file} is a policy, and no options. Train by it with --augment {file}.")
    settings = content.pop("recipe") if isinstance(content.get("recipe"), dict) else {}
    _check_code(arguments, content, file)
    words = _words(content, arguments.parser, file)
    words = [*words, *arguments.words[1:]]
    if content.get("folder") and not arguments.folder:
        words.append(content["folder"])
    both = arguments.parser.parse_args(words)
    both.words, both.rest = arguments.words, arguments.rest
    both.recipe_settings = {} if arguments.recipe else settings
    both.weights_sha256 = None if arguments.weights else content.get("weights_sha256")
    both.facts = {name: content.get(name) for name in FACT_TYPES}
    return both


def _check_code(arguments: argparse.Namespace, content: Mapping[str, Any], file: Path) -> None:
    """Raise InputError if the file names code of the user's, which runs only if its user names it."""
    if content.get("model") and not arguments.model:
        code = SourceCode(str(content.get("source_code")).partition(",")[0])
        is_kept = code.file and (file.parent / code.file).is_file()
        name = file.parent / code.name if is_kept else content["model"]
        raise InputError(
            f"{file} is of {content['model']}, and code runs only if you name it. Do so if you trust it: --model {name}"
        )


def _words(content: Mapping[str, Any], parser: argparse.ArgumentParser, file: Path) -> list[str]:
    """The words of the command line that stand for the options of a file, but for its FOLDER and facts."""
    from ..training import FACTS, Recipe

    options = {action.dest: action for action in parser._actions if action.dest not in NOT_IN_FILES}
    names = [*options, *(field.name for field in fields(Recipe) if field.name != "name")]
    words = []
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in (*names, *FACTS):
            raise InputError(f"{file} has {key!r}, and there is no such option. {choose_one(name, dict.fromkeys(names))}.")
        if value is None:
            continue
        kind = FACT_TYPES.get(name) or (_type_of(options[name]) if name in options else None)
        if kind:
            _check_type(file, key, value, kind)
        if name in FACTS or name in ("folder", "model"):
            continue
        if name == "variant" and content.get("weights"):  # which are of it, and it may be one without a name
            continue
        if name not in options:
            words.append(f"--set={name}={value!r}")
        elif options[name].nargs != 0:
            words.append(f"{options[name].option_strings[-1]}={value}")
        elif value:
            words.append(options[name].option_strings[-1])
    return words


def _type_of(option: argparse.Action) -> type:
    """What JSON holds for an option: true or false for one without a value, text, or a number."""
    if option.nargs == 0:
        return bool
    return str if option.type in (None, augmentation) or isinstance(option.default, str) else float


def _check_type(file: Path, key: str, value: Any, kind: type) -> None:
    """Raise InputError if a value in the file is of another type; any number is one."""
    fits = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)
    if not fits or value == "" or "\0" in str(value):
        raise InputError(f"{file}: {key} is {value!r}; it must be {TYPES[kind]}. Write that, or leave it out.")


def recorded(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that run.json has beside what the run itself knows, paths of what is there absolute."""
    options = {name: getattr(arguments, name) for name in RECORDED}
    for name in PATHS:
        is_there = options[name] and Path(options[name].partition(":")[0]).exists()
        if is_there or (name == "folder" and (options[name] or "").endswith(".tar")):  # of shards a pattern
            options[name] = os.path.abspath(options[name])
    return options
