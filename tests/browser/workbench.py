"""A notebook in JupyterLab, handled as its user does: cells are run, edited, read."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

PATIENCE = 400.0  # seconds
SCREENSHOTS = os.environ.get("SCREENSHOTS")  # a folder for them, if somebody wants to look
CONTRAST = """
const linear = (v) => v <= 0.04 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
const lit = (color) => {
  const [r, g, b] = color.map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (node) => {
  if (!node) return [255, 255, 255];
  const [r, g, b, alpha = 1] = numbers(getComputedStyle(node).backgroundColor);
  return alpha === 1 ? [r, g, b] : ground(node.parentElement).map((v, i) => alpha * [r, g, b][i] + (1 - alpha) * v);
};
const node = arguments[0], style = getComputedStyle(node);
const color = style.fill !== "rgb(0, 0, 0)" && node.closest("svg") ? style.fill : style.color;
const [a, b] = [lit(numbers(color).slice(0, 3)), lit(ground(node))];
return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
"""


class Workbench:
    """A notebook that is open in the browser."""

    def __init__(self, browser: Any, lab: str, notebook: str):
        self.browser = browser
        browser.get(f"{lab}/lab/tree/{notebook}?reset")
        self.until(
            lambda: (
                self.script("return window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status") == "idle"
            )
        )
        self.script("jupyterapp.shell.collapseLeft()")

    def until(self, holds: Callable[[], Any]) -> Any:
        """What it gives as soon as that is true."""
        end = time.monotonic() + PATIENCE
        while not (found := holds()):
            assert time.monotonic() < end, (
                f"not within {PATIENCE:.0f} seconds; the page says {self.browser.page_source[-2000:]}"
            )
            time.sleep(0.3)
        return found

    def script(self, code: str, *arguments: Any) -> Any:
        return self.browser.execute_script(code, *arguments)

    def command(self, name: str, **arguments: Any) -> None:
        """One of JupyterLab's commands, as its menus and keys give them."""
        self.browser.execute_async_script(
            "const done = arguments[2]; jupyterapp.commands.execute(arguments[0], arguments[1]).then(() => done())",
            name,
            arguments,
        )

    def run_all(self) -> None:
        """Run every cell and wait for the last."""
        self.browser.set_script_timeout(PATIENCE)
        self.command("notebook:run-all-cells")

    def cell(self, index: int) -> Any:
        """A cell on the screen, from the first, 0, or the last, -1; JupyterLab draws those alone that can be seen."""
        self.script(
            "const book = jupyterapp.shell.currentWidget.content; book.activeCellIndex = arguments[0] < 0 ? "
            "book.widgets.length + arguments[0] : arguments[0]; return book.scrollToItem(book.activeCellIndex, 'start')",
            index,
        )
        return self.until(
            lambda: next(iter(self.browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell.jp-mod-active")), None)
        )

    def cell_with(self, text: str) -> Any:
        """The first code cell with that text."""
        sources = self.script(
            "return jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.sharedModel.source)"
        )
        return self.cell(next(i for i, source in enumerate(sources) if text in source))

    def type(self, cell: Any, text: str) -> None:
        """Put that in place of the cell's text, key by key."""
        editor = cell.find_element(By.CSS_SELECTOR, ".cm-content")
        editor.click()
        keys = ActionChains(self.browser).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys(Keys.DELETE)
        keys.send_keys(text.replace("\n", Keys.RETURN)).perform()

    def write(self, cell_text: str) -> Any:
        """A new cell below the last with that text, run; the cell when its output is there."""
        self.cell(-1)
        self.command("notebook:insert-cell-below")
        cell = self.cell(-1)
        self.script("jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.setSource(arguments[0])", cell_text)
        self.command("notebook:run-cell")
        return cell

    def theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=name)
        self.until(lambda: self.script("return document.body.dataset.jpThemeName") == name)

    def contrast(self, node: Any) -> float:
        """Of a text with what is behind it, from 1 to 21."""
        return self.script(CONTRAST, node)

    def screenshot(self, name: str) -> None:
        if SCREENSHOTS:
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            self.browser.save_screenshot(str(Path(SCREENSHOTS, f"{name}.png")))
