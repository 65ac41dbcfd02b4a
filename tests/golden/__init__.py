"""Recorded numbers: JSON files of one record to a line, the first of which is the command that writes the file anew."""

import json
from pathlib import Path
from typing import Any


def read(name: str) -> tuple[dict[str, Any], str]:
    """The records of a file, and what to do about them when they fail."""
    records = json.loads(_path(name).read_text())
    return records, f"If that is meant, regenerate tests/golden/{name}.json: {records.pop('regenerate')}"


def write(name: str, regenerate: str, records: dict[str, Any]) -> None:
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in {"regenerate": regenerate, **records}.items())
    _path(name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _path(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.json")
