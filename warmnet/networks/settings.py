"""Which settings a network can have: an error names the setting, its value and what is allowed."""

from __future__ import annotations

from typing import Any

from .. import checks

ROW = "size", "expand", "kernel", "stride", "repeat"  # of a table of stages
WHOLE = dict.fromkeys((*ROW, "resolution", "in_channels", "stem", "stem_stride", "head"), 1) | {"num_classes": 0}
POSITIVE = "width", "depth"
NOT_NEGATIVE = ("se_ratio",)
SHARES = "dropout", "drop_connect"


def check_settings(**settings: Any) -> None:
    """Refuse what no network can have for a setting of one of these names."""
    for name, value in settings.items():
        if name == "stages":
            _check_stages(value)
        elif name in WHOLE:
            checks.whole(name, value, WHOLE[name])
        elif name in POSITIVE:
            checks.positive(name, value)
        elif name in NOT_NEGATIVE:
            checks.not_negative(name, value)
        elif name in SHARES and not (name == "dropout" and value is None):  # which the variant decides
            checks.share(name, value)


def _check_stages(stages: Any) -> None:
    """Refuse what is no table of stages."""
    rows: Any = stages if isinstance(stages, (list, tuple)) else [None]
    if any(not isinstance(row, (list, tuple)) or len(row) != len(ROW) for row in rows):
        raise TypeError(f"stages={stages!r} must be a tuple of stages, each of {len(ROW)} numbers: {', '.join(ROW)}.")
    for row in rows:
        check_settings(**dict(zip(ROW, row)))
