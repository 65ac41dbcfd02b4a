import math
from itertools import pairwise

import pytest

from warmnet.training.schedule import cosine, paper, staircase, timm


@pytest.mark.parametrize("batch, steps, lr", [(4096, 109_475, 0.256), (2048, 218_950, 0.128), (256, 1_751_596, 0.016)])
def test_the_papers_rate_is_its_definition_at_every_step(batch, steps, lr):
    steps_per_epoch = 1281167 / batch
    assert steps == math.ceil(350 * steps_per_epoch)
    warmup_steps, decay_steps = int(5 * steps_per_epoch), 2.4 * steps_per_epoch
    for step in range(0, steps, 1 if batch > 256 else 7):
        after = lr * 0.97 ** math.floor(step / decay_steps)
        expected = lr * step / warmup_steps if step < warmup_steps else after
        assert abs(paper(step, batch) - expected) <= 1e-12 * expected


def test_the_papers_rate_goes_by_the_figures_that_are_known_of_it():
    assert paper(0, 4096) == 0
    assert paper(1563, 4096) == pytest.approx(0.256 * 0.97**2), "the first after the warm-up"
    assert paper(109_474, 4096) == pytest.approx(0.00309, abs=5e-6)
    assert paper(10, 8, images=16) == pytest.approx(0.016 / 32 * 0.97**2), "5 epochs of 2 steps are over"


@pytest.mark.parametrize("warmup", [5, 3])
def test_timms_rate_is_its_definition_at_every_step(warmup):
    steps_per_epoch = 7
    for step in range(450 * steps_per_epoch):
        epoch = step // steps_per_epoch
        after = 0.048 * 0.97 ** (epoch * 10 // 24)
        expected = 1e-6 + epoch * (0.048 - 1e-6) / warmup if epoch < warmup else after
        assert timm(step, steps_per_epoch, warmup=warmup) == pytest.approx(expected, rel=1e-12)


def test_a_staircase_counts_in_any_unit():
    assert [staircase(t, 8.0, 2, 4, rate=0.5) for t in range(10)] == [0, 4, 8, 8, 4, 4, 4, 4, 2, 2]
    assert [staircase(t, 8.0, 2, 4, rate=0.5, start=2.0) for t in range(3)] == [2, 5, 8]
    assert [staircase(t, 8.0, 0, 4, rate=0.5) for t in (0, 4)] == [8, 4]


@pytest.mark.parametrize("steps, warmup", [(100, 10), (1000, 33.3), (50, 0)])
def test_a_cosine_rises_evenly_and_falls_to_nothing(steps, warmup):
    rates = [cosine(step, steps, 0.5, warmup) for step in range(steps + 1)]
    peak = math.ceil(warmup)
    assert max(rates) == rates[peak] == pytest.approx(0.5, rel=1e-3)
    assert all(b - a == pytest.approx(0.5 / (warmup + 1)) for a, b in pairwise(rates[:peak])) and rates[0] > 0
    assert all(a > b for a, b in pairwise(rates[peak:])) and rates[-1] == 0
    for step in range(peak, steps + 1):
        assert rates[step] == pytest.approx(0.5 * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup)) ** 2)
