"""A network of one's own in a file: written, found, trained, used, and never run unless it is named."""

import inspect
import linecache
import os
import pickle
import shlex
import signal
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pictures import write_digits

import warmnet
from warmnet import training
from warmnet.authoring.budgets import variant_at
from warmnet.authoring.model_files import write_model_file
from warmnet.authoring.source_code import SourceCode, find_source_code
from warmnet.authoring.user_networks import find_network
from warmnet.cli.main import main
from warmnet.errors import InputError
from warmnet.training.steps import Training

SHORT = "--epochs=1", "--resolution=32"


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def edited(path, before, after, name="mymodel.py"):
    """That model file with an edit, in a folder of its own."""
    text = path.read_text()
    assert before in text
    (path.parent / "edited").mkdir(exist_ok=True)
    path = path.parent / "edited" / name
    path.write_text(text.replace(before, after, 1))
    return path


def defined(path):
    """What the file defines."""
    return vars(sys.modules[find_network(str(path)).__module__])


def refused(capsys, *words):
    """The line with which a command is refused."""
    capsys.readouterr()
    assert main([*map(str, words)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("warmnet: ") and err.count("\n") == 1
    return err


def asked(err):
    """The words of the command in such a line."""
    return shlex.split(err.partition(": warmnet ")[2])


@pytest.fixture
def mine(tmp_path):
    assert main(["new", str(tmp_path / "mymodel.py")]) == 0
    return tmp_path / "mymodel.py"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """digits; mymodel.py; plain and own, two runs on them with the same seed, own by mymodel.py."""
    home = tmp_path_factory.mktemp("home")
    write_digits(home / "digits", count=10)
    assert main(["new", str(home / "mymodel.py")]) == 0
    words = ["train", str(home / "digits"), *SHORT, "--seed=3"]
    assert main([*words, f"--out={home / 'plain'}"]) == 0
    assert main([*words, f"--out={home / 'own'}", f"--model={home / 'mymodel.py'}:Net"]) == 0
    return home


# written


def test_it_holds_warmnet_s_own_functions_word_for_word_after_their_first_lines(mine):
    text = mine.read_text()
    for name in "conv_bn_act", "squeeze_excitation", "mb_block", "stage":
        source = inspect.getsource(getattr(warmnet.networks.efficientnet, name))
        _, docstring, body = source.partition('    """')
        assert source.startswith("@block\n") and docstring + body + "\n\n" in text
        assert f"\ndef {name}(" in text
    assert inspect.getsource(warmnet.efficientnet).rpartition('"""')[2] + "\n\n" in text
    assert defined(mine)["STAGES"] == warmnet.STAGES


KINDS = "b0", "lite0", "v2-b0", "mobilenetv2-1.0", "resnet18"


@pytest.mark.parametrize("name", KINDS)
def test_it_is_formatted(name, tmp_path):
    pytest.importorskip("ruff")
    write_model_file(tmp_path / "mymodel.py", name)
    settings = ["--config", str(Path(__file__).parents[2] / "ruff.toml"), str(tmp_path / "mymodel.py")]
    for command in ["format", "--check"], ["check"]:
        done = subprocess.run([sys.executable, "-m", "ruff", *command, *settings], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", KINDS)
def test_unedited_it_is_the_network_that_was_named_and_knows_its_variant(name, tmp_path):
    assert main(["new", str(tmp_path / "mymodel.py"), "--network", name]) == 0
    model = find_network(str(tmp_path / "mymodel.py"))(device="meta")
    assert model.variant_name == name
    difference = warmnet.diff(name, model)
    assert difference.changes == () == difference.settings


@pytest.mark.parametrize("name, other", [("b0", "v2-s"), ("b0", "lite0"), ("lite0", "b0"), ("v2-s", "v2-m")])
def test_another_kind_than_it_was_written_of_is_refused_with_the_command_for_that(name, other, tmp_path):
    write_model_file(tmp_path / "mymodel.py", name)
    network = find_network(str(tmp_path / "mymodel.py"))
    with pytest.raises(InputError, match=f"of {name}, and {other} has other .* warmnet new --network {other} mymodel.py"):
        network(other, device="meta")
    assert network(variant_at(100, name), device="meta").variant.depth == 1.2


def test_it_says_what_is_done_with_it_and_that_works(mine, monkeypatch, capsys):
    monkeypatch.chdir(mine.parent)
    capsys.readouterr()
    python, summary, train, *_ = (line.strip().split("  ")[0] for line in mine.read_text().splitlines() if line[:4] == "    ")
    assert subprocess.run([sys.executable, *python.split()[1:]], capture_output=True, text=True).stdout.endswith(
        "no difference\n"
    )
    assert main(summary.split()[1:]) == 0
    assert "5,288,548" in capsys.readouterr().out
    write_digits(mine.parent / "digits", count=4)
    assert main([*train.split()[1:], "digits", *SHORT]) == 0


def test_run_by_itself_it_shows_what_was_edited(mine):
    path = edited(mine, "kernel=5, stride=2, repeat=2", "kernel=5, stride=2, repeat=3")
    said = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True).stdout
    assert "+    mb_block_3" in said and "stage_4" not in said


@pytest.mark.parametrize(
    "name, message",
    [
        ("mymodel.txt", "no name for a file that Python imports"),
        ("my-model.py", "no name for a file that Python imports"),
        ("class.py", "no name for a file that Python imports"),
        ("torch.py", "would hide the module torch"),
        ("json.py", "would hide the module json"),
    ],
)
def test_a_name_that_python_cannot_import_is_refused(name, message, tmp_path, capsys):
    assert message in refused(capsys, "new", tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_without_its_folder_it_is_refused_with_what_to_do(tmp_path, capsys):
    assert f"There is no folder {tmp_path / 'no'}. Make it first" in refused(capsys, "new", tmp_path / "no" / "mymodel.py")


def test_it_is_not_written_over(mine, capsys):
    mine.write_text("mine")
    assert "is there already" in refused(capsys, "new", mine)
    assert mine.read_text() == "mine"


# found


def test_unedited_it_is_warmnet_s_network(mine):
    own, plain = find_network(f"{mine}:Net")("b1", 10, seed=3), warmnet.WarmEfficientNet("b1", 10, seed=3)
    assert type(own).__name__ == "Net" and same(own, plain)
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(own.eval()(x), plain.eval()(x))


@pytest.mark.parametrize(
    "before, after, name, message",
    [
        ("", "", ":Nix", "mymodel.py has no Nix. Networks there, classes that inherit from warmnet.Classifier: Net."),
        (
            "",
            "",
            ":mb_block",
            "mymodel.py:mb_block is no network. Networks there",
        ),
        ("class Net(WarmEfficientNet)", "class Net(warmnet.WarmModule)", ":Net", "mymodel.py:Net is no network. "),
        (
            "class Net(WarmEfficientNet)",
            "class Net(warmnet.WarmModule)",
            "",
            "classes that inherit from warmnet.Classifier: none.",
        ),
        ("\n\nclass Net", "\n\nclass Other(WarmEfficientNet):\n    pass\n\n\nclass Net", "", "mymodel.py:Other, "),
        ("    def forward", "    def __init__(self, size):\n        pass\n\n    def forward", "", "made by another call"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_what_can(mine, before, after, name, message, capsys):
    assert message in refused(capsys, "train", "--model", f"{edited(mine, before, after)}{name}")


def test_a_file_that_is_none_is_refused(tmp_path, capsys):
    assert f"does not exist. A model file is written by: warmnet new {tmp_path / 'no.py'}" in refused(
        capsys, "train", "--model", tmp_path / "no.py"
    )
    assert "names no class in a Python file" in refused(capsys, "train", "--model", tmp_path)


def test_its_neighbours_can_be_imported_in_it(mine):
    (mine.parent / "beside_mymodel.py").write_text("act = 'relu'")
    mine.write_text(mine.read_text() + "\n\nfrom beside_mymodel import act\n")
    assert defined(mine)["act"] == "relu"


def test_files_of_one_name_are_kept_apart(mine):
    other = edited(mine, "repeat=4", "repeat=5")
    one, two = (find_network(str(path)) for path in (mine, other))
    assert find_source_code(one).text == mine.read_bytes() and find_source_code(two).text == other.read_bytes()
    for network in one, two:
        assert type(pickle.loads(pickle.dumps(network("b0", 2, seed=0)))) is network


def test_an_edit_leaves_the_class_that_was_found_before_it(mine):
    before, text = find_network(str(mine)), mine.read_bytes()
    mine.write_text(mine.read_text() + "\n\nMORE = 1\n")
    after = find_network(str(mine))
    assert find_source_code(before).text == text != find_source_code(after).text
    assert pickle.loads(pickle.dumps(before)) is before


def test_bytes_that_are_no_utf_8_are_an_error_of_the_file(mine, capsys):
    mine.write_bytes(mine.read_bytes() + b"CAFE = 'caf\xe9'\n")
    capsys.readouterr()
    assert main(["summary", str(mine)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f'  File "{mine}", line') and "SyntaxError: (unicode error) 'utf-8' codec can't decode" in err


@pytest.mark.parametrize(
    "before, after, line, said",
    [
        ("@block", "@block)", "    @block)\n", "SyntaxError: unmatched ')'\n"),
        ("import torch\n", "import torch\nimport no_such\n", "    import no_such\n", "No module named 'no_such'\n"),
        ("(gate, size,", "(gate, sizes,", '    gate = W.conv(gate, sizes, 1,', "NameError: name 'sizes' is not defined"),
        ("return x * gate", "return x * gate[:, :3]", "    return x * gate[:, :3]\n", "RuntimeError: The size of tensor a"),
        ("import torch\n", "import torch, collections\ncollections.ChainMap().pop(0)\n", ".pop(0)\n", "KeyError: "),
        ("return x", "assert not torch.is_grad_enabled()\n    return x", "    assert not torch", "AssertionError"),
    ],
    ids=["syntax", "import", "name", "shape", "in a library", "only in training"],
)  # fmt: skip
def test_an_error_in_it_is_shown_as_python_does_by_its_own_lines(mine, home, capsys, before, after, line, said):
    path, out = edited(mine, before, after), mine.parent / "run"
    capsys.readouterr()
    assert main(["train", str(home / "digits"), *SHORT, f"--out={out}", "--model", str(path)]) == 1
    err = capsys.readouterr().err
    frames = [line for line in err.splitlines() if line.startswith('  File "')]
    assert frames and all(frame.startswith(f'  File "{path}", line ') for frame in frames)
    assert line in err and said in err and "warmnet: " not in err and "During handling" not in err


OTHER = """import warmnet
import warmnet.functional as W


class Net(warmnet.Classifier):
    def __init__(self, variant="narrow", num_classes=10, in_channels=3, *, device=None, seed=None):
        super().__init__(variant, num_classes, in_channels, resolution=48, reduction=2)
        self.warm_up(device, seed)

    def forward(self, x):
        x = warmnet.conv_bn_act(x, {"narrow": 8, "wide": 16}[self.variant], 3, 2, name="stem")
        return W.linear(x.mean((2, 3)), self.num_classes, name="classifier")
"""


def test_a_classifier_that_is_no_efficientnet_is_found_and_shown_in_its_own_resolution(tmp_path, capsys):
    (tmp_path / "other.py").write_text(OTHER)
    assert main(["summary", f"{tmp_path / 'other.py'}:Net", "--num-classes=3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Net('narrow')") and "(1, 3, 48, 48)" in out and "linear(3)" in out
    network = find_network(str(tmp_path / "other.py"))
    assert warmnet.tabulate(network("wide")).rows[0].shape == (1, 16, 24, 24)
    assert "(1, 16, 24, 24)" in network("wide", device="meta")._repr_html_()


def test_a_classifier_that_is_no_efficientnet_is_previewed_in_the_variant_that_is_named(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.py").write_text(OTHER)
    assert main(["train", str(home / "digits"), "--recipe=paper", "--model=other.py:Net", "--variant=wide", "--preview"]) == 0
    assert (tmp_path / "preview.png").exists()


# trained and used


def test_unedited_it_trains_to_the_same_weights(home):
    plain, own = (warmnet.WarmEfficientNet.from_pretrained(home / run) for run in ("plain", "own"))
    assert same(plain, own) and not same(plain, warmnet.WarmEfficientNet("b0", 2, seed=3))
    assert plain.metadata["network"] is None and own.metadata["network"].startswith("mymodel.py:Net, checksum ")


def test_the_run_keeps_the_file_as_it_was_when_it_was_run(home):
    assert (home / "own" / "mymodel.py").read_bytes() == (home / "mymodel.py").read_bytes()
    assert not [path for path in (home / "plain").iterdir() if path.suffix == ".py"]


@pytest.mark.parametrize(
    "command", ["predict RUN IMAGE", "evaluate RUN DIGITS --all", "export RUN OUT --to=torch", "train DIGITS --weights RUN"]
)
def test_a_command_on_such_a_run_asks_for_the_model_and_then_does_as_with_warmnet_s_own(home, tmp_path, capsys, command):
    if command.startswith("train"):
        command += f" --epochs=1 --out={tmp_path / 'run'}"
    places = {"RUN": home / "own", "IMAGE": home / "digits/1/00.png", "DIGITS": home / "digits", "OUT": tmp_path / "network"}
    words = [str(places.get(word, word)) for word in command.split()]
    err = refused(capsys, *words)
    assert "own is of mymodel.py:Net, checksum " in err and "code runs only if you name it" in err
    assert asked(err) == [*words, "--model", f"{home / 'own' / 'mymodel.py'}:Net"]
    assert main(asked(err)) == 0
    out, err = capsys.readouterr()
    assert "otherwise" not in err
    if command.startswith(("predict", "evaluate")):
        assert main([str(home / "plain") if word == str(home / "own") else word for word in words]) == 0
        assert [line for line in capsys.readouterr().out.splitlines() if "images/s" not in line] == [
            line for line in out.splitlines() if "images/s" not in line
        ]


def test_what_to_run_next_holds_after_the_file_is_edited(home, tmp_path, capsys):
    path = edited(home / "mymodel.py", "", "")
    assert main(["train", str(home / "digits"), *SHORT, f"--out={tmp_path / 'run'}", "--model", str(path)]) == 0
    following = shlex.split(capsys.readouterr().out.splitlines()[-1])
    path.write_text("")
    assert main(following[1:]) == 0
    assert capsys.readouterr().err == ""


def test_code_in_a_run_folder_never_runs_by_itself(home, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "weights.safetensors").write_bytes((home / "own" / "weights.safetensors").read_bytes())
    (run / "mymodel.py").write_text(f"open({str(tmp_path / 'it ran')!r}, 'w')")
    refused(capsys, "predict", run, home / "digits/1/00.png")
    refused(capsys, "convert", run, tmp_path / "out.safetensors")
    warmnet.WarmEfficientNet.from_pretrained(run)
    assert not (tmp_path / "it ran").exists()
    assert "mymodel.py has no Net" in refused(capsys, "predict", run, "x.png", "--model", run / "mymodel.py")
    assert (tmp_path / "it ran").exists(), "when it is named"


def test_such_a_run_is_not_converted(home, tmp_path, capsys):
    out = tmp_path / "timm.safetensors"
    assert "a network that no other library has" in refused(capsys, "convert", home / "own", out, "--to=timm")
    assert not out.exists()


def test_other_code_than_it_was_trained_with_is_told(home, capsys):
    words = ["predict", str(home / "own"), str(home / "digits/1/00.png"), "--model"]
    path = edited(home / "mymodel.py", "return x * gate", "return x * gate.square()")
    capsys.readouterr()
    assert main([*words, str(path)]) == 0
    assert "own is of mymodel.py:Net, checksum" in (err := capsys.readouterr().err) and "it may compute otherwise" in err
    path = edited(home / "mymodel.py", "repeat=4", "repeat=5")
    assert main([*words, str(path)]) == 2
    err = capsys.readouterr().err
    assert "it may compute otherwise" in err and "does not fit the Net" in err and "stage_6.mb_block_5" in err


def test_what_fits_of_weights_is_where_an_edited_network_starts(home, tmp_path, capsys):
    path = edited(home / "mymodel.py", "repeat=4", "repeat=5", "deeper.py")
    words = ["train", home / "digits", "--weights", home / "own", "--epochs=1", f"--out={tmp_path / 'run'}", "--model", path]
    assert main([*map(str, words), "--set", "frozen_norm=True"]) == 0
    err = capsys.readouterr().err
    assert "new blocks that add nothing until they learn" in err and "stage_6.mb_block_5\n" in err
    assert "stage_5" not in err and len(err.splitlines()) < 5
    after = find_network(str(path)).from_pretrained(tmp_path / "run")
    before = warmnet.WarmEfficientNet.from_pretrained(home / "own")
    assert torch.equal(after.stem.bn.running_mean, before.stem.bn.running_mean)
    assert after.metadata["network"].startswith("deeper.py:Net, ")


def test_weights_of_another_variant_are_refused_in_a_line(home, tmp_path, capsys):
    path = edited(home / "mymodel.py", "repeat=4", "repeat=5")
    words = ["train", home / "digits", "--weights", home / "own", "--variant=b1", f"--out={tmp_path / 'run'}", "--model", path]
    assert "holds weights of another variant than b1. Leave out --variant." in refused(capsys, *words)


def test_a_run_of_warmnet_s_own_that_starts_from_such_weights_is_warmnet_s_own(home, tmp_path):
    recipe, own = replace(training.RECIPES["finetune"], epochs=1), warmnet.WarmEfficientNet
    training.fit(training.folder(home / "digits"), recipe, tmp_path / "run", source=home / "own", network=own)
    assert warmnet.WarmEfficientNet.from_pretrained(tmp_path / "run").metadata["network"] is None


def ended(monkeypatch, words):
    """Begin a run and end it by SIGTERM after its first step."""
    take_step = Training.take_step

    def step(self, parts):
        take_step(self, parts)
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "take_step", step)
        assert main(words) == 143


def test_a_run_goes_on_with_the_file_that_it_began_with_and_no_other(home, tmp_path, monkeypatch, capsys):
    out, words = tmp_path / "run", ["train", str(home / "digits"), *SHORT, "--seed=3", "--model", str(home / "mymodel.py")]
    ended(monkeypatch, [*words, f"--out={out}"])
    more = [f"--out={out}", "--resume"]
    way = f"Go on with --model {out / 'mymodel.py'}:Net, or start"
    assert f"code runs only if you name it. Do so if you trust it: --model {out / 'mymodel.py'}:Net" in refused(
        capsys, *words[:-2], *more
    )
    for path in edited(home / "mymodel.py", "repeat=4", "repeat=5"), edited(home / "mymodel.py", "", "", "other.py"):
        assert way in (err := refused(capsys, *words[:-1], path, *more)) and f"not of {path.name}:Net" in err
    assert main([*words[:-1], f"{out / 'mymodel.py'}:Net", *more]) == 0
    assert (out / "weights.safetensors").read_bytes() == (home / "own" / "weights.safetensors").read_bytes()


def test_a_run_of_warmnet_s_own_does_not_go_on_with_another(home, tmp_path, monkeypatch, capsys):
    words = ["train", str(home / "digits"), *SHORT, f"--out={tmp_path / 'run'}"]
    ended(monkeypatch, words)
    assert "Go on without --model" in refused(capsys, *words, "--resume", "--model", home / "mymodel.py")


def test_a_file_that_is_edited_while_it_trains_is_kept_as_it_was_run(mine):
    network, text = find_network(str(mine)), mine.read_bytes()
    mine.write_text("")
    assert find_source_code(network) == SourceCode("mymodel.py:Net", text)


# of a notebook

CELL = "import warmnet\n\nclass Net(warmnet.WarmEfficientNet):\n    def forward(self, x):\n        return super().forward(x)\n"


def session(text):
    """The Net of a session, which keeps the text of its cells for tracebacks as IPython does."""
    module, cell = types.ModuleType("a_session"), f"<cell {hash(text)}>"
    sys.modules["a_session"] = module
    linecache.cache[cell] = len(text), None, text.splitlines(keepends=True), cell
    exec(compile(text, cell, "exec"), vars(module))
    return module.Net


def test_a_class_of_a_notebook_has_the_text_of_its_cell(tmp_path):
    run = f"""
from IPython.core.interactiveshell import InteractiveShell
from warmnet.authoring.source_code import SourceCode, find_source_code
shell = InteractiveShell.instance()
shell.run_cell({CELL!r})
found = find_source_code(shell.user_ns["Net"])
print(found == SourceCode("Net", {CELL.encode()!r}), found)
"""
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", run], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True Net, checksum ")


def test_a_class_of_a_session_without_its_text_has_a_name_alone():
    notebook = types.ModuleType("a_notebook")
    sys.modules["a_notebook"] = notebook
    exec("import warmnet\nclass Net(warmnet.WarmEfficientNet): pass", vars(notebook))
    assert find_source_code(notebook.Net) == SourceCode("Net", b"") and str(find_source_code(notebook.Net)) == "Net"
    assert find_source_code(warmnet.WarmEfficientNet) is None


def test_weights_of_a_notebook_s_class_say_where_they_are_loaded_and_that_works(home, tmp_path, capsys):
    recipe, run, net = replace(training.RECIPES["small"], epochs=1, resolution=32), tmp_path / "run", session(CELL)
    training.fit(training.folder(home / "digits"), recipe, run, network=net)
    assert not [path for path in run.iterdir() if path.name == "Net" or path.suffix == ".py"]
    err = refused(capsys, "predict", run, home / "digits/1/00.png")
    assert f"run is of {find_source_code(net)}, a class of a notebook or session" in err
    assert f"Load it there with Net.from_pretrained({str(run)!r}), or write it into a file and name that: " in err
    assert isinstance(net.from_pretrained(str(run)), net)
    (tmp_path / "mymodel.py").write_text(CELL)
    words = asked(err)
    assert words[-1] == "mymodel.py:Net"
    assert main([*words[:-1], str(tmp_path / words[-1])]) == 0
    assert capsys.readouterr().err == ""


def test_a_run_goes_on_with_the_notebook_s_class_that_it_began_with_and_no_other(home, tmp_path, monkeypatch):
    data, recipe = training.folder(home / "digits"), replace(training.RECIPES["small"], epochs=1, resolution=32)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Training, "take_step", stop)
        training.fit(data, recipe, tmp_path / "run", network=session(CELL))
    other = session(CELL.replace("forward(x)", "forward(x) * 2"))
    with pytest.raises(InputError, match=r"of Net, checksum \w+, not of Net, checksum \w+\. Go on with Net as it was then"):
        training.fit(data, recipe, tmp_path / "run", network=other, resume=True)
    training.fit(data, recipe, tmp_path / "run", network=session(CELL), resume=True)


def test_a_class_without_an_init_of_its_own_is_refused_with_the_one_to_write(tmp_path):
    path = tmp_path / "mymodel.py"
    path.write_text("import warmnet\n\nclass Net(warmnet.Classifier):\n    pass\n")
    with pytest.raises(InputError, match=r"mymodel.py:Net is made by another call.*self, variant='b0', num_classes=1000"):
        find_network(str(path))
