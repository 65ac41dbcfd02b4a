"""How fast warmnet wants to be: the most that it may take of what the fastest library takes, and whether it does."""

from typing import Any

from bench_contenders import V1

ONE = {"eager": 0.95}  # with one image
V1_GOALS = {
    "build": 1.5, "overhead": 1.0, "eager": 0.85, "training fp32": 0.95, "training bf16": 0.65,
    "deployed fp32": 0.9, "deployed bf16": 0.9, "deployed int8": 0.9, "memory": 0.75,
}  # fmt: skip
OTHERS = 1.02


def goal(row: dict[str, Any]) -> float | None:
    """The goal of a row; None where there is none."""
    if row["group"] not in V1_GOALS:
        return None
    if row["variant"] not in V1:
        return OTHERS
    return ONE.get(row["group"], V1_GOALS[row["group"]]) if row["batch"] == 1 else V1_GOALS[row["group"]]


def verdict(row: dict[str, Any]) -> str:
    """'met', 'MISSED', or '' where there is no goal or no ratio, or another engine of the contest is faster."""
    wanted = goal(row)
    if wanted is None or not row["ratio"] or not row["is best"]:
        return ""
    return "met" if round(row["ratio"]["median"], 2) <= wanted else "MISSED"
