"""What a network is made of: as a table, as what an edit changed, as a picture. Nothing is computed or allocated for it."""

from .comparing import diff
from .differences import Change, Difference
from .drawing import Picture, draw
from .measuring import tabulate
from .receptive import receptive_fields
from .tables import Row, Table

__all__ = ["Change", "Difference", "Picture", "Row", "Table", "diff", "draw", "receptive_fields", "tabulate"]


def __dir__() -> list[str]:
    return __all__
