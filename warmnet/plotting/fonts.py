"""Fonts that have the letters of a text, and labels for names that no font here can show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

from ..errors import extra
from ..text import distinct, one_line

with extra("train"):
    import matplotlib
    from matplotlib.font_manager import findfont, findSystemFonts, fontManager
    from matplotlib.ft2font import FT2Font

FIRST = "DejaVu Sans"  # comes with matplotlib
LEFT_TO_RIGHT = "\u200e"  # an invisible letter; the first of a line decides where it begins
SHAPES = matplotlib.__version_info__ >= (3, 11)  # whether it joins Arabic letters and writes from the right to the left


def families(texts: Iterable[str]) -> list[str]:
    """The names of fonts, for matplotlib's `font.family`, of which one has each letter, if this machine has such."""
    files = _files_beside_first(frozenset("".join(texts)))
    for file in files:
        fontManager.addfont(file)
    return [FIRST, *(FT2Font(file).family_name for file in files)]


def font_file(text: str) -> str:
    """The file of the font that has most of a text's letters."""
    return max([findfont(FIRST), *_files_beside_first(frozenset(text))], key=lambda file: len(_found(file, frozenset(text))))


def unreadable(texts: Iterable[str]) -> frozenset[str]:
    """The letters of texts that no font here has, or that cannot be put as their script wants it."""
    letters = frozenset("".join(texts))
    found = frozenset[str]().union(*(_found(file, letters) for file in (findfont(FIRST), *_files_beside_first(letters))))
    if not SHAPES:
        found = frozenset(c for c in found if unicodedata.bidirectional(c) not in ("R", "AL", "NSM"))
    return frozenset(filter(_is_visible, letters)) - found


def class_labels(classes: Sequence[str], width: int) -> dict[str, str]:
    """Each class and a label of at most so many cells, no two alike: '#7' for the class with the index 7 if no font has it."""
    names = [one_line(name) for name in classes]
    labels, missing = distinct(names, width), unreadable(names)
    readable = [missing.isdisjoint(name) for name in names]
    return {
        name: labels[clean] if fine else f"#{index}" for index, (name, clean, fine) in enumerate(zip(classes, names, readable))
    }


def isolated(text: str) -> str:
    """A text that, if it goes from the right to the left, does not turn round what stands beside it."""
    return f"\u2068{text}\u2069" if any(unicodedata.bidirectional(c) in ("R", "AL") for c in text) else text


def _is_visible(letter: str) -> bool:
    return not (letter.isspace() or unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f")


@cache
def _found(file: str, letters: frozenset[str]) -> frozenset[str]:
    """Those letters that can be seen and that a font has; none of one that matplotlib cannot draw."""
    font = _opened(file)
    if font is None or not font.scalable:
        return frozenset()
    return frozenset(c for c in letters if _is_visible(c) and font.get_char_index(ord(c)))


@cache
def _opened(file: str) -> FT2Font | None:
    """A font; None if it is in no format that matplotlib reads."""
    try:
        return FT2Font(file)
    except (OSError, RuntimeError):
        return None


@cache
def _files_beside_first(letters: frozenset[str]) -> tuple[str, ...]:
    """The files of fonts for letters that the first font has not: those with most of them, and of like ones the plainest."""
    missing = frozenset(filter(_is_visible, letters)) - _found(findfont(FIRST), letters)
    files = sorted(findSystemFonts(), key=_plainness) if missing else []
    chosen = list[str]()
    while missing and files:
        best = max(files, key=lambda file: len(_found(file, missing)))
        if not _found(best, missing):
            break
        chosen.append(best)
        missing -= _found(best, missing)
    return tuple(chosen)


def _plainness(file: str) -> tuple[bool, bool, str]:
    """The order in which fonts are preferred: upright ones of common weight, without serifs, first."""
    styled = re.search("bold|italic|oblique|light|thin|black|mono|condensed", file, re.IGNORECASE)
    return bool(styled), "serif" in file.lower(), file
