"""What trains networks trains warmnet's as it does the peer's, step by step."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import opacus
import pytest
import pytorch_lightning as lightning
import skorch
import torch
import torch.nn.functional as F
from accelerate import Accelerator, cpu_offload
from alive import error
from opacus.validators import ModuleValidator
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.ops import StochasticDepth

import warmnet

from .subjects import IMAGES, LABELS, PEERS, layers, logits, pair

BATCHES = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=2)


@pytest.mark.parametrize("peer", PEERS)
def test_opacus_finds_each_normalization_and_takes_the_gradient_of_each_sample(peer, row):
    ours, theirs = pair(peer)
    for layer in theirs.modules():  # opacus' hooks allow nothing in place: the activations of torchvision, its residuals
        if hasattr(layer, "inplace"):
            layer.inplace = False
        if isinstance(layer, StochasticDepth):
            layer.p = 1e-12  # at 0 it gives its input itself, to which torchvision adds in place
    found = [in_private(ours)]
    found.append(in_private(theirs) if peer != "timm" else (0,))  # its normalizations are of a class that opacus does not know
    row("opacus", "normalizations that the validator finds", found[0][0], peer, found[1][0])
    assert found[0][0] == (2 if peer == "torch" else 49)
    assert peer == "timm" or found[0] == pytest.approx(found[1], rel=1e-4)


def in_private(network):
    """How many normalizations opacus found, and the loss; an AssertionError if a sample's gradient is not that of it alone."""
    errors = ModuleValidator.validate(network, strict=False)
    fixed = ModuleValidator.fix(network).train()
    assert not ModuleValidator.validate(fixed, strict=False) and not layers(fixed, nn.BatchNorm2d)
    alone = [torch.autograd.grad(F.cross_entropy(fixed(x[None]), y[None]), [*fixed.parameters()]) for x, y in BATCHES.dataset]

    private, optimizer, _ = opacus.PrivacyEngine().make_private(
        module=fixed, optimizer=torch.optim.SGD(fixed.parameters(), 0.01), data_loader=BATCHES, noise_multiplier=0.5,
        max_grad_norm=1.0, poisson_sampling=False,
    )  # fmt: skip
    loss = F.cross_entropy(private(IMAGES), LABELS)
    loss.backward()
    largest = max(float(gradient.abs().max()) for gradients in alone for gradient in gradients)
    for sample, gradients in enumerate(alone):
        for parameter, gradient in zip(private.parameters(), gradients, strict=True):
            assert float((parameter.grad_sample[sample] - gradient).abs().max()) < 1e-4 * largest
    optimizer.step()
    assert all(parameter.isfinite().all() for parameter in private.parameters())
    return sum("BatchNorm" in str(error) for error in errors), float(loss.detach())


@pytest.mark.parametrize("peer", PEERS)
def test_accelerate_trains_and_offloads(peer, row):
    losses = []
    for network in pair(peer):
        before = logits(network)
        cpu_offload(network, execution_device=torch.device("cpu"))  # each module's forward is replaced
        assert torch.equal(logits(network), before) and next(network.parameters()).device.type == "meta"
    for network in pair(peer):
        accelerator = Accelerator(cpu=True)
        prepared, optimizer, batches = accelerator.prepare(
            network.train(), torch.optim.SGD(network.parameters(), 0.001), BATCHES
        )
        losses.append([])
        for _ in range(2):
            for x, y in batches:
                loss = F.cross_entropy(prepared(x), y)
                optimizer.zero_grad()
                accelerator.backward(loss)
                optimizer.step()
                losses[-1].append(float(loss.detach()))
    row("accelerate", "loss after a step", losses[0][-1], peer, losses[1][-1])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3) and losses[0][1] < losses[0][0]


@pytest.mark.parametrize("how", ["assign", "dispatch"])
def test_a_network_that_was_built_without_weights_takes_some(how, tmp_path, row):
    processes = []
    for whose, network in zip(("warmnet", "timm"), pair("timm")):
        torch.save(network.state_dict(), tmp_path / f"{whose}.pth")
        command = "-m", "clients.empty_weights", whose, how, tmp_path / f"{whose}.pth", tmp_path / whose
        processes.append(subprocess.Popen([sys.executable, *command], cwd=Path(__file__).parents[1]))
    assert [process.wait() for process in processes] == [0, 0]
    ours, theirs = (torch.load(tmp_path / whose) for whose in ("warmnet", "timm"))
    row("accelerate, init_empty_weights", f"norm of the logits, {how}", float(ours.norm()), "timm", float(theirs.norm()))
    assert error(ours, theirs) < 1e-5


@pytest.mark.parametrize("peer", PEERS)
def test_skorch_fits_a_copy(peer, row):
    losses = []
    for network in pair(peer):
        settings = {"lr": 0.001, "max_epochs": 3, "batch_size": 2, "train_split": None, "verbose": 0}
        classifier = clone(skorch.NeuralNetClassifier(network, criterion=nn.CrossEntropyLoss, **settings))
        classifier.fit(IMAGES.numpy(), LABELS.numpy())
        assert classifier.predict_proba(IMAGES.numpy()).shape == (2, 10)
        losses.append(classifier.history[:, "train_loss"])
    row("skorch", "loss after 2 epochs", losses[0][-1], peer, losses[1][-1])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3) and losses[0][-1] < losses[0][0]


def test_skorch_builds_from_settings_and_learns_digits(row):
    images, labels = load_digits(return_X_y=True)
    images = np.kron(images.reshape(-1, 1, 8, 8)[:256] / 16, np.ones((4, 4))).astype(np.float32)
    settings = {
        "variant": warmnet.Variant(0.25, 0.3, 32, 0.0),
        "num_classes": 10,
        "in_channels": 1,
        "stem_stride": 1,
        "seed": 0,
    }
    classifier = skorch.NeuralNetClassifier(
        warmnet.WarmEfficientNet, **{f"module__{key}": value for key, value in settings.items()}, module__drop_connect=0.0,
        criterion=nn.CrossEntropyLoss, optimizer=torch.optim.AdamW, lr=0.01, max_epochs=3, batch_size=64, train_split=None,
        iterator_train__shuffle=True, verbose=0,
    )  # fmt: skip
    torch.manual_seed(0)
    losses = classifier.fit(images, labels[:256]).history[:, "train_loss"]
    row("skorch", "loss of 256 digits, from epoch 1 to 3", f"{losses[0]:.3g} to {losses[-1]:.3g}")
    assert losses[-1] < 0.3 < losses[0]


class Task(lightning.LightningModule):
    def __init__(self, network):
        super().__init__()
        self.network, self.losses = network, []

    def training_step(self, batch, _):
        loss = F.cross_entropy(self.network(batch[0]), batch[1])
        self.losses.append(float(loss.detach()))
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.001)


@pytest.mark.parametrize("peer", PEERS)
def test_lightnings_trainer_trains_averages_and_loads_its_checkpoint(peer, row, tmp_path):
    tasks = []
    for network in pair(peer):
        averaging = lightning.callbacks.StochasticWeightAveraging(0.001, swa_epoch_start=2, annealing_epochs=1)  # a copy
        trainer = lightning.Trainer(
            max_epochs=4, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, callbacks=[averaging],
        )  # fmt: skip
        tasks.append(Task(network.train()))
        trainer.fit(tasks[-1], BATCHES)
        trainer.save_checkpoint(tmp_path / "checkpoint.ckpt")
        other = pair(peer)[tasks.index(tasks[-1])]
        loaded = Task.load_from_checkpoint(tmp_path / "checkpoint.ckpt", network=other, weights_only=False)
        assert torch.equal(logits(loaded.network), logits(network))
    row("Lightning", "loss after 3 steps", tasks[0].losses[-1], peer, tasks[1].losses[-1])
    assert tasks[0].losses == pytest.approx(tasks[1].losses, rel=1e-3) and tasks[0].losses[-1] < tasks[0].losses[0]
    assert error(logits(tasks[0].network), logits(tasks[1].network)) < 1e-3
