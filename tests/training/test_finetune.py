"""Fine-tuning, on scanned digits: a tiny network that knows 0 to 4 learns 5 to 9."""

import random
from dataclasses import replace
from statistics import mean

import pytest
import torch
import torch.nn.functional as F
from pictures import write_digits
from torch.utils.data import DataLoader

import warmnet
from warmnet import training
from warmnet.data import Batches, Images, Sample
from warmnet.data.preprocessing import Preprocessing
from warmnet.training.optimizer import depth, part_depths
from warmnet.training.recipe import DIGITS, RECIPES
from warmnet.training.steps import Training

pytestmark = pytest.mark.usefixtures("undrawn")
TINY = warmnet.Variant(width=0.25, depth=0.3, resolution=32, dropout=0.2)
ALL = training.digits()
SHAPE = {"resolution": 32, "crop": 1.0, "sampling": "shift", "shift": 1 / 16, "flip": False}  # of digits, not of photos
FINETUNE = replace(RECIPES["finetune"], **SHAPE)
STILL = replace(FINETUNE, epochs=1, lr=0.0)  # the run ends with the weights that it starts with


def digits(classes, count=None, seed=0):
    """The digits of these classes alone, and so many of them to train on, the same of each class, drawn by the seed."""

    def of(samples):
        return [[Sample(image, n) for image, label in samples if label == c] for n, c in enumerate(classes)]

    rng = random.Random(seed)
    drawn = [rng.sample(samples, count // len(classes)) if count else samples for samples in of(ALL.train)]
    return training.Data("digits", tuple(map(str, classes)), sum(drawn, []), sum(of(ALL.held_out), []))


FIVES = digits(range(5, 10), 50)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run on the digits 0 to 4."""
    return training.fit(digits(range(5)), replace(DIGITS, epochs=3), tmp_path_factory.mktemp("source"), variant=TINY).folder


def loaded(folder):
    return warmnet.WarmEfficientNet.from_pretrained(folder)


def in_training(model, data, recipe):
    """The network as a run has it, with what its steps take."""
    execution = training.Execution()
    recipe = recipe.sized(len(data.train), TINY.resolution)
    batches = Batches(len(data.train), recipe.batch_size, seed=0)
    images = DataLoader(Images(data.train, recipe.preprocessing, recipe.augmentation), batch_sampler=batches)
    return Training(execution.fabric(), model, recipe, batches, 0, execution), images


def tensors(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("seeds, epochs", [(1, 4), pytest.param(3, 16, marks=pytest.mark.slow)])
def test_fifty_images_are_enough_for_one_who_knows_other_digits(source, tmp_path, seeds, epochs):
    found = {"fine-tuned": [], "from scratch": []}
    for seed in range(seeds):
        data = digits(range(5, 10), 50, seed)
        for name, recipe, start in ("fine-tuned", FINETUNE, source), ("from scratch", DIGITS, None):
            recipe = replace(recipe, epochs=epochs, patience=None)
            run = training.fit(data, recipe, tmp_path / f"{name} {seed}", variant=TINY, source=start, seed=seed)
            found[name].append(run.history[-1].held_out_accuracy)
    assert mean(found["fine-tuned"]) > mean(found["from scratch"]) + 0.05, found


@pytest.mark.slow
def test_a_few_steps_keep_what_a_wide_network_knows(tmp_path):
    source = training.fit(ALL, replace(DIGITS, epochs=3), tmp_path / "source", variant="resnet18")
    few = replace(ALL, train=ALL.train[::20])
    run = training.fit(few, replace(FINETUNE, epochs=1), tmp_path / "more", source=source.folder)
    assert run.history[-1].held_out_accuracy > source.history[-1].held_out_accuracy - 0.06


def test_frozen_normalization_keeps_its_statistics_and_learns_its_weights(source, tmp_path):
    for frozen in True, False:
        run = training.fit(FIVES, replace(FINETUNE, epochs=1, frozen_norm=frozen), tmp_path / str(frozen), source=source)
        before, after = tensors(loaded(source)), tensors(loaded(run.folder))
        statistics = [name for name in before if "running_" in name or name.endswith("num_batches_tracked")]
        assert len(statistics) > 30
        assert all(torch.equal(before[name], after[name]) == frozen for name in statistics)
        assert not torch.equal(before["head.bn.weight"], after["head.bn.weight"])


def test_frozen_stages_stay_to_the_bit_until_their_epoch(source):
    recipe = replace(FINETUNE, unfreeze=3, frozen_norm=False, epochs=4, batch_size=25, zero_classifier=False)
    run, images = in_training(loaded(source), FIVES, recipe)
    held_out = DataLoader(Images(FIVES.held_out[:8], run.recipe.preprocessing), 8)
    first = []
    for _ in range(4):
        before = tensors(run.model)
        run.start_epoch()
        for batch in images:
            run.take_step([batch])
        run.finish_epoch(held_out)
        moved = {
            depth(name, run.depths) for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])
        }
        first.append(min(moved))
        assert moved == set(range(min(moved), 10))
        run.batches.step = run.step
    assert first == [9, 6, 3, 0]


def test_the_first_step_of_each_stage_is_its_share_and_only_kernels_decay(source):
    recipe = replace(FINETUNE, lr=1e-3, warmup=0.0, layer_decay=0.5, weight_decay=0.1)
    model = loaded(source)
    before = tensors(model)
    run, images = in_training(model, FIVES, recipe)
    run.start_epoch()
    run.take_step([next(iter(images))])
    for n in range(10):  # Adam's first step is the learning rate up or down, wherever there is a gradient
        undecayed = {name: p for name, p in model.named_parameters() if depth(name, run.depths) == n and p.ndim == 1}
        assert undecayed
        longest = max((p - before[name]).abs().max().item() for name, p in undecayed.items())
        assert longest == pytest.approx(1e-3 * 0.5 ** (9 - n), rel=0.01), n
    decayed = {id(p) for group in run.optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert {name for name, p in model.named_parameters() if id(p) in decayed} == {
        name for name, _ in model.named_parameters() if name.endswith(".weight") and ".bn." not in name
    }


def test_a_rare_class_is_found_more_often_with_class_weights(source, tmp_path):
    for part, ones, eights in ("train", 120, 12), ("val", 40, 40):
        write_digits(tmp_path / "data" / part, [9], ones, skip=0 if part == "train" else 120)
        write_digits(tmp_path / "data" / part, [8], eights, skip=0 if part == "train" else 120)
    data = training.folder(tmp_path / "data")
    assert data.classes == ("8", "9") and data.class_weights().tolist() == pytest.approx([5.5, 0.55])
    recall = {True: [], False: []}
    for seed in range(2):
        for weighted, of_runs in recall.items():
            recipe = replace(FINETUNE, class_weights=weighted, epochs=2, patience=None)
            run = training.fit(data, recipe, tmp_path / f"{weighted} {seed}", source=source, seed=seed)
            of_runs.append(run.confusion[0, 0].item() / 40)
    assert mean(recall[True]) > mean(recall[False]) + 0.2, recall


def test_it_stops_when_held_out_loss_only_grows_and_keeps_the_best_epochs_weights(source, tmp_path):
    wrong = replace(FIVES, train=[Sample(image, (label + 1) % 5) for image, label in FIVES.train])
    run = training.fit(wrong, replace(FINETUNE, epochs=20, patience=2), tmp_path, source=source)
    losses = [epoch.held_out_loss for epoch in run.history]
    assert run.best == 1 and len(losses) == 3 and losses == sorted(losses)
    model = loaded(tmp_path)
    labels = torch.tensor([label for _, label in wrong.held_out])
    with torch.no_grad():
        logits = model(torch.stack([model.preprocessing(image) for image, _ in wrong.held_out]))
    assert run.kept == 1 and run.confusion.trace() == (logits.argmax(1) == labels).sum()
    assert run.confusion.trace() == round(run.history[0].held_out_accuracy * len(labels))
    loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
    assert loss.item() == pytest.approx(losses[0], abs=1e-5) and model.metadata["epoch"] == 1


@pytest.mark.parametrize("images, batch_size, epochs", [(50, 8, 40), (500, 62, 40), (5000, 64, 32), (50_000, 64, 8)])
def test_batches_and_epochs_fit_the_number_of_images(images, batch_size, epochs):
    sized = RECIPES["finetune"].sized(images)
    assert (sized.batch_size, sized.epochs) == (batch_size, epochs)


def classifier_at_the_start(data, source, folder):
    return loaded(training.fit(data, STILL, folder, source=source).folder).classifier


def test_the_classifier_of_the_same_classes_stays(source, tmp_path):
    kept, found = loaded(source).classifier, classifier_at_the_start(digits(range(5), 50), source, tmp_path)
    assert kept.weight.any() and kept.bias.any()
    assert torch.equal(found.weight, kept.weight) and torch.equal(found.bias, kept.bias)


@pytest.mark.parametrize("classes", [(5, 6, 7), (5, 6, 7, 8, 9)], ids=["other in number", "other in name alone"])
def test_a_classifier_of_other_classes_starts_at_zero(source, tmp_path, classes):
    found = classifier_at_the_start(digits(classes, 30), source, tmp_path)
    assert found.weight.shape[0] == len(classes)
    assert not found.weight.any() and not found.bias.any()


def test_the_body_and_the_colours_are_the_sources(source, tmp_path):
    model = loaded(source)
    model.preprocessing = Preprocessing(32, 1.0, mean=(0.5, 0.4, 0.3), std=(0.3, 0.2, 0.1))
    warmnet.save(model, tmp_path / "source.safetensors")
    tuned = loaded(training.fit(FIVES, STILL, tmp_path / "run", source=tmp_path / "source.safetensors").folder)
    assert (tuned.preprocessing.mean, tuned.preprocessing.std) == ((0.5, 0.4, 0.3), (0.3, 0.2, 0.1))
    before, after = tensors(model), tensors(tuned)
    assert all(torch.equal(value, after[name]) for name, value in before.items() if not name.startswith("classifier"))


def test_the_parts_of_a_network_are_numbered_in_their_order():
    model = warmnet.WarmEfficientNet("b0", num_classes=2, device="meta")
    parts = ["stem", *(f"stage_{n}" for n in range(1, 8)), "head", "classifier"]
    assert part_depths(model) == {name: n for n, name in enumerate(parts)}
    assert depth("stage_3.mb_block_1.depthwise.bn.weight", part_depths(model)) == 3
    assert depth("position_embedding", part_depths(model)) == 0, "a parameter of the network itself"
