"""A slider holds what it shows: for each phi the network's totals and its drawing. tests/browser moves it."""

import json
import re

import pytest

import warmnet
from warmnet.authoring.budgets import cost
from warmnet.authoring.slider import slider
from warmnet.errors import InputError


def points(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def test_each_point_has_the_totals_and_the_drawing_of_its_network(tmp_path):
    slider([0, 3]).save(tmp_path / "phi.html")
    page = (tmp_path / "phi.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and 'max="1"' in page
    first, second = points(page)
    assert (first["phi"], second["phi"]) == (0, 3)
    assert first["totals"]["parameters"] == "5.3 million" and first["totals"]["multiply-adds"] == "0.39 billion"
    assert re.fullmatch(r"\d+ ms", first["totals"]["time of an image"])
    variant = warmnet.compound(3)
    assert second["totals"]["resolution"] == f"{variant.resolution} pixels"
    assert second["totals"]["parameters"] == f"{cost('parameters', variant) / 1e6:.1f} million"
    assert second["totals"]["time of an image"] == "not measured"
    assert second["drawing"] == warmnet.draw(warmnet.WarmEfficientNet(variant, device="meta")).svg


def test_no_phi_is_an_error_with_an_example():
    with pytest.raises(InputError, match=r"There is no phi to slide over. Give some, such as slider\(\[0, 1, 2\]\)."):
        slider([])


def test_it_is_not_saved_as_what_it_is_not(tmp_path):
    with pytest.raises(InputError, match="phi.svg does not end in .html or .htm"):
        slider([3]).save(tmp_path / "phi.svg")


def test_what_a_drawing_says_cannot_end_the_script():
    html = slider([3])._repr_html_()
    assert html.count("</script>") == 2 and "<\\/svg>" in html
