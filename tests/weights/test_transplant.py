"""After an edit, what still fits moves over, and what did not is reported; an edit that is the identity changes no logit."""

import json

import alive
import pytest
import torch
import torch.nn.functional as F

import warmnet
import warmnet.functional as W
from warmnet.data.preprocessing import Preprocessing
from warmnet.networks.families import NAMES
from warmnet.weights import WeightsError, WeightsWarning
from warmnet.weights.reshaping import for_channels, resize

X = alive.images(64, 64).float()


@pytest.fixture(scope="module")
def b0():
    return alive.fill(warmnet.WarmEfficientNet("b0", 10, seed=0)).eval()


def edited(seed=1, num_classes=10, **options):
    return warmnet.WarmEfficientNet("b0", num_classes, seed=seed, **options).eval()


def rows(**settings):
    """The stages, one of them with other settings: `_3=dict(repeat=4)`."""
    return tuple(row._replace(**settings.get(f"_{n}", {})) for n, row in enumerate(warmnet.STAGES, 1))


def test_the_same_network_is_kept_whole(b0):
    target = edited()
    report = warmnet.transplant(b0, target)
    assert report.share == 1 and len(report["kept"]) == 360 and len(report.rows) == 360
    assert torch.equal(target(X), alive.logits(b0, X))


def test_inserted_blocks_change_no_logit_are_said_to_and_learn(b0):
    target = edited(stages=rows(_3={"repeat": 4}), drop_connect=0.0)
    draws = torch.random.get_rng_state()
    report = warmnet.transplant(b0, target.train())
    assert torch.equal(torch.random.get_rng_state(), draws) and all(module.training for module in target.modules())
    inserted = "stage_3.mb_block_3", "stage_3.mb_block_4"
    assert {".".join(row.path.split(".")[:2]) for row in report["new"]} == {*inserted} and not report["dropped"]
    assert [note.partition(": ")[2] for note in report.notes if "add nothing until they learn" in note] == [", ".join(inserted)]
    assert torch.equal(target.eval()(X), alive.logits(b0, X))

    optimizer = torch.optim.AdamW(target.parameters(), 0.01)
    for _ in range(2):  # the first step opens the blocks, the second reaches what is in them
        optimizer.zero_grad()
        target(X).square().mean().backward()
        optimizer.step()
    assert [path for path, p in target.named_parameters() if not p.grad.any()] == []


@pytest.mark.parametrize("smaller, larger", [("resnet18", "resnet34"), ("lite0", "lite1")])
def test_a_deeper_variant_computes_what_the_smaller_one_does(smaller, larger):
    family = NAMES[smaller]
    source, target = alive.fill(family(smaller, 10)).eval(), family(larger, 10, seed=1).eval()
    assert alive.error(target(X).detach(), source(X)) > 0.1
    warmnet.transplant(source, target)
    assert torch.equal(target(X), alive.logits(source, X))


class Longer(warmnet.WarmEfficientNet):
    """A network of one's own, with a block more in stage 3."""

    def forward(self, x):
        return warmnet.efficientnet(x, self.variant, self.num_classes, **{**self.options, "stages": rows(_3={"repeat": 3})})


def test_a_new_block_adds_nothing_wherever_what_fits_is_loaded(b0, tmp_path):
    warmnet.convert(b0, tmp_path / "tf_efficientnet_b0.pth", to="timm")
    model = Longer("b0", 10)
    with pytest.warns(WeightsWarning, match="new blocks that add nothing until they learn.*: stage_3.mb_block_3"):
        loaded = Longer.from_pretrained(tmp_path / "tf_efficientnet_b0.pth", strict=False)
    with pytest.warns(WeightsWarning) as warned:  # of the blocks, and not of each tensor in them
        Longer.from_pretrained(b0, strict=False)
    assert [str(each.message).count("\n") for each in warned] == [1]
    with pytest.warns(WeightsWarning, match="new blocks that add nothing until they learn.*: stage_3.mb_block_3"):
        warmnet.load(model, tmp_path / "tf_efficientnet_b0.pth", strict=False)
    for each in loaded, model.eval():
        assert torch.equal(each(X), alive.logits(b0, X))
    with pytest.warns(WeightsWarning):
        empty = Longer.from_pretrained(b0, strict=False, device="meta")
    assert all(x.is_meta for x in empty.parameters())


@warmnet.block
def unit(x, kind):
    y = W.batch_norm(x, activation="relu", name="first") if kind == "preactivation" else x
    y = W.conv(y, x.shape[1], 3, padding=1, bias=False, name="conv")
    y = W.batch_norm(y, name="bn") if kind != "preactivation" else y
    return y if kind == "plain" else x + y


class Units(warmnet.WarmModule):
    def __init__(self, kinds):
        super().__init__()
        self.kinds = kinds
        warmnet.up(self, [1, 3, 16, 16], seed=0)

    def forward(self, x):
        for n, kind in enumerate(self.kinds):
            x = unit(x, kind, name=f"unit_{n}")
        return x


@pytest.mark.parametrize("kind, closed", [("residual", True), ("plain", False), ("preactivation", False)])
def test_a_new_block_that_does_not_add_to_its_input_or_could_not_learn_stays_as_it_was(kind, closed):
    """Behind a ReLU of zeros nothing learns."""
    source, target, fresh = Units(["residual"]), Units(["residual", kind]), Units(["residual", kind])
    report = warmnet.transplant(source, target)
    meaning = "new blocks that add nothing until they learn" if closed else "new blocks that start at random"
    assert [note.partition(",")[0].partition(":")[0] for note in report.notes] == [meaning]
    assert report.new_blocks == ("unit_1",)
    same = [torch.equal(a, b) for a, b in zip(target.unit_1.parameters(), fresh.unit_1.parameters())]
    assert same.count(False) == closed


def test_a_block_that_has_learned_stays_as_it_is(b0):
    target = alive.fill(edited(stages=rows(_3={"repeat": 3})))
    block = {name: tensor.clone() for name, tensor in target.stage_3.mb_block_3.state_dict().items()}
    (note,) = warmnet.transplant(b0, target).notes
    assert note.startswith("new blocks that stay as they were") and note.endswith(": stage_3.mb_block_3")
    assert all(torch.equal(tensor, block[name]) for name, tensor in target.stage_3.mb_block_3.state_dict().items())


def test_a_block_that_learned_with_frozen_normalizations_stays_as_it_is():
    """Their weights are all 1, and they have seen batches."""
    target = Units(["residual", "residual"])
    target.unit_1.bn.requires_grad_(False)
    target.train()(torch.randn(4, 3, 16, 16))
    warmnet.transplant(Units(["residual"]), target.requires_grad_())
    assert (target.unit_1.bn.weight == 1).all()


def test_a_block_is_closed_where_nothing_learns_yet_and_not_where_its_normalization_alone_never_will():
    frozen, half = Units(["residual", "residual"]).requires_grad_(False), Units(["residual", "residual"])
    half.unit_1.bn.weight.requires_grad_(False)
    notes = [warmnet.transplant(Units(["residual"]), target).notes[0] for target in (frozen, half)]
    assert notes[0].startswith("new blocks that add nothing") and notes[1] == "new blocks that start at random: unit_1"
    assert not any(p.requires_grad for p in frozen.parameters()) and not half.unit_1.bn.weight.requires_grad


class Around(torch.nn.Module):
    """A plain module around a network."""

    def __init__(self, kinds):
        super().__init__()
        self.backbone = Units(kinds)


@pytest.mark.parametrize("wrap, path", [(Around, "backbone"), (lambda kinds: torch.nn.DataParallel(Units(kinds)), "module")])
def test_blocks_of_a_network_within_another_module_are_closed(wrap, path):
    source, target = wrap(["residual"]), wrap(["residual", "residual"])
    (note,) = warmnet.transplant(source, target).notes
    assert note.startswith("new blocks that add nothing until they learn") and note.endswith(f": {path}.unit_1")
    assert not getattr(target, path).unit_1.bn.weight.any()


def test_classes_and_preprocessing_go_with_the_layers_that_they_belong_to(b0):
    source = warmnet.WarmEfficientNet("b0", 10, seed=0)
    source.classes, source.preprocessing = tuple("abcdefghij"), Preprocessing(128)
    targets = {name: edited(**options) for name, options in {"all": {}, "classifier": {"in_channels": 1}}.items()}
    targets["stem"] = edited(num_classes=5)
    for target in targets.values():
        warmnet.transplant(source, target)
    assert [name for name, target in targets.items() if target.classes == source.classes] == ["all", "classifier"]
    assert [name for name, target in targets.items() if target.preprocessing == Preprocessing(128)] == ["all", "stem"]
    own = edited()
    own.preprocessing = Preprocessing(64)
    assert "the names of the classes are the source's" in str(warmnet.transplant(source, own))
    assert own.preprocessing == Preprocessing(64)


@pytest.mark.parametrize(
    "options, share, new, dropped",
    [
        ({"se_ratio": 0}, 1.0, 0, 64),  # without squeeze and excitation, 16 blocks with 4 tensors each
        ({"stages": rows(_4={"size": 88})}, 0.90, None, None),
        ({"stages": rows(_7={"kernel": 5})}, 0.99, 1, 1),
        ({"stem": 40}, 0.99, None, None),
        ({"num_classes": 5}, 0.99, 2, 2),
    ],
    ids=["drop SE", "widen a stage", "another kernel", "another stem", "other classes"],
)
def test_what_an_edit_leaves_fitting_is_kept_and_the_rest_stays_as_it_was(b0, options, share, new, dropped):
    target, fresh = edited(**options), edited(**options)
    report = warmnet.transplant(b0, target)
    assert report.share == pytest.approx(share, abs=0.02)
    assert new is None or (len(report["new"]), len(report["dropped"])) == (new, dropped)
    kept, source = {row.path for row in report["kept"]}, b0.state_dict()
    for path, tensor in target.state_dict().items():
        assert torch.equal(tensor, source[path] if path in kept else fresh.state_dict()[path]), path
    left = {row.path for row in report["dropped"]}
    assert kept | left == set(source), "every tensor of the source is accounted for"


@pytest.mark.parametrize(
    "options",
    [
        {"stages": rows(_4={"size": 88}), "head": 1408},
        {"stages": rows(_7={"kernel": 5})},
        {"stem": 40},
        {"stages": rows(_3={"size": 48}, _5={"size": 128})},
    ],
    ids=["wider stage and head", "larger kernel", "wider stem", "two stages"],
)
def test_reshaped_into_a_larger_network_it_computes_what_it_did(b0, options):
    target = edited(**options, drop_connect=0.0)
    assert alive.error(target(X).detach(), b0(X)) > 0.1
    report = warmnet.transplant(b0, target, reshape=True)
    assert report["reshaped"] and not report["new"] and not report["dropped"]
    assert report.loaded == sum(p.numel() for p in b0.parameters()) < report.parameters
    assert alive.error(target(X).detach(), alive.logits(b0, X)) < 1e-5
    target.train()(X).square().sum().backward()
    idle = [path for path, p in target.named_parameters() if not p.grad.abs().max() > 0]
    assert idle == [], "what was added can learn"


def test_reshaped_into_a_smaller_network_the_middle_of_kernels_and_the_first_channels_are_taken(b0):
    target = edited(stages=rows(_3={"size": 32, "kernel": 3}))
    warmnet.transplant(b0, target, reshape=True)
    source = b0.stage_3.mb_block_1
    assert torch.equal(target.stage_3.mb_block_1.depthwise.conv.weight, source.depthwise.conv.weight[:, :, 1:4, 1:4])
    assert torch.equal(target.stage_3.mb_block_1.project.conv.weight, source.project.conv.weight[:32])
    assert torch.equal(target.stage_3.mb_block_2.expand.conv.weight, b0.stage_3.mb_block_2.expand.conv.weight[:192, :32])


def test_resized_puts_zeros_around_a_kernel_and_into_further_inputs():
    have, want = torch.ones(2, 2, 3, 3), torch.full((3, 4, 5, 5), 7.0)
    found = resize(have, want)
    assert torch.equal(found[:2, :2], F.pad(have, [1, 1, 1, 1]))
    assert not found[:2, 2:].any() and torch.equal(found[2], want[2])
    assert torch.equal(resize(torch.ones(2), torch.zeros(3)), torch.tensor([1.0, 1.0, 0.0]))


def test_for_channels_keeps_the_sum():
    kernel = torch.rand(4, 3, 3, 3)
    for channels in 1, 2, 5:
        assert torch.allclose(for_channels(kernel, channels).sum(1), kernel.sum(1))


def test_moved_blocks_are_followed(b0):
    """A block put before the second of stage 5 makes the second the third, and the third the fourth."""
    target = edited(stages=rows(_5={"repeat": 4}))
    renamed = {"stage_5.mb_block_2": "stage_5.mb_block_3", "stage_5.mb_block_3": "stage_5.mb_block_4"}
    report = warmnet.transplant(b0, target, renamed=renamed)
    assert {row.path.split(".")[1] for row in report["new"]} == {"mb_block_2"} and not report["dropped"]
    assert {row.name for row in report["kept"] if row.path.startswith("stage_5.mb_block_4.")} == {
        f"stage_5.mb_block_3.{name}" for name in b0.stage_5.mb_block_3.state_dict()
    }
    torch.nn.init.zeros_(target.stage_5.mb_block_2.project.bn.weight)
    assert torch.equal(target(X), alive.logits(b0, X))


def test_what_is_displaced_is_dropped(b0):
    report = warmnet.transplant(b0, edited(), renamed={"stage_6.mb_block_2": "stage_6.mb_block_3"})
    block = set(b0.stage_6.mb_block_3.state_dict())
    assert {row.name for row in report["dropped"]} == {f"stage_6.mb_block_3.{name}" for name in block}
    assert {row.path for row in report["new"]} == {f"stage_6.mb_block_2.{name}" for name in block if "num_batches" not in name}


def test_a_move_of_what_is_not_there_is_refused(b0):
    with pytest.raises(
        ValueError, match=r"renamed=\{'stage_9': 'stage_1'\}: the source has no 'stage_9'\. It has classifier, head\."
    ):
        warmnet.transplant(b0, edited(), renamed={"stage_9": "stage_1"})


def test_a_move_to_where_nothing_is_or_of_two_to_one_place_is_refused(b0):
    with pytest.raises(ValueError, match="the target has no 'stag_2'"):
        warmnet.transplant(b0, edited(), renamed={"stage_2": "stag_2"})
    with pytest.raises(ValueError, match="puts two tensors into one place"):
        warmnet.transplant(b0, edited(), renamed={f"stage_6.mb_block_{n}": "stage_6.mb_block_4" for n in (2, 3)})


def test_a_network_goes_into_a_larger_one_as_a_whole(b0):
    class Detector(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = edited()

    target = Detector()
    report = warmnet.transplant(b0, target, renamed={"": "encoder"})
    assert report.share == 1 and torch.equal(target.encoder(X), alive.logits(b0, X))


def test_any_network_takes_part(b0):
    class UNet(warmnet.WarmModule):
        def forward(self, x):
            x = warmnet.conv_bn_act(x, 32, 3, 2, name="stem")
            x = warmnet.stage(x, 16, 1, 3, 1, [0.0], [1], name="stage_1")
            return W.conv(x, 5, 1, name="mask")

    target = warmnet.up(UNet(), [1, 3, 32, 32])
    report = warmnet.transplant(b0, target)
    assert {row.path for row in report["new"]} == {"mask.weight", "mask.bias"}
    assert torch.equal(target.stem.conv.weight, b0.stem.conv.weight)
    back = edited()
    assert len(warmnet.transplant(target, back)["kept"]) == len(report["kept"])


def test_files_and_other_lineages_are_sources_too(b0, tmp_path):
    warmnet.convert(b0, tmp_path / "tf_efficientnet_b0.pth", to="timm")
    target = edited(se_ratio=0)
    report = warmnet.transplant(tmp_path / "tf_efficientnet_b0.pth", target)
    assert report.share == 1 and len(report["dropped"]) == 64
    assert {row.name for row in report["kept"]} > {"conv_stem.weight", "blocks.1.0.bn3.weight"}


def test_a_network_without_values_is_refused(b0):
    with pytest.raises(WeightsError, match="is on 'meta'"):
        warmnet.transplant(b0, warmnet.WarmEfficientNet("b0", 10, device="meta"))


def test_the_report_says_it_as_text_as_html_and_as_data(b0):
    report = warmnet.transplant(b0, edited(num_classes=5, stages=rows(_7={"kernel": 5})))
    text, html = str(report), report._repr_html_()
    assert text.splitlines()[0].endswith("parameters (99.1 %) are from the given WarmEfficientNet.")
    for line in (
        "- classifier.weight (5, 1280)",
        "+ classifier.weight (10, 1280)",
        "- stage_7.mb_block_1.depthwise.conv.weight (1152, 1, 5, 5)",
    ):
        assert line in text
    for cell in "<code>classifier.weight</code>", "(1152, 1, 5, 5)", "<details", "<b>kept</b>":
        assert cell in html
    data = json.loads(json.dumps(report.to_dict()))
    assert sum(row["parameters"] for row in data["rows"] if row["status"] != "dropped") == data["parameters"]
    assert data["share"] == report.share and {row["status"] for row in data["rows"]} == {"kept", "new", "dropped"}
    with pytest.raises(KeyError, match="Unknown status 'lost'. Choose one of kept"):
        report["lost"]
