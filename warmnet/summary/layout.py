"""How rows that are named by paths look: aligned columns in a terminal, collapsible by block in a notebook."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

EIGHTHS = " ▏▎▍▌▋▊▉"

STYLE = """
.warmnet{font-size:12px;font-variant-numeric:tabular-nums;overflow-x:auto;color:var(--jp-content-font-color1,inherit);
--line:var(--jp-border-color2,rgba(128,128,128,.5))}
.warmnet .r{display:grid;grid-template-columns:var(--c);column-gap:.8em;align-items:baseline;padding:1px 4px;list-style:none;
min-width:min-content}
.warmnet .r>*{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;font-style:normal;text-align:right}
.warmnet .r>b,.warmnet .r>code{text-align:left;font-weight:normal;color:inherit;background:none;padding:0}
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


def bar(share: float, width: int = 3) -> str:
    """A share of 1 as a bar of at most `width` characters, padded to it."""
    whole, rest = divmod(round(share * width * 8), 8)
    return ("█" * whole + EIGHTHS[rest].strip()).ljust(width)


def megabytes(n: int) -> str:
    return f"{n / 1e6:,.2f}" if n else ""


def count(n: int) -> str:
    return f"{n:,}" if n else ""


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """A line for each row, its first `left` cells to the left of their columns and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = (cell.ljust(n) if i < left else cell.rjust(n) for i, (cell, n) in enumerate(zip(row, widths)))
        lines.append("  ".join(cells).rstrip())
    return lines


def last(path: str) -> str:
    return path.rpartition(".")[2]


def indented(path: str) -> str:
    """The last name of a path, further to the right the deeper it is."""
    return "  " * path.count(".") + last(path)


def widths(rows: Sequence[Sequence[str]]) -> str:
    """CSS widths of columns of figures: each that of its longest."""
    return " ".join(f"{max(map(len, column))}ch" for column in zip(*rows))


def nested(
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


def cell(text: str, share: float | None = None) -> str:
    """A cell of a row as HTML, with a bar for its share of 1."""
    return f'<s style="--s:{share:.1%}">{text}</s>' if text and share is not None else f"<i>{escape(text, quote=False)}</i>"


def name(text: str, call: str | None = None) -> str:
    """The first cell of a row as HTML, and that of its call if there is one."""
    return f"<b>{escape(text, quote=False)}</b>" + (f"<code>{escape(call, quote=False)}</code>" if call is not None else "")
