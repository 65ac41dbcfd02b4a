from warmnet.plotting import fonts
from warmnet.plotting.fonts import class_labels, isolated, unreadable


def test_what_no_font_has_is_a_number(monkeypatch):
    assert unreadable(["cat, été, кот", "\U0010fffd"]) == {"\U0010fffd"}
    assert class_labels(["cat", "\U0010fffd"], 24) == {"cat": "cat", "\U0010fffd": "#1"}
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    fonts._files_beside_first.cache_clear()
    assert class_labels(["cat", "猫", "बिल्ली"], 24) == {"cat": "cat", "猫": "#1", "बिल्ली": "#2"}, (
        "with matplotlib's fonts alone"
    )
    fonts._files_beside_first.cache_clear()


def test_a_font_that_has_the_letters_is_found():
    for text in "猫", "बिल्ली":
        if not unreadable([text]):  # where such a font is installed
            assert fonts.FT2Font(fonts.font_file(text)).get_char_index(ord(text[0])) and len(fonts.families([text])) == 2
    assert isolated("cat") == "cat" and len(isolated("قطة")) == 5
