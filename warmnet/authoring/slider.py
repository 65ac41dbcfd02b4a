"""Compound scaling under one's hand: a slider for phi that the drawing, the totals and the time follow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from ..data.files import check_ending
from ..errors import InputError
from ..networks.efficientnet import WarmEfficientNet, compound
from ..summary import draw
from .budgets import COSTS

TIMED = 2.0  # the largest phi whose time is measured: beyond it a network takes longer than a reader waits
PAGE = Template("""<div class="warmnet-slider">
<style>
.warmnet-slider { font-family: system-ui, sans-serif; max-width: 60em; color: var(--jp-content-font-color1, currentColor); }
.warmnet-slider input { width: 100%; accent-color: #d1495b; }
.warmnet-slider .drawing { overflow: auto hidden; height: ${height}px; }
.warmnet-slider .drawing svg { max-width: none !important; }
.warmnet-slider .drawing text { fill: var(--jp-content-font-color1, currentColor); }
.warmnet-slider .totals { display: flex; flex-wrap: wrap; gap: 0.3em 2em; margin: 0.5em 0; }
.warmnet-slider .totals span { display: block; white-space: nowrap; font-variant-numeric: tabular-nums; }
.warmnet-slider .totals span:first-child { font-size: 0.8em; opacity: 0.75; }
</style>
<label>φ = <output></output> <input type="range" min="0" max="${last}" value="0" aria-label="phi"></label>
<div class="totals"></div>
<div class="drawing"></div>
<script type="application/json">${points}</script>
<script>
(() => {
  for (const home of document.querySelectorAll(".warmnet-slider:not([data-ready])")) {
    home.dataset.ready = "yes";
    const points = JSON.parse(home.querySelector("script[type='application/json']").textContent);
    const input = home.querySelector("input");
    const show = () => {
      const { phi, drawing, totals } = points[input.value];
      home.querySelector("output").textContent = phi;
      home.querySelector(".drawing").innerHTML = drawing;
      home.querySelector(".totals").replaceChildren(...Object.entries(totals).map(([what, value]) => {
        const pair = document.createElement("div");
        for (const text of [what, value]) pair.appendChild(document.createElement("span")).textContent = text;
        return pair;
      }));
    };
    input.addEventListener("input", show);
    show();
  }
})();
</script>
</div>
""")


@dataclass(frozen=True)
class Slider:
    """What a slider shows: for each phi the drawing as SVG and the totals as text. Jupyter shows it, and `save` writes it."""

    points: tuple[dict[str, Any], ...]

    def _repr_html_(self) -> str:
        height = max(int(_attribute(point["drawing"], "height")) for point in self.points) + 20
        data = json.dumps(self.points, ensure_ascii=False).replace("</", "<\\/")  # which would end the script
        return PAGE.substitute(last=len(self.points) - 1, points=data, height=height)

    def __repr__(self) -> str:
        return f"Slider({', '.join(str(point['phi']) for point in self.points)})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a page of HTML that needs nothing else. Raises InputError if the path does not end in .html or .htm."""
        check_ending(Path(path), ".html", ".htm")
        page = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Compound scaling</title>{self._repr_html_()}</html>\n'
        )
        Path(path).write_text(page, encoding="utf-8")


def slider(phis: Iterable[float]) -> Slider:
    """A slider over networks of compound scaling: what they look like, how large they are, how long they take on this machine.

    Time is that of one image in eval mode, as `cost` measures it; above phi = 2 it is left out.

    >>> from warmnet.authoring.slider import slider
    >>> slider([3, 4])
    Slider(3, 4)
    """
    points = tuple(_point(phi) for phi in phis)
    if not points:
        raise InputError("There is no phi to slide over. Give some, such as slider([0, 1, 2]).")
    return Slider(points)


def _point(phi: float) -> dict[str, Any]:
    variant = compound(phi)
    model = WarmEfficientNet(variant, device="meta")
    totals = {
        "width": f"× {variant.width:.2f}",
        "depth": f"× {variant.depth:.2f}",
        "resolution": f"{variant.resolution} pixels",
        "parameters": f"{COSTS['parameters'](model) / 1e6:.1f} million",
        "multiply-adds": f"{COSTS['macs'](model) / 1e9:.2f} billion",
        "memory to train on an image": f"{COSTS['memory'](model) / 1e6:,.0f} MB",
        "time of an image": f"{COSTS['milliseconds'](model):.0f} ms" if phi <= TIMED else "not measured",
    }
    return {"phi": phi, "totals": totals, "drawing": draw(model).svg}


def _attribute(svg: str, name: str) -> str:
    return svg.partition(f' {name}="')[2].partition('"')[0]
