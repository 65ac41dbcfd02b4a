"""JupyterLab in a headless Chromium, with copies of the notebooks. It needs chromium, its driver and selenium."""

import os
import subprocess
import sys
import urllib.request

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from served.servers import free_ports
from waiting import until


@pytest.fixture(scope="session")
def browser():
    """A Chromium without a window, 1100 pixels wide."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for each in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1100,1000"):
        options.add_argument(each)
    driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address of a JupyterLab whose folder holds the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    subprocess.run([sys.executable, "-m", "warmnet", "notebook", folder / "mine", "--copy-only"], check=True)
    [port] = free_ports(1)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--expose-app-in-browser",
        "--IdentityProvider.token=", f"--ServerApp.root_dir={folder / 'mine'}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "data")}
    (folder / "settings" / "@jupyterlab" / "apputils-extension").mkdir(parents=True)
    (folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false"}'
    )
    environment |= {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        address = f"http://127.0.0.1:{port}"
        try:
            until(lambda: _answers(f"{address}/api/status"), server)
            yield address
        finally:
            server.terminate()
            server.wait()


def _answers(address):
    try:
        urllib.request.urlopen(address)
    except OSError:
        return False
    return True
