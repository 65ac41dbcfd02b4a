"""The workbench in a real browser: JupyterLab runs a notebook, shows its tables, and answers edits and mistakes."""

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

from .workbench import Workbench

LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"


@pytest.fixture(scope="module")
def edit(browser, lab):
    """Notebook 3, run to its end."""
    found = Workbench(browser, lab, "3-edit.ipynb")
    found.run_all()
    return found


def test_the_notebook_runs_to_its_end_without_an_error(edit):
    cells = edit.script(
        "return jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code')"
        ".map(cell => [cell.model.executionCount, cell.model.outputs.toJSON().map(output => output.output_type)])"
    )
    assert [count for count, _ in cells] == [*range(1, len(cells) + 1)]
    assert "error" not in [kind for _, kinds in cells for kind in kinds]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_table_unfolds_and_can_be_read(edit, theme):
    edit.theme(theme)
    cell = edit.write("warmnet.tabulate(plain)")
    summary = edit.until(lambda: next(iter(cell.find_elements(By.CSS_SELECTOR, "summary")), None))
    before = cell.size["height"]
    summary.click()
    edit.until(lambda: cell.size["height"] > before)
    assert all(row.size["height"] < 30 for row in cell.find_elements(By.CSS_SELECTOR, ".warmnet .r")), "a line each"
    edit.screenshot(f"table-{theme.split()[1].lower()}")
    texts = [
        node for node in cell.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output *") if node.text and node.is_displayed()
    ]
    assert len(texts) > 20
    assert {node.text: found for node in texts[:60] if (found := edit.contrast(node)) < 4.5} == {}, (
        "the least that WCAG asks for"
    )


def test_an_edit_in_a_cell_is_what_runs_next(edit):
    cell = edit.cell_with("bare = warmnet.WarmEfficientNet")
    edit.type(cell, "bare = warmnet.WarmEfficientNet(**SETTINGS, se_ratio=0)\nwarmnet.diff(plain, bare)")
    edit.command("notebook:run-cell")
    found = edit.until(lambda: cell.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output")[0].text)
    assert "squeeze_excitation" in found and "act=relu" not in found


def test_a_mistake_is_told_with_its_line_and_its_shapes(edit):
    cell = edit.write(
        "class Net(warmnet.WarmModule):\n"
        "    def forward(self, x):\n"
        "        y = conv_bn_act(x, 8, kernel=3, stride=2, name='down')\n"
        "        return x + y\n"
        "warmnet.up(Net(), [1, 8, 32, 32])"
    )
    found = edit.until(lambda: (cell.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output") or [cell])[0].text)
    edit.screenshot("mistake")
    assert "return x + y" in found and "(1, 8, 16, 16)" in found


def test_the_layers_are_completed_and_their_signatures_shown(edit):
    cell = edit.write("")
    cell.find_element(By.CSS_SELECTOR, ".cm-content").click()
    keys = ActionChains(edit.browser)
    keys.send_keys("W.").send_keys(Keys.TAB).perform()
    listed = edit.until(lambda: edit.browser.find_elements(By.CSS_SELECTOR, ".jp-Completer-item"))
    edit.screenshot("completion")
    assert {"batch_norm", "conv", "linear"} <= {item.get_attribute("data-value") for item in listed}
    ActionChains(edit.browser).send_keys(Keys.ESCAPE).send_keys("conv(").key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(
        Keys.SHIFT
    ).perform()
    tooltip = edit.until(lambda: next(iter(edit.browser.find_elements(By.CSS_SELECTOR, ".jp-Tooltip")), None))
    edit.until(lambda: "kernel" in tooltip.text)
    edit.screenshot("signature")
    assert "size" in tooltip.text and "stride" in tooltip.text
    ActionChains(edit.browser).send_keys(Keys.ESCAPE).perform()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_slider_follows_the_hand(edit, theme):
    edit.theme(theme)
    cell = edit.write("from warmnet.authoring.slider import slider\nslider([0, 1, 5])")
    slide = edit.until(lambda: next(iter(cell.find_elements(By.CSS_SELECTOR, "input[type=range]")), None))
    pixels = edit.until(lambda: cell.find_element(By.CSS_SELECTOR, ".totals").text)
    before = cell.find_element(By.CSS_SELECTOR, ".drawing").get_attribute("innerHTML")
    slide.click()
    slide.send_keys(Keys.END)
    edit.screenshot(f"slider-{theme.split()[1].lower()}")
    assert cell.find_element(By.CSS_SELECTOR, "output").text == "5"
    assert "224 pixels" in pixels and "450 pixels" in cell.find_element(By.CSS_SELECTOR, ".totals").text
    assert cell.find_element(By.CSS_SELECTOR, ".drawing").get_attribute("innerHTML") != before
    for pair in cell.find_elements(By.CSS_SELECTOR, ".totals div"):
        what, value = pair.find_elements(By.CSS_SELECTOR, "span")
        assert what.location["y"] + what.size["height"] <= value.location["y"] + 1, f"{what.text} lies on {value.text}"
    texts = cell.find_elements(By.CSS_SELECTOR, ".totals span, .drawing text")
    assert min(edit.contrast(node) for node in texts) >= 4.4
