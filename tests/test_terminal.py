import fcntl
import io
import pty
import struct
import sys
import termios

import pytest

from warmnet.terminal import STAND_INS, Column, table, terminal_width
from warmnet.text import cells

COLUMNS = [
    Column("name", least=10),
    Column("colour", drop=1),
    Column("images", right=True, drop=2),
    Column("→", drop=2, called=""),
    Column("share", right=True),
]
ROWS = [("猫 in the garden of the neighbours", "black", "1,234", "", "1%"), ("dog", "brown and white", "7", "8", "99%")]


def test_without_a_width_nothing_is_shortened_or_left_out():
    assert table(COLUMNS, ROWS, None, totals=[("total", "", "1,241", "", "100%")]) == [
        "name                                colour           images  →  share",
        "─" * 69,
        "猫 in the garden of the neighbours  black             1,234        1%",
        "dog                                 brown and white       7  8    99%",
        "─" * 69,
        "total                                                 1,241      100%",
    ]


def test_columns_are_shortened_first_and_then_left_out_by_importance_and_it_is_said():
    assert table(COLUMNS, ROWS, 46) == [
        "name         colour           images  →  share",
        "─" * 46,
        "猫 in t…urs  black             1,234        1%",
        "dog          brown and white       7  8    99%",
    ]
    assert table(COLUMNS, ROWS, 44)[-1] == "left out at 44 columns: colour"
    wide = [*COLUMNS, Column("x" * 20)]
    assert table(wide, [(*row, "") for row in ROWS], 40)[-1] == "left out at 40 columns: colour, images"


@pytest.mark.parametrize("width", range(40, 80))
def test_no_line_is_wider_than_the_width(width):
    assert max(map(cells, table(COLUMNS, ROWS, width))) <= width


def test_rows_without_titles_have_no_rule():
    assert table([Column(""), Column("", right=True)], [("top-1", "9%"), ("a", "10%")], None) == ["top-1   9%", "a      10%"]


def test_cells_that_are_shortened_stay_different():
    rows = [(f"a dog of the breed number {n}, in a garden",) for n in range(3)]
    lines = table([Column("", least=10)], rows, 40)
    assert len(set(table([Column("", least=10), Column("x" * 28)], [(*row, "") for row in rows], 40))) == 5 > len(lines)


def test_a_name_is_told_apart_from_those_in_other_columns():
    rows = [("the american pit bull of the garden", "the american staffordshire of the garden"), ("cat", "")]
    lines = table([Column("true", least=12), Column("taken for", least=12)], rows, 40)
    assert "…pit bull" in lines[2] and "…staffor" in lines[2]


def test_a_pipe_has_any_width_and_COLUMNS_is_respected(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert terminal_width() is None
    monkeypatch.setenv("COLUMNS", "72")
    assert terminal_width() == 72


@pytest.mark.parametrize("columns, width", [(0, 80), (61, 61)])
def test_a_terminal_has_its_own_width(columns, width, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(main), open(side, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert terminal_width() == width


def test_letters_that_an_encoding_has_not_have_stand_ins_of_the_same_width():
    assert "a…b → ─── ±".encode("ascii", STAND_INS) == b"a~b > --- !"
    assert "猫".encode("ascii", STAND_INS) == rb"\u732b"
    assert "a…b → é".encode("latin-1", STAND_INS) == b"a~b > \xe9"
