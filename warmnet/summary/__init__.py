"""Looking at networks: as a table, as what an edit changed, as a picture. Nothing is computed or allocated for it."""

from .difference import Change, Difference, diff
from .drawing import Picture, draw
from .table import Row, Table, tabulate

__all__ = ["Change", "Difference", "Picture", "Row", "Table", "diff", "draw", "tabulate"]
