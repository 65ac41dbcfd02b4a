"""What an edit changed in a network: the rows of two tables, matched by path."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from .differences import Change, Difference
from .measuring import Network, tabulate


def diff(before: Network, after: Network, input: Any = None) -> Difference:
    """What is different in `after`: the rows of the two networks' tables that differ in shape, parameters or multiply-adds.

    Rows are the same if their paths are. Networks and `input` are as in `tabulate`.

    >>> import warmnet, warmnet.functional as W
    >>> change = warmnet.diff(lambda x: W.linear(x, 2), lambda x: W.linear(W.linear(x, 2), 3), (1, 4))
    >>> [(c.mark, c.path, c.after.shape) for c in change.changes]
    [('+', 'linear_2', (1, 3))]
    """
    table_before, table_after = tabulate(before, input), tabulate(after, input)
    rows_before, rows_after = ({row.path: row for row in table.rows} for table in (table_before, table_after))
    changes, settings, visible = [], [], set[str]()
    for path in _merged([*rows_before], [*rows_after]):
        change = Change(path, rows_before.get(path), rows_after.get(path))
        changes.append(change)
        if change.mark:
            visible.update(_blocks(path))
        elif change.before and change.after and change.before.call != change.after.call:
            settings.append(path)
    return Difference(table_before, table_after, tuple(c for c in changes if c.path in visible), tuple(settings))


def _blocks(path: str) -> list[str]:
    """'stage_1', 'stage_1.mb_block_1', ... down to the path itself."""
    return [*accumulate(path.split("."), "{}.{}".format)]


def _merged(before: list[str], after: list[str]) -> list[str]:
    """The paths of both, each in the block that it is in, in the order of `after`; what is gone stands where it was."""
    places = {path: (i, 0) for i, path in enumerate(after)}
    last = (-1, 0)
    for i, path in enumerate(before):
        last = places.setdefault(path, (last[0], i + 1))
    return sorted(places, key=lambda path: [places[block] for block in _blocks(path)])
