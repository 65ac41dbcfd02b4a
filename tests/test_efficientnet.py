import pytest

import warmnet

PARAMETERS = {  # ../shared/reference/users.md, section 4a: exact, and torchvision's and timm's own counts
    "b0": 5_288_548, "b1": 7_794_184, "b2": 9_109_994, "b3": 12_233_232, "b4": 19_341_616, "b5": 30_389_784,
    "b6": 43_040_704, "b7": 66_347_960, "b8": 87_413_142, "l2": 480_309_308,
}  # fmt: skip


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameter_counts_are_the_published_ones(variant):
    model = warmnet.WarmEfficientNet(variant, device="meta")
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[variant]
