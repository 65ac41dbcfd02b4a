"""Rows as HTML: each block of the network folds up what is in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

from ..text import indented

STYLE = """
.warmnet{font-size:12px;font-variant-numeric:tabular-nums;overflow-x:auto;color:var(--jp-content-font-color1,inherit);
--line:var(--jp-border-color2,rgba(128,128,128,.5))}
.warmnet .r{display:grid;grid-template-columns:var(--c);column-gap:.8em;align-items:baseline;padding:1px 4px;list-style:none;
min-width:min-content}
.warmnet .r>*{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;font-style:normal;text-align:right}
.warmnet .r>b,.warmnet .r>samp{text-align:left;font-weight:normal;color:inherit;background:none;padding:0}
.warmnet div.r>b{padding-left:calc(var(--d,0)*1.2em)}
.warmnet .r>b::before{content:"\\2003"}
.warmnet summary.r{cursor:pointer}
.warmnet summary.r>b{font-weight:bold;padding-left:calc((var(--d) - 1)*1.2em)}
.warmnet summary.r>b::before{content:"▸"}
.warmnet details[open]>summary>b::before{content:"▾"}
.warmnet .r:hover{background:rgba(128,128,128,.15)}
.warmnet .h,.warmnet .f{border:solid var(--line);border-width:0 0 1px}
.warmnet .f{border-width:1px 0 0}
.warmnet s{text-decoration:none;background:linear-gradient(to right,rgba(70,130,220,.35) var(--s),transparent 0)}
.warmnet .m{color:#c50}.warmnet .p{color:#28d}
""" + "".join(f".warmnet {'details ' * d}{{--d:{d}}}" for d in range(1, 9))  # fmt: skip


def name_cell(name: str) -> str:
    """The first cell of a row."""
    return f"<b>{escape(name, quote=False)}</b>"


def call_cell(call: str) -> str:
    """The cell of the call that made a layer. JupyterLab breaks the lines of `code`, whatever it is told."""
    return f"<samp>{escape(call, quote=False)}</samp>"


def cell(text: str, share: float | None = None) -> str:
    """A cell of a row, with a bar for its share of 1."""
    return f'<s style="--s:{share:.1%}">{text}</s>' if text and share is not None else f"<i>{escape(text, quote=False)}</i>"


def column_widths(rows: Sequence[Sequence[str]]) -> str:
    """CSS widths of columns of figures: each that of its longest."""
    return " ".join(f"{max(map(len, column))}ch" for column in zip(*rows))


def folding_rows(
    columns: str,
    head: str,
    rows: Sequence[tuple[str, str]],
    total: str,
    notes: Sequence[str] = (),
    unfolded: Collection[str] = (),
) -> str:
    """Rows (path, cells), each followed by what is in it, as HTML that folds by block, but for those that are `unfolded`.

    Cells are HTML, `columns` the CSS widths of those after the first.
    """
    parts = []
    depths = [path.count(".") for path, _ in rows] + [0]
    for (path, row), depth, following in zip(rows, depths, depths[1:]):
        if following > depth:
            details = '<details open="">' if path in unfolded else "<details>"
            parts.append(f'{details}<summary class="r">{row}</summary>')
        else:
            parts.append(f'<div class="r">{row}</div>' + "</details>" * (depth - following))
    first = max((len(indented(path)) + 4 for path, _ in rows), default=0)
    body = f'<div class="r h">{head}</div>{"".join(parts)}<div class="r f">{total}</div>'
    below = "".join(f"<div>{escape(note, quote=False)}</div>" for note in notes)
    return f'<div class="warmnet" style="--c:minmax({first}ch,14em) {columns}"><style>{STYLE}</style>{body}{below}</div>'
