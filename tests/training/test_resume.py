"""A run that was ended anywhere, by anything, goes on to the very weights of one that was not."""

import csv
import os
import random
import shlex
import shutil
import signal
import tarfile
from dataclasses import replace
from functools import cache

import pytest
import torch
from commands import SMALL, Command
from pictures import write_digits
from waiting import until

import warmnet
from warmnet import training, weights
from warmnet.errors import InputError
from warmnet.training.recipe import DIGITS, RECIPES
from warmnet.training.run_folder import RunFolder
from warmnet.training.run_record import read_record
from warmnet.training.steps import Diverged, Training

pytestmark = pytest.mark.usefixtures("undrawn")
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A function that gives the folder of a run that was not interrupted."""

    @cache
    def run(paper):
        recipe = AVERAGED if paper else SHORT
        return training.fit(FEW, recipe, tmp_path_factory.mktemp("whole"), variant=TINY, seed=3).folder

    return run


@pytest.mark.parametrize(
    "recipe, at, save", [(SHORT, 2, True), (SHORT, 6, True), (SHORT, 14, False), (AVERAGED, 8, True), (AVERAGED, 2, False)]
)
def test_a_run_that_goes_on_ends_with_the_same_bytes(tmp_path, monkeypatch, whole, recipe, at, save):
    whole = whole(recipe is AVERAGED)
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
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()
    rows = [metrics(folder) for folder in (whole, tmp_path / "run")]
    assert [row[:-1] for row in rows[0]] == [row[:-1] for row in rows[1]], "all but the seconds"
    assert len(run.history) == 3


def metrics(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.reader(file))


def words(folder, out, *more, epochs=4):
    return ["train", folder, f"--epochs={epochs}", "--batch-size=8", "--resolution=32", f"--out={out}", SMALL, *more]


@pytest.mark.parametrize("count", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_still_ends_with_the_same_bytes(tmp_path, count):
    """At moments by the number of things done with files, which images are, too: the same in each run of this test."""
    folder, epochs, rng = write_digits(tmp_path / "digits", count=12), 4 + 4 * count, random.Random(3)
    whole, run, places = tmp_path / "whole", tmp_path / "run", []
    uninterrupted = Command(words(folder, whole, epochs=epochs), whole, since="checkpoint.pt")
    assert uninterrupted.end() == (0, "")
    three_epochs = 3 * uninterrupted.files // epochs
    for n in range(count + 1):
        more = ["--resume"] if (run / "checkpoint.pt").exists() else []
        moment = rng.randrange(three_epochs) if n < count else -1
        since = "metrics.csv" if n % 2 else "checkpoint.pt"  # after an epoch, or while the run begins, too
        process = Command(words(folder, run, *more, epochs=epochs), tmp_path / str(n), moment, since)
        code, said = process.end()
        assert code == (-signal.SIGKILL if n < count else 0), said
        if n < count and (run / "checkpoint.pt").exists():
            places.append(torch.load(run / "checkpoint.pt", weights_only=True)["step"])
    assert max(places) > 0 and len({*places}) > 1, "it went on from some of them"
    for name in weights.FILE, "best.safetensors":
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_a_signal_ends_the_process_with_what_to_do_next_and_that_works(tmp_path):
    folder, run = write_digits(tmp_path / "my digits", count=12), tmp_path / "run"
    process = Command(words(folder, run, "--workers=2", epochs=9999), tmp_path / "first")
    try:
        until((run / "metrics.csv").exists, process)
        os.killpg(process.pid, signal.SIGTERM)  # to the processes that read images, too
        code, err = process.end()
    finally:
        process.kill()
    assert code == 143 and "stopped by SIGTERM" in err
    line = next(line for line in err.splitlines() if "It goes on with: warmnet " in line)
    before = metrics(run)
    process = Command(shlex.split(line.partition("It goes on with: warmnet ")[2]), tmp_path / "second")
    try:
        until(lambda: int(metrics(run)[-1][0]) > int(before[-1][0]) + 1, process)
    finally:
        process.kill()
    rows = metrics(run)
    assert rows[: len(before)] == before and [row[0] for row in rows] == ["epoch", *map(str, range(1, len(rows)))]


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
    with pytest.raises(InputError, match=rf"not those that .* was started with: 1 gone or changed, such as 1/{lost.name}"):
        training.fit(training.folder(folder), replace(SHORT, batch_size=8), run, variant=TINY, resume=True)
    assert (run / "checkpoint.pt").read_bytes() == checkpoint
    lost.write_bytes(content)
    assert len(training.fit(training.folder(folder), replace(SHORT, batch_size=8), run, variant=TINY, resume=True).history) == 3


def pack(folder):
    """A tar of a folder, which is removed."""
    tar = folder.with_name("all.tar")
    with tarfile.open(tar, "w") as file:
        file.add(folder, "digits")
    shutil.rmtree(folder)
    return training.shards(str(tar))


@pytest.mark.parametrize("place", [lambda folder: training.folder(folder.rename(folder.with_name("moved"))), pack])
def test_a_run_goes_on_with_the_same_images_elsewhere(begun, place):
    folder, run = begun
    data = place(folder)
    assert not folder.exists() and len(data.train) == 38
    assert len(training.fit(data, replace(SHORT, batch_size=8), run, variant=TINY, resume=True).history) == 3


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
    assert kept.metadata["epoch"] == 1 and all(tensor.isfinite().all() for tensor in kept.state_dict().values())
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 6


@pytest.mark.parametrize("at, message", [(3, r"at step 4 of 18.* with a lower --lr\.$"), (0, "before anything is learned")])
def test_a_loss_that_is_no_number_in_the_first_epoch_leaves_the_folder_free(tmp_path, monkeypatch, at, message):
    take_step = Training.take_step

    def spoilt(self, parts):
        if self.step == at:
            with torch.no_grad():
                self.model.head.conv.weight.fill_(torch.inf)
        take_step(self, parts)

    monkeypatch.setattr(Training, "take_step", spoilt)
    with pytest.raises(Diverged, match=message):
        training.fit(FEW, SHORT, tmp_path, variant=TINY)
    training.check_free(tmp_path)


def test_a_checkpoint_that_is_damaged_or_of_another_version_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"settings": {"recipe": {}}, "step": 1, "history": [], "model": {}, "optimizer": {}}, path)
    for content, message in [
        (path.read_bytes(), "another version of warmnet: it has no extended"),
        (path.read_bytes()[:500], "damaged"),
        (b"", "damaged"),
        (b"garbage", "damaged"),
        (b"junk", "damaged"),
    ]:
        path.write_bytes(content)
        for lazily in True, False:
            with pytest.raises(InputError, match=f"checkpoint.pt is .*{message}.* another --out"):
                training.read_checkpoint(tmp_path, lazily)


def test_a_finished_run_goes_on_to_more_epochs_by_the_learning_rate_of_the_longer_run(tmp_path):
    recipe = replace(SHORT, epochs=2)
    training.fit(FEW, recipe, tmp_path, variant=TINY)
    before = metrics(tmp_path)
    run = training.fit(FEW, replace(recipe, epochs=4), tmp_path, variant=TINY, resume=True)
    assert len(run.history) == run.kept == 4 and metrics(tmp_path)[:3] == before
    rates = [epoch.lr for epoch in run.history]
    longer = replace(recipe, epochs=4).sized(len(FEW.train))
    assert rates[2:] == [longer.rate(step, 24, len(FEW.train)) for step in (12, 18)]
    record = training.read_record(tmp_path / "run.json")
    assert record["extended"] == [2] and record["recipe"]["epochs"] == record["results"]["epochs"] == 4


@pytest.mark.parametrize("ended", ["draw", "finish"])
def test_a_run_that_ended_after_its_last_epoch_has_its_results_and_pictures_in_the_end(tmp_path, monkeypatch, ended, whole):
    def stop(*_):
        raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(RunFolder, ended, stop)
        training.fit(FEW, SHORT, tmp_path / "run", variant=TINY, seed=3)
    run = training.fit(FEW, SHORT, tmp_path / "run", variant=TINY, seed=3, resume=True)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in whole(False).iterdir()}
    record = read_record(tmp_path / "run" / "run.json")
    assert record["results"]["epochs"] == len(run.history) == 3 and record["extended"] == []
    assert run.confusion.sum() == len(FEW.held_out)
    with pytest.raises(InputError, match="is finished"):
        training.fit(FEW, SHORT, tmp_path / "run", variant=TINY, seed=3, resume=True)
    (tmp_path / "run" / "run.json").unlink()
    longer = training.fit(FEW, replace(SHORT, epochs=4), tmp_path / "run", variant=TINY, seed=3, resume=True)
    assert len(longer.history) == 4 and read_record(tmp_path / "run" / "run.json")["extended"] == [3]


def test_a_finished_run_says_how_it_goes_on(tmp_path):
    recipe = replace(SHORT, epochs=2)
    training.fit(FEW, recipe, tmp_path, variant=TINY)
    for epochs, message in (2, "is finished: all its 2 epochs are done.*--resume --epochs 4"), (1, "epochs was 2 and is 1"):
        with pytest.raises(InputError, match=message):
            training.fit(FEW, replace(recipe, epochs=epochs), tmp_path, variant=TINY, resume=True)


def test_other_weights_to_start_from_are_named(tmp_path, monkeypatch):
    start, other = (warmnet.WarmEfficientNet(TINY, 10, seed=seed) for seed in (0, 1))
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stopped(patch, 8, save=False)
        training.fit(FEW, SHORT, tmp_path, source=start)
    for source in other, None:
        with pytest.raises(
            InputError, match=r"started from weights whose SHA-256 begins with \w{8}, not from (weights|random)"
        ):
            training.fit(FEW, SHORT, tmp_path, source=source, variant=TINY, resume=True)
    assert len(training.fit(FEW, SHORT, tmp_path, source=start, resume=True).history) == 3
