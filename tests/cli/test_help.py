"""What the command line says of itself: help that is whole, usage in a line, and what is installed."""

import argparse
import json
import re
import shlex
import subprocess
import sys

import pytest
from pictures import write_digits

import warmnet
from warmnet.cli.main import COMMANDS, main, parse
from warmnet.cli.parser import Parser
from warmnet.deployment import engine_for

NAMES = [command.__name__.rpartition(".")[2] for command in COMMANDS]


def parser_of(command):
    parser = Parser(f"warmnet {command.__name__.rpartition('.')[2]}", description=command.__doc__)
    command.add_arguments(parser)
    parser.shorten_usage()
    return parser


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_every_option_has_help(command):
    actions = [action for action in parser_of(command)._actions if not isinstance(action, argparse._HelpAction)]
    assert [action.dest for action in actions if not action.help] == []


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_help_fits_the_terminal_and_begins_with_a_line_of_usage(command, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = parser_of(command).format_help().splitlines()
    assert max(map(len, lines)) <= width and lines[0].startswith("usage: warmnet ") and not lines[1]


def test_an_example_of_help_parses():
    examples = [found[1] for each in COMMANDS if (found := re.match("example: warmnet (.*)", parser_of(each).epilog or ""))]
    assert len(examples) >= 5
    for example in examples:
        assert parse(shlex.split(example.partition(". ")[0])).command in COMMANDS


def test_help_is_a_command_too(capsys):
    for words in ["help"], ["help", "export"]:
        with pytest.raises(SystemExit, match="0"):
            main(words)
    out = capsys.readouterr().out
    assert "usage: warmnet COMMAND ..." in out and "usage: warmnet export RUN OUT [FOLDER] [OPTIONS]" in out


WRONG = {  # what is typed: what the one line on stderr says
    "trian": "'trian' is no command. Did you mean 'train'? Choose one of new, ",
    "fit pets": "'fit' is no command. Did you mean 'train'?",
    "grad-cam lite0 cat.jpg": "'grad-cam' is no command. Did you mean 'explain'?",
    "explain lite0 cat.jpg --output x.png": "--output is no option. Did you mean --out?",
    "help sumary": "'sumary' is no command. Did you mean 'summary'?",
    "train --epoch 3": "--epoch is no option. Did you mean --epochs?",
    "summary b0 --dept 3": "--dept is no option. Did you mean --depth?",
    "train --epohcs 3": "--epohcs is no option. Did you mean --epochs?",
    "train --learning-rate=1": "--learning-rate is no option. Did you mean --lr?",
    "train --imgsz 64": "--imgsz is no option. Did you mean --resolution?",
    "train --recipe smal": "--recipe: 'smal' is no choice. Did you mean 'small'?",
    "train --device cuda:0": "--device: 'cuda:0' is no device. Choose one of auto, ",
    "export lite0 x --format onnx": "--format is no option. Did you mean --to?",
    "predict lite0 x.png --output x.csv": "--output is no option. Did you mean --csv?",
    "predict lite0 x.png -k 3": "-k is no option. Did you mean --top?",
    "new m.py --variant b1": "--variant is no option. Did you mean --network?",
    "export lite0 x --to onxx": "--to: 'onxx' is no choice. Did you mean 'onnx'?",
    "convert lite0 x.pth --to tim": "--to: 'tim' is no choice. Did you mean 'timm'?",
    "convert lite0 x.pth --lineage tim": "--lineage: 'tim' is no choice. Did you mean 'timm'?",
    "new m.py --network lite9": "--network: 'lite9' is no variant. Did you mean 'lite4'?",
    "new m.py --network B0": "--network: 'B0' is no variant. It is written 'b0'. warmnet new --help",
    "summary b0 b1": "b1 is one argument too many.",
    "convert lite0": "the following arguments are required: OUT.",
}


def test_a_device_that_is_not_there_is_not_offered(capsys, monkeypatch):
    for available, offer in (True, "no device. Choose one of auto, cuda, "), (False, "no device. Choose one of auto, "):
        monkeypatch.setattr("torch.cuda.is_available", lambda available=available: available)
        with pytest.raises(SystemExit, match="2"):
            main(["predict", "lite0", "x.png", "--device=gpu"])
        assert offer in capsys.readouterr().err


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_word_is_answered_in_a_line_with_the_nearest(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words.split())
    out, err = capsys.readouterr()
    assert WRONG[words] in err and err.count("\n") == 1 and out == ""
    assert err.startswith("warmnet") and err.endswith("--help says more.\n")


def test_info_tells_versions_devices_extras_and_caches(capsys):
    assert main(["info", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["versions"]["warmnet"].startswith(warmnet.__version__) and info["devices"]["cpu"].startswith("threads: ")
    assert {"versions", "devices", "extras", "caches"} == info.keys() and "engine-times.json" in info["caches"]["engine times"]
    assert main(["info"]) == 0
    assert "\n  torch" in capsys.readouterr().out


@pytest.mark.slow
def test_info_needs_no_extra():
    needed = "import sys, warmnet.cli.main; warmnet.cli.main.main(['info']); print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", needed], capture_output=True, text=True, check=True).stdout
    for extra in "lightning_fabric", "PIL", "sklearn", "matplotlib", "rich", "huggingface_hub":
        assert f"'{extra}'" not in modules.splitlines()[-1]


@pytest.mark.parametrize("redirection", [">&-", pytest.param("2>&1 >/dev/null", marks=pytest.mark.slow)])
def test_a_closed_stdout_is_no_error(redirection):
    command = f"{shlex.quote(sys.executable)} -m warmnet pretrained {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == done.stderr == ""


def refused(capsys, *words):
    assert main([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


def test_a_place_that_cannot_be_written_is_refused_before_weights_are_read(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for words in ["convert", "none", tmp_path / "file" / "w.safetensors"], ["export", "none", tmp_path / "file" / "n.onnx"]:
        assert "cannot be written" in refused(capsys, *words)
    (tmp_path / "folder.onnx").mkdir()
    assert "folder.onnx is a folder. Name a file." in refused(capsys, "export", "none", tmp_path / "folder.onnx", "--force")


def test_an_export_goes_by_the_ending_and_refuses_a_contradiction(tmp_path, capsys):
    model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), 10, seed=0, stages=warmnet.STAGES[:1])
    model.classes, model.preprocessing = tuple("abcdefghij"), warmnet.data.Preprocessing(32)
    warmnet.save(model, weights := tmp_path / "w.safetensors")
    assert engine_for("n.pt2") == "torch" and engine_for("n.aoti.pt2") == "aoti" and engine_for("n.v2") == "onnx"
    assert "ends as files for torch do, and those for onnx end in .onnx" in refused(
        capsys, "export", weights, tmp_path / "m.pt2", "--to=onnx"
    )
    said = refused(capsys, "export", weights, tmp_path / "m.onnx", "--precision=int8")
    assert "int8 is calibrated on images" in said and "Name a folder" in said, "which are not digits"
    images = write_digits(tmp_path / "images", classes=(0, 1), count=2)
    assert "'0'" in refused(capsys, "export", weights, tmp_path / "m.onnx", images, "--precision=int8")
