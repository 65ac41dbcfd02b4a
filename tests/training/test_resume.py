"""A run that was ended anywhere, by anything, goes on to the very weights of one that was not."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from pictures import write_digits

import warmnet
from warmnet import training, weights
from warmnet.errors import InputError
from warmnet.training.recipe import DIGITS, RECIPES
from warmnet.training.steps import Diverged, Training

DATA = training.digits()
FEW = replace(DATA, train=DATA.train[::10], held_out=DATA.held_out[::10])  # 144 and 37
TINY = warmnet.Variant(width=0.25, depth=0.1, resolution=32, dropout=0.2)
SHORT = replace(DIGITS, epochs=3, batch_size=24)
AVERAGED = replace(RECIPES["paper"], epochs=3, batch_size=24, resolution=32, mixup=0.2)


class Stop(Exception):
    """What ends a run in the middle."""


def stopped(monkeypatch, at, save):
    """Runs end at the step `at`, saved there or not."""
    take_step = Training.take_step

    def step(self, parts):
        take_step(self, parts)
        if self.step == at:
            if save:
                signal.raise_signal(signal.SIGTERM)
            else:
                raise Stop

    monkeypatch.setattr(Training, "take_step", step)


@pytest.mark.parametrize(
    "recipe, at, save", [(SHORT, 2, True), (SHORT, 6, True), (SHORT, 14, False), (AVERAGED, 8, True), (AVERAGED, 2, False)]
)
def test_a_run_that_goes_on_ends_with_the_same_bytes(tmp_path, monkeypatch, recipe, at, save):
    training.fit(FEW, recipe, tmp_path / "whole", variant=TINY, seed=3)
    before = signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(Stop))
    try:
        with monkeypatch.context() as patch, pytest.raises(Stop):
            stopped(patch, at, save)
            training.fit(FEW, recipe, tmp_path / "run", variant=TINY, seed=3)
    finally:
        signal.signal(signal.SIGTERM, before)
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["step"] == (at if save else at - at % 6), "6 steps in an epoch"
    torch.rand(7)
    run = training.fit(FEW, recipe, tmp_path / "run", variant=TINY, seed=3, resume=True)
    for name in weights.FILE, "best.safetensors":
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    rows = [metrics(tmp_path / name) for name in ("whole", "run")]
    assert [row[:-1] for row in rows[0]] == [row[:-1] for row in rows[1]], "all but the seconds"
    assert len(run.history) == 3 and not (tmp_path / "run" / "checkpoint.pt").exists()


def metrics(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.reader(file))


def command(folder, out, *more, epochs=4):
    options = [f"--epochs={epochs}", "--batch-size=8", "--resolution=32", f"--out={out}", *more]
    return [sys.executable, "-m", "warmnet", "train", str(folder), *options]


def test_killed_at_random_moments_it_still_ends_with_the_same_bytes(tmp_path):
    """The full count of 20 kills is `python tests/training/test_resume.py`; here are three, to be quick."""
    kills(tmp_path, 3)


def kills(tmp_path, count, seed=0):
    """Run to the end, killed up to `count` times on the way by SIGKILL; the steps from which it went on."""
    folder, rng, epochs = write_digits(tmp_path / "digits", count=12), random.Random(seed), 4 + 2 * count
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command(folder, tmp_path / "whole", epochs=epochs), check=True, capture_output=True, env=environment)
    run, places = tmp_path / "run", []
    while True:
        more = ["--resume"] if (run / "checkpoint.pt").exists() else []
        process = subprocess.Popen(command(folder, run, *more, epochs=epochs), stdout=-1, stderr=-1, env=environment)
        if len(places) < count:
            began = newest(run)
            deadline = time.monotonic() + 100
            while newest(run) == began and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(rng.random() * 0.6)
            process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
        if (run / weights.FILE).exists() and not (run / "checkpoint.pt").exists():
            break  # it was finished
        if (run / "checkpoint.pt").exists():
            places.append(torch.load(run / "checkpoint.pt", weights_only=True)["step"])
    for name in weights.FILE, "best.safetensors":
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    return places


def newest(run):
    return max((path.stat().st_mtime_ns for path in run.glob("*")), default=0) if run.exists() else 0


def test_a_signal_ends_the_process_with_what_to_do_next_and_that_works(tmp_path):
    folder, run = write_digits(tmp_path / "my digits", count=12), tmp_path / "run"
    words = [*command(folder, run), "--workers=2"]
    process = subprocess.Popen(words, stdout=-1, stderr=-1, text=True, start_new_session=True)
    while not (run / "metrics.csv").exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)  # to the processes that read images, too
    _, err = process.communicate(timeout=100)
    assert process.returncode == 143 and "stopped by SIGTERM" in err
    line = next(line for line in err.splitlines() if "It goes on with: warmnet " in line)
    go_on = line.partition("It goes on with: warmnet ")[2]
    done = subprocess.run(f"{sys.executable} -m warmnet {go_on}", shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [row[0] for row in metrics(run)] == ["epoch", "1", "2", "3", "4"]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A run of a folder that was ended in its second epoch."""
    folder = write_digits(tmp_path / "digits", count=24)
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stopped(patch, 8, save=False)
        training.fit(training.folder(folder), replace(SHORT, batch_size=8), tmp_path / "run", variant=TINY)
    return folder, tmp_path / "run"


def test_a_folder_that_changed_is_named_and_nothing_is_lost(begun):
    folder, run = begun
    checkpoint = (run / "checkpoint.pt").read_bytes()
    lost = sorted((folder / "1").iterdir())[2]
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(InputError, match=rf"not those that the run in .* was started with: 1 gone or changed, such as {lost}"):
        training.fit(training.folder(folder), replace(SHORT, batch_size=8), run, variant=TINY, resume=True)
    assert (run / "checkpoint.pt").read_bytes() == checkpoint
    lost.write_bytes(content)
    assert len(training.fit(training.folder(folder), replace(SHORT, batch_size=8), run, variant=TINY, resume=True).history) == 3


def test_other_settings_are_named(begun):
    folder, run = begun
    data = training.folder(folder)
    for change, message in [
        ({"recipe": replace(SHORT, batch_size=8, epochs=9)}, "epochs was 3 and is 9"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"variant": "b0"}, "variant was"),
    ]:
        with pytest.raises(InputError, match=message):
            training.fit(
                **{"data": data, "recipe": replace(SHORT, batch_size=8), "variant": TINY, **change}, folder=run, resume=True
            )


def test_there_must_be_something_to_go_on_with(tmp_path):
    with pytest.raises(InputError, match=r"holds no run to go on with.*without --resume"):
        training.fit(FEW, SHORT, tmp_path / "none", variant=TINY, resume=True)
    training.fit(FEW, replace(SHORT, epochs=1), tmp_path / "run", variant=TINY)
    with pytest.raises(InputError, match="is finished"):
        training.fit(FEW, replace(SHORT, epochs=1), tmp_path / "run", variant=TINY, resume=True)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_what_was(tmp_path, monkeypatch):
    take_step = Training.take_step

    def spoilt(self, parts):
        if self.step == 8:
            with torch.no_grad():
                self.model.head.conv.weight.fill_(torch.inf)
        take_step(self, parts)

    monkeypatch.setattr(Training, "take_step", spoilt)
    with pytest.raises(Diverged, match=r"not a number any more at step 9 of 18, with a learning rate of .*lower --lr"):
        training.fit(FEW, SHORT, tmp_path, variant=TINY)
    kept = warmnet.WarmEfficientNet.from_pretrained(tmp_path)
    assert kept.facts["epoch"] == 1 and all(tensor.isfinite().all() for tensor in kept.state_dict().values())
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 6


if __name__ == "__main__":
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        places = kills(Path(folder), 20)
        print(f"{len(places)} kills; it went on from the steps {places}")
