"""Two gloo processes under torchrun train as one does: the same images, the same gradient, the same numbers.

`work` below is what each of the two runs: several runs one after the other, of which it notes what it saw.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from commands import SMALL as SMALL_ONE
from pictures import truncate, write_digits
from torch.nn.functional import cross_entropy
from waiting import LIMIT, until

import warmnet
from warmnet import training, weights
from warmnet.cli import main as cli
from warmnet.data import Batches, Images
from warmnet.training.recipe import DIGITS, RECIPES
from warmnet.training.run_folder import RunFolder
from warmnet.training.steps import Training

TINY = warmnet.Variant(width=0.25, depth=0.1, resolution=32, dropout=0.2)
ALL = training.digits()
DATA = replace(ALL, train=ALL.train[:1430:10], held_out=ALL.held_out[::10])  # 143 and 37: neither is even
STEPS, EPOCHS = 6, 2
STAGES = {"stages": [[16, 1, 3, 1, 1], [24, 6, 3, 2, 1], [40, 6, 5, 2, 1]]}
SMALL = replace(DIGITS, epochs=EPOCHS, batch_size=24, ema="paper", network={**DIGITS.network, **STAGES})
STILL = {"dropout": 0.0, "drop_connect": 0.0, **STAGES}
# Without anything random in the network, and with its statistics frozen, the division into processes changes no number.
EXACT = replace(RECIPES["finetune"], epochs=EPOCHS, batch_size=24, resolution=32, crop=1.0, optimizer="sgd", lr=2e-3,
                sampling="shift", patience=None, layer_decay=1.0, network=STILL)  # fmt: skip
UNFREEZE = replace(EXACT, epochs=3, unfreeze=2, lr=1e-2)
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Stop(Exception):
    """What ends a run in the middle."""


def work(folder):
    """One process's part in all runs; what it saw of each is in FOLDER/NAME-RANK.pt."""
    rank, source = int(os.environ["RANK"]), folder / "source" / weights.FILE
    note(folder, "small", rank, SMALL)
    note(folder, "exact", rank, EXACT, source)
    note(folder, "unfreeze", rank, UNFREEZE, source)
    note(folder, "1 to 2", rank, EXACT, source, resume=True)
    note(folder, "2 to 1", rank, EXACT, source, stop=STEPS + 2)
    import_module("warmnet.training.run").SAVE_EVERY = 0 if rank else 600  # by the second process's clock it is always time
    note(folder, "2 to 2", rank, SMALL, stop=STEPS + 2)
    note(folder, "2 to 2", rank, SMALL, resume=True)


def note(folder, name, rank, recipe, source=None, resume=False, stop=None):
    """A run, ended by a signal to the second process after the step `stop`."""
    loaded, seen, load, take_step, finish = {}, {}, Images.__getitem__, Training.take_step, Training.finish_epoch
    draw = RunFolder.draw

    def noted_load(self, index):
        if self.augmentation:
            loaded.setdefault(step[0], []).append(index[0])
        return load(self, index)

    def noted_step(self, parts):
        take_step(self, parts)
        step[0] = self.step
        if self.step == stop and rank == 1:
            signal.raise_signal(signal.SIGTERM)

    def noted_finish(self, held_out):
        finish(self, held_out)
        seen["state"] = {key: value.clone() for key, value in self.model.state_dict().items()}
        seen["average"] = self.ema.state_dict() if self.ema else None

    step = [STEPS + 2 if resume else 0]
    Images.__getitem__, Training.take_step, Training.finish_epoch = noted_load, noted_step, noted_finish
    RunFolder.draw = lambda *_: None  # see conftest.py
    before = signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(Stop))
    try:
        run = training.fit(DATA, recipe, folder / name, variant=TINY, source=source, seed=3, resume=resume)
        seen.update(history=[list(epoch) for epoch in run.history], confusion=run.confusion)
    except Stop:
        seen["stopped"] = step[0]
    finally:
        Images.__getitem__, Training.take_step, Training.finish_epoch, RunFolder.draw = load, take_step, finish, draw
        signal.signal(signal.SIGTERM, before)
    seen["loaded"] = loaded
    torch.save(seen, folder / f"{name}{' stopped' * bool(stop)}-{rank}.pt")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The runs of one process, and what the two will go on from."""
    folder = tmp_path_factory.mktemp("runs")
    training.fit(DATA, replace(SMALL, epochs=8, ema=None), folder / "source", variant=TINY)
    source = folder / "source" / weights.FILE
    for name, recipe in ("alone", EXACT), ("unfreeze alone", UNFREEZE):
        note(folder, name, 0, recipe, source)
    note(folder, "1 to 2", 1, EXACT, source, stop=STEPS + 2)
    return folder


@pytest.fixture(scope="module")
def together(alone):
    """The folder of all runs, those of two processes done."""
    done = subprocess.run(
        [*TORCHRUN, __file__, alone],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return alone


def seen(folder, name):
    return [torch.load(folder / f"{name}-{rank}.pt") for rank in (0, 1)]


def check_close(got, wanted):
    for key, value in wanted.items():
        torch.testing.assert_close(got[key], value, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def check_same_history(got, wanted):
    for epoch, expected in zip(got["history"], wanted["history"], strict=True):
        assert epoch[:-1] == pytest.approx(expected[:-1], rel=1e-4), "all but the seconds"


@pytest.mark.parametrize("name", ["small", "exact", "unfreeze", "1 to 2", "2 to 2"])
def test_both_processes_end_with_the_same_bytes_which_are_the_saved_ones(together, name):
    first, second = ({**each["state"], **(each["average"] or {}).get("average", {})} for each in seen(together, name))
    saved = warmnet.WarmEfficientNet.from_pretrained(together / name).state_dict()
    for key, value in saved.items():
        assert torch.equal(first[key], second[key]) and torch.equal(first[key], value), key


@pytest.mark.parametrize("name", ["small", "unfreeze"])
def test_an_epoch_of_two_processes_is_every_image_once(together, name):
    first, second = (each["loaded"] for each in seen(together, name))
    for epoch in range(EPOCHS):
        steps = range(epoch * STEPS, (epoch + 1) * STEPS)
        images = [image for of in (first, second) for step in steps for image in of[step]]
        assert sorted(images) == list(range(143))
        assert {abs(len(first[step]) - len(second[step])) for step in steps} == {0, 1}


@pytest.mark.parametrize("name", ["exact", "1 to 2"])
def test_a_step_of_two_processes_has_the_images_of_the_step_of_one(together, name):
    first, second = (each["loaded"] for each in seen(together, name))
    one = torch.load(together / "alone-0.pt")["loaded"]
    assert first.keys() == second.keys() and max(first) == STEPS * EPOCHS - 1
    for step in first:
        assert Counter(first[step] + second[step]) == Counter(one[step])


@pytest.mark.parametrize("name, wanted", [("exact", "alone"), ("unfreeze", "unfreeze alone"), ("1 to 2", "alone")])
def test_two_processes_compute_the_weights_and_metrics_of_one(together, name, wanted):
    one, start = (
        torch.load(together / f"{wanted}-0.pt"),
        warmnet.WarmEfficientNet.from_pretrained(together / "source").state_dict(),
    )
    assert all((one["state"][key] - start[key]).abs().max() > 1e-4 for key in start if key.endswith("conv.weight"))
    two = seen(together, name)[0]
    check_close(two["state"], one["state"])
    check_same_history(two, one)
    assert torch.equal(two["confusion"], one["confusion"])


def test_the_metrics_are_those_of_the_saved_weights_on_every_held_out_image_once(together):
    first, second = seen(together, "small")
    model = warmnet.WarmEfficientNet.from_pretrained(together / "small")
    x = torch.stack([model.preprocessing(sample.image) for sample in DATA.held_out])
    labels = torch.tensor([sample.label for sample in DATA.held_out])
    with torch.no_grad():
        logits = model(x)
    confusion = torch.zeros(10, 10, dtype=torch.long).index_put_((labels, logits.argmax(1)), torch.tensor(1), accumulate=True)
    assert torch.equal(first["confusion"], confusion) and torch.equal(second["confusion"], confusion)
    loss = cross_entropy(logits, labels, label_smoothing=SMALL.label_smoothing).item()
    assert first["history"][-1][3] == second["history"][-1][3] == pytest.approx(loss, rel=1e-5)


def test_a_run_of_two_processes_goes_on_in_one(together):
    assert [each["stopped"] for each in seen(together, "2 to 1 stopped")] == [STEPS + 2] * 2, "asked at every step"
    note(together, "2 to 1", 0, EXACT, together / "source" / weights.FILE, resume=True)
    one, wanted = (torch.load(together / f"{name}-0.pt") for name in ("2 to 1", "alone"))
    assert all(Counter(images) == Counter(wanted["loaded"][step]) for step, images in one["loaded"].items())
    check_close(one["state"], wanted["state"])
    check_same_history(one, wanted)


def test_statistics_and_tally_of_both_processes_outlive_a_stop(together):
    resumed, whole = seen(together, "2 to 2")[0], seen(together, "small")[0]
    check_close(resumed["state"], whole["state"])
    check_close(resumed["average"]["average"], whole["average"]["average"])
    check_same_history(resumed, whole)


def test_more_processes_than_a_batch_has_images_for_are_refused():
    with pytest.raises(
        warmnet.errors.InputError, match="8 images in a step are too few for 3 processes with 2 parts each.*larger"
    ):
        Batches(24, 8, seed=0, world=3, parts=2)
    Batches(24, 8, seed=0, world=2, parts=2)


@pytest.fixture
def started(tmp_path):
    """The command line's run on a folder, after its first epoch: what was started, the folder, the run's."""
    folder, run = write_digits(tmp_path / "my digits", count=13), tmp_path / "run"
    truncate(folder / "0" / "03.png")
    words = [
        "-m",
        "warmnet",
        "train",
        folder,
        "--epochs=9999",
        "--batch-size=8",
        "--resolution=32",
        "--seed=1",
        "--out",
        run,
        SMALL_ONE,
    ]
    process = subprocess.Popen([*TORCHRUN, *words], stdout=-1, stderr=-1, text=True, env=ENVIRONMENT)
    try:
        until((run / "metrics.csv").exists, process)
        yield process, folder, run
    finally:
        process.kill()


def test_a_signal_to_torchrun_saves_and_says_how_to_go_on_and_that_works(started):
    process, _, run = started
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode and "stopped by SIGTERM" in err
    assert err.count("0/03.png") == 1, "the processes share the reading, and one says what was skipped"
    go_on = next(line for line in err.splitlines() if "It goes on with: warmnet " in line)
    arguments = shlex.split(go_on.partition("It goes on with: warmnet ")[2])
    state = torch.load(run / "checkpoint.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "finish_epoch", lambda self, _: (_ for _ in ()).throw(KeyboardInterrupt(self.step)))
        assert cli.main(arguments) == 130, "it went on, in one process"
    assert torch.load(run / "checkpoint.pt")["step"] == state["step"] > 0


def test_an_image_that_one_process_cannot_read_ends_both_soon_and_is_named(started):
    process, folder, run = started
    lost = folder / "1" / "07.png"
    lost.unlink()
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode
    assert f"warmnet: {lost}: No such file or directory." in err.splitlines()
    assert (run / "checkpoint.pt").exists() and f"{run} holds the run as far as it came" in err


if __name__ == "__main__":
    work(Path(sys.argv[1]))
