import math
import time

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

import warmnet
from warmnet.authoring.budgets import COSTS, PHI, cost, variant_at
from warmnet.errors import InputError

FEW = {"stages": warmnet.STAGES[1:2], "head": 64, "num_classes": 10}


def following(variant):
    """The variant one step larger."""
    return variant_at(max(phi for phi in PHI if variant_at(phi) == variant) + 1)


@pytest.mark.parametrize(
    "phi, what, budget", [("< 0", "macs", 1e7), ("> 0", "macs", 1e9), ("> 0", "parameters", 1e5), ("> 0", "memory", 1e8)]
)
def test_the_result_keeps_within_the_budget_and_the_next_step_does_not(phi, what, budget):
    found = warmnet.within(**{what: budget}, **FEW)
    assert cost(what, found, **FEW) <= budget < cost(what, following(found), **FEW)
    assert (found.width < 1) == (phi == "< 0")


def test_it_keeps_within_all_of_several_budgets():
    alone = {"macs": 1e8, "parameters": 4e4, "memory": 2e7}
    found = {what: warmnet.within(**{what: budget}, **FEW) for what, budget in alone.items()}
    assert len({*found.values()}) == 3
    assert warmnet.within(**alone, **FEW) == min(found.values())


def test_what_b0_takes_gives_b0():
    assert warmnet.within(parameters=5_288_548) == warmnet.VARIANTS["b0"]


def test_options_count():
    few, many = (warmnet.within(parameters=2e5, **{**FEW, "num_classes": n}) for n in (10, 1000))
    assert few > many
    with pytest.raises(TypeError, match="Unknown option 'flops'"):
        warmnet.within(macs=1e9, flops=1e9)


def test_more_than_the_largest_takes_gives_the_largest():
    assert warmnet.within(parameters=math.inf, **FEW) == variant_at(PHI[-1])


def test_the_smallest_has_one_block_in_each_stage():
    model = warmnet.WarmEfficientNet(variant_at(PHI[0]), device="meta")
    assert [len([*getattr(model, f"stage_{i}").children()]) for i in range(1, 8)] == [1] * 7


@pytest.mark.parametrize("what", COSTS)
def test_what_even_the_smallest_exceeds_says_what_that_takes(what):
    with pytest.raises(InputError, match=rf"phi = -8, Variant\(width=0.47, .* exceeds {what}=0.01: it takes [\d,.]+\. "):
        warmnet.within(**{what: 0.01}, **FEW)


def test_an_unknown_cost_names_the_known_ones():
    with pytest.raises(InputError, match="'flops'. Choose one of parameters, macs, memory, milliseconds"):
        cost("flops", "b0")


def test_without_a_budget_it_names_them():
    with pytest.raises(InputError, match="parameters, macs, memory, milliseconds"):
        warmnet.within(num_classes=10)


@pytest.mark.parametrize("budget", [0, -1, math.nan, "1e9"])
def test_a_budget_is_a_number_above_0(budget):
    with pytest.raises(InputError, match=f"macs={budget!r} must be a number above 0"):
        warmnet.within(macs=budget, parameters=1e6)


@pytest.mark.parametrize("what", ["parameters", "macs", "memory"])
def test_costs_never_fall_with_phi(what):
    costs = [cost(what, variant_at(phi), **FEW) for phi in range(-100, 101, 20)]
    assert costs == sorted(costs)


@torch.enable_grad()
@pytest.mark.parametrize("phi", [-300, 0])
def test_memory_is_what_a_step_keeps_on_a_real_device(phi):
    model = warmnet.WarmEfficientNet(variant_at(phi), num_classes=10).train().to(memory_format=torch.channels_last)
    x, kept = torch.rand(1, 3, model.resolution, model.resolution).to(memory_format=torch.channels_last), {}

    def pack(x):
        kept[x.data_ptr()] = x
        return x

    with saved_tensors_hooks(pack, lambda x: x):
        model(x).sum().backward()
    weights = {p.data_ptr(): p for p in model.parameters()}
    held = weights.keys() | {b.data_ptr() for b in model.buffers()}
    counted = 16 * sum(p.numel() for p in model.parameters()) + sum(x.nbytes for key, x in kept.items() if key not in held)
    assert cost("memory", variant_at(phi), num_classes=10) == pytest.approx(counted, rel=0.01)


def test_memory_is_the_same_where_no_gradients_are_wanted():
    expected = cost("memory", "b0")
    with torch.no_grad():
        assert cost("memory", "b0") == expected


def test_milliseconds_are_of_the_order_of_a_call():
    model, x = warmnet.WarmEfficientNet("b0").eval(), torch.ones(1, 3, 224, 224)
    with torch.no_grad():
        model(x)
        start = time.process_time()  # not that of others on this machine
        for _ in range(3):
            model(x)
    took = 1e3 * (time.process_time() - start) / 3
    assert took / 30 < cost("milliseconds", "b0") < 30 * took


def test_enough_milliseconds_for_any_machine_leave_it_to_the_other_budget():
    assert warmnet.within(milliseconds=1e6, macs=4e6, **FEW) == warmnet.within(macs=4e6, **FEW) > variant_at(PHI[0])


def test_the_result_builds_and_runs_and_no_random_number_is_drawn():
    state = torch.get_rng_state()
    found = warmnet.within(milliseconds=1e6, memory=3e6, **FEW)
    assert torch.equal(torch.get_rng_state(), state)
    model = warmnet.WarmEfficientNet(found, **FEW).eval()
    assert model(torch.rand(1, 3, found.resolution, found.resolution)).shape == (1, 10)


def test_a_base_is_scaled_with_its_options():
    found = warmnet.within(parameters=3e4, base="lite0", **FEW)
    assert found.options == warmnet.VARIANTS["lite0"].options
    assert cost("parameters", found, **FEW) <= 3e4 < cost("parameters", found, **FEW, se_ratio=0.25)
    assert variant_at(0, "lite0") == warmnet.VARIANTS["lite0"] and variant_at(100, "v2-s").resolution == 442


def test_what_no_compound_scaling_scales_is_refused_with_what_it_does():
    with pytest.raises(ValueError, match="Unknown variant 'resnet50'.* b0, "):
        warmnet.within(parameters=1e7, base="resnet50")


def test_any_network_s_name_has_its_costs():
    assert cost("parameters", "resnet18") == 11_689_512
    assert cost("memory", "mobilenetv2-0.5", num_classes=10) > 16 * cost("parameters", "mobilenetv2-0.5", num_classes=10)
