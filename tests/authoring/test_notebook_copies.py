"""The notebooks come with warmnet, are the user's once they are copied, and Jupyter starts where they are."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from warmnet.authoring.notebooks import JUPYTERS, copy_notebooks
from warmnet.cli.main import main

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_all_notebooks_are_copied_and_jupyter_is_not_started(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["notebook", "--copy-only"]) == 0
    assert sorted(os.listdir("warmnet-notebooks")) == NAMES and len(NAMES) == 8
    assert capsys.readouterr().out == "warmnet-notebooks has the notebooks: 8 new.\n"
    for name in NAMES:
        assert (tmp_path / "warmnet-notebooks" / name).read_bytes() == (ROOT / "notebooks" / name).read_bytes()


def test_those_that_the_user_changed_are_left_and_named_in_one_line(tmp_path, capsys):
    assert copy_notebooks(tmp_path) == ([tmp_path / name for name in NAMES], [])
    for n in 2, 4:
        (tmp_path / NAMES[n]).write_text("mine")
    (tmp_path / NAMES[0]).unlink()
    assert main(["notebook", str(tmp_path), "--copy-only"]) == 0
    out, err = capsys.readouterr()
    assert "1 new" in out and err == f"warmnet: not as warmnet has them, and left as they are: {NAMES[2]}, {NAMES[4]}.\n"
    assert (tmp_path / NAMES[2]).read_text() == "mine" and (tmp_path / NAMES[0]).exists()


def test_a_file_is_no_folder_for_them(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["notebook", str(tmp_path / "file")]) == 2
    assert "file is a file. Name a folder" in capsys.readouterr().err


@pytest.mark.parametrize("installed, started", [(["jupyterlab", "notebook"], "jupyterlab"), (["notebook"], "notebook")])
def test_jupyter_starts_where_the_notebooks_are(tmp_path, installed, started):
    """A program of its name stands in for it; one that is installed but should not be is hidden."""
    for name in installed:
        (tmp_path / f"{name}.py").write_text("import os; print(__file__, os.getcwd())")
    hidden = [f"sys.modules[{name!r}] = None; " for name in JUPYTERS if name not in installed]
    run = f"import sys; {''.join(hidden)}from warmnet.cli.main import main; main(['notebook', {str(tmp_path / 'mine')!r}])"
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    out = subprocess.run([sys.executable, "-c", run], env=env, capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == f"{tmp_path / started}.py {tmp_path / 'mine'}"


@pytest.mark.parametrize(
    "words, options",
    [
        (["mine"], []),
        (["mine", "--"], []),
        (["mine", "--", "--allow-root", "--port", "8889", "--", "x"], ["--allow-root", "--port", "8889", "--", "x"]),
    ],
)
def test_what_follows_two_dashes_goes_to_jupyter(tmp_path, words, options):
    (tmp_path / "jupyterlab.py").write_text("import sys; print(sys.orig_argv)")
    run = [sys.executable, "-m", "warmnet", "notebook", *words]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    out = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout
    assert (tmp_path / "mine").is_dir()
    assert out.splitlines()[-1] == str([sys.executable, "-m", "jupyterlab", *options])


def test_the_options_of_jupyter_are_refused_before_two_dashes_and_it_is_said_where_they_go(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["notebook", str(tmp_path / "mine"), "--allow-root"])
    err = capsys.readouterr().err
    assert "--allow-root is no option. Jupyter's options follow two dashes" in err and not (tmp_path / "mine").exists()


def test_without_jupyter_the_copies_stay_and_the_extra_is_named(tmp_path, monkeypatch, capsys):
    for name in JUPYTERS:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["notebook", str(tmp_path / "mine")]) == 2
    assert (
        f"are in {tmp_path / 'mine'}, and Jupyter is missing. Install it: pip install 'warmnet[notebook]'"
        in capsys.readouterr().err
    )
    assert sorted(os.listdir(tmp_path / "mine")) == NAMES


def test_every_package_and_the_notebooks_are_in_a_distribution():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "warmnet").rglob("__init__.py")}
    assert {*settings["options"]["packages"].split()} == packages | {"warmnet.notebooks"}
    assert settings["options"]["package_dir"].strip() == "warmnet.notebooks = notebooks"
    assert settings["options.package_data"]["warmnet.notebooks"] == "*.ipynb"
