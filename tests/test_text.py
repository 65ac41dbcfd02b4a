import pytest

from warmnet.text import cells, distinct, one_line, shortened

DOGS = [f"a photograph of a large and friendly dog of the breed number {n}, taken in a garden" for n in range(60)]
NAMES = [
    "american staffordshire terrier", "american pit bull terrier", "猫" * 30, "猫" * 29 + "狗", "été", "cat",
    "सियामी बिल्ली" * 3,
]  # fmt: skip


def test_a_text_is_as_wide_as_a_terminal_shows_it():
    assert [cells(text) for text in ("cat", "猫", "e\u0301", "ｶ", "")] == [3, 2, 1, 1, 0]


@pytest.mark.parametrize("width", [8, 15, 16, 24])
def test_what_is_shortened_keeps_its_beginning_and_its_end_and_fits(width):
    for name in NAMES + DOGS:
        short = shortened(name, width)
        assert cells(short) <= width and (short == name or "…" in short)
        assert short[0] == name[0] and short[-1] == name[-1]


@pytest.mark.parametrize("width", [8, 15, 16, 24])
def test_labels_stay_different_from_each_other(width):
    labels = distinct(NAMES + DOGS, width)
    assert [*labels] == NAMES + DOGS and len(set(labels.values())) == len(labels)
    assert max(map(cells, labels.values())) <= width


def test_labels_show_what_tells_them_apart():
    labels = distinct([*DOGS, "cat"], 24)
    assert labels["cat"] == "cat" and labels[DOGS[37]] == "a photograph…37, taken …"


def test_a_name_is_one_line():
    assert one_line("a\nb\udce4c\u2028") == "a?b?c?"
