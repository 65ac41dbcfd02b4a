"""Weights of every lineage into networks as they were and as they are wanted; what was changed or assumed is told."""

import warnings

import alive
import golden
import pytest
import torch

import warmnet
from warmnet.data.preprocessing import Preprocessing
from warmnet.networks.families import NAMES
from warmnet.weights import LINEAGES, WeightsError, WeightsWarning

load = warmnet.WarmEfficientNet.from_pretrained
CLASSIFIER = {"classifier.weight", "classifier.bias"}


@pytest.fixture(scope="module", params=LINEAGES)
def checkpoint(request, tmp_path_factory):
    """A file of b0 in each lineage, and the network that it is of."""
    name = request.param
    model = alive.fill(warmnet.WarmEfficientNet("b0", **LINEAGES[name][0].options("b0"), seed=0)).eval()
    endings = {"keras": ".h5", "warmnet": ".safetensors", "timm": ".safetensors", "lukemelas": "-355c32.pth"}
    model.preprocessing = Preprocessing(224)
    path = tmp_path_factory.mktemp(name) / ("tf_" * (name == "timm_tf") + "efficientnet_b0" + endings.get(name, ".pth"))
    warmnet.convert(model, path, to=name.removesuffix("_tf"))
    return path, model


def quietly(function, *args, **kw):
    """What a function returns, when it warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **kw)


RECORDED, ADVICE = golden.read("lineages")


@pytest.mark.parametrize("record", RECORDED)
def test_names_and_shapes_are_those_recorded_from_the_peer(record):
    variant, library = record.split()
    state = NAMES[variant](variant, device="meta").state_dict()
    lineages = [each for name in (library, f"{library}_tf") for each in LINEAGES.get(name, ()) if variant in each.architectures]
    assert lineages
    for lineage in lineages:
        names = lineage.names(state)
        found = {name: list(lineage.from_warmnet(state[path], path).shape) for path, name in names.items()}
        assert found == RECORDED[record], ADVICE


def test_every_bit_and_every_setting_comes_from_the_source(checkpoint):
    path, model = checkpoint
    loaded, x = quietly(load, path), alive.images(75, 106).float()
    assert torch.equal(loaded(x), alive.logits(model, x)) and not loaded.training
    assert loaded.preprocessing.resolution == 224
    for (name, tensor), (_, expected) in zip(loaded.state_dict().items(), model.state_dict().items(), strict=True):
        assert torch.equal(tensor, expected), name


def test_other_classes_get_a_new_classifier_and_the_rest_is_loaded(checkpoint):
    path, model = checkpoint
    told = (
        r"(?s)\(-: in the model alone; \+: in the source alone\):\n"
        r".*- classifier\.weight \(10, 1280\).*\+ classifier\.weight .*\(1000, 1280\)"
    )
    with pytest.warns(WeightsWarning, match=told) as warned:
        loaded = load(path, num_classes=10, seed=3)
    assert warned[0].filename == __file__, "it points at the call"
    fresh = warmnet.WarmEfficientNet("b0", 10, seed=3).state_dict()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, (fresh if name in CLASSIFIER else model.state_dict())[name]), name


def test_without_classes_there_is_no_classifier(checkpoint):
    path, model = checkpoint
    with pytest.warns(WeightsWarning, match=r"\+ classifier\.weight"):
        loaded = load(path, num_classes=0)
    x = alive.images(64, 64).float()
    assert torch.equal(model.classifier(loaded(x)), model(x))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_share_the_stem_out_so_that_grey_pictures_give_the_same(checkpoint, channels):
    path, model = checkpoint
    with pytest.warns(
        WeightsWarning, match=rf"stem\.conv\.weight.*\(32, {channels}, 3, 3\): 3 channels, summed and shared out"
    ):
        loaded = load(path, in_channels=channels)
    grey = alive.images(64, 64).float()[:, :1]
    expected = alive.logits(model, grey.expand(-1, 3, -1, -1))
    assert alive.error(loaded(grey.expand(-1, channels, -1, -1)), expected) < 1e-5
    assert loaded.preprocessing is None, "it is of three channels"


def test_all_of_it_together(checkpoint):
    path, model = checkpoint
    with pytest.warns(WeightsWarning):
        loaded = load(path, num_classes=0, in_channels=1, output_stride=8, stem_stride=1, drop_connect=0.5)
    assert loaded(torch.rand(1, 1, 64, 48)).shape == (1, 1280)
    whole = quietly(load, path, output_stride=16)
    assert whole.reduction == 16 and torch.equal(whole.classifier.weight, model.classifier.weight)


def test_what_the_source_says_can_be_overridden(checkpoint):
    path, _ = checkpoint
    mine = Preprocessing(128, 1.0, "bilinear")
    loaded = load(path, padding="symmetric", eps=1e-4, momentum=0.5, preprocessing=mine)
    assert loaded.stem.bn.eps == 1e-4 and loaded.stem.bn.momentum == 0.5 and loaded.preprocessing == mine
    assert not any(getattr(m, "same", False) for m in loaded.modules())


def test_load_puts_the_same_into_a_network_that_is_there(checkpoint):
    path, model = checkpoint
    there = warmnet.WarmEfficientNet("b0", seed=1, **model.options).eval()
    optimizer, x = torch.optim.SGD(there.parameters(), 0.1), alive.images(64, 64).float()
    report = quietly(warmnet.load, there, path)
    assert torch.equal(there(x), alive.logits(model, x))
    assert optimizer.param_groups[0]["params"][0] is there.stem.conv.weight
    assert report.share == 1 and len(report["kept"]) == 360 - 49 * (path.suffix == ".h5")


def test_load_refuses_a_network_that_computes_otherwise(checkpoint):
    path, model = checkpoint
    other = {"padding": "symmetric", "eps": 1e-3} if model.options.get("padding") != "symmetric" else {"eps": 1e-3}
    there = warmnet.WarmEfficientNet("b0", seed=1, **other)
    before = {name: tensor.clone() for name, tensor in there.state_dict().items()}
    with pytest.raises(WeightsError, match=r"padding='\w+'.*its outputs would be others"):
        warmnet.load(there, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in there.state_dict().items())
    with pytest.warns(WeightsWarning, match="is from networks with padding"):
        warmnet.load(there, path, strict=False)
    assert torch.equal(there.stem.conv.weight, model.stem.conv.weight)


def test_a_converted_file_says_how_it_is_loaded_and_keeps_what_it_can(tmp_path):
    model = warmnet.WarmEfficientNet("b0", 3, seed=0)
    model.classes, model.preprocessing = ("cat", "dog", "cow"), Preprocessing(64)
    how = warmnet.convert(model, tmp_path / "w.safetensors")
    again = eval(how, {"warmnet": warmnet})
    assert again.classes == model.classes and again.preprocessing == model.preprocessing


@pytest.mark.parametrize(
    "options, to, message",
    [
        ({}, "torchvision", "torchvision computes with padding='symmetric', eps=1e-05 and this b0 with padding='same'"),
        ({"padding": "symmetric", "eps": 1e-5}, "keras", "keras computes with padding='same'"),
        ({"act": torch.relu}, "timm", "timm_tf computes with act=silu and this b0 with .*act=relu"),
        ({"se_ratio": 0}, "timm", "timm_tf's b0 has nothing like se_ratio=0"),
        ({"variant": "b8"}, "keras", "keras has no b8. It has b0, b1"),
        ({"in_channels": 1}, "keras", "keras has no networks with 1000 classes and 1 channels"),
        ({}, "jax", "Unknown library 'jax'"),
        ({"variant": warmnet.compound(0.5)}, "timm", "timm has no Variant"),
    ],
)
def test_what_a_peer_cannot_compute_is_not_written(options, to, message, tmp_path):
    model = warmnet.WarmEfficientNet(**options)
    with pytest.raises(WeightsError, match=message):
        warmnet.convert(model, tmp_path / ("w.h5" if to == "keras" else "w.pth"), to=to)
    with pytest.raises(WeightsError, match="must end in"):
        warmnet.convert(model, tmp_path / "w.png")
    assert not any(tmp_path.iterdir())


def test_which_of_timm_s_two_it_is_follows_from_what_stands_in_the_file_or_is_asked_for(tmp_path):
    model = warmnet.WarmEfficientNet("b0", **LINEAGES["timm"][0].options("b0"), seed=0)
    model.preprocessing = Preprocessing(224)
    for name in "named.safetensors", "checkpoint.pth":
        warmnet.convert(model, tmp_path / name, to="timm")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "[^\n]*:\n  'state_dict' was taken", WeightsWarning)
            assert load(tmp_path / name).options["padding"] == "symmetric", "by what is written in it"
    state = {name: tensor for name, tensor in torch.load(tmp_path / "checkpoint.pth")["state_dict"].items()}
    both = "'timm_tf' for tf_efficientnet_b0, with padding='same'.*; or 'timm' for efficientnet_b0, with padding='symmetric'"
    for into in load, lambda source: warmnet.load(model, source):
        with pytest.raises(WeightsError, match=f"nothing says which it is of. Pass lineage: {both}"):
            into(state)
    with pytest.warns(WeightsWarning, match="nothing says what images went through: pass preprocessing="):
        assert load(state, lineage="timm").options["padding"] == "symmetric"
    quietly(warmnet.load, model, state, lineage="timm")
    with pytest.raises(WeightsError, match="is from networks with padding='same', eps=0.001, and the model has padding='sym"):
        warmnet.load(model, state, lineage="timm_tf")
    torch.save(state, tmp_path / "efficientnet_best.pth")
    with pytest.raises(WeightsError, match="nothing says which it is of"):
        load(tmp_path / "efficientnet_best.pth")
    torch.save(state, tmp_path / "tf_efficientnet_b0_best.pth")
    assert load(tmp_path / "tf_efficientnet_b0_best.pth").options["padding"] == "same", "by what it is called"


def test_a_file_that_says_another_lineage_than_is_given_is_refused(tmp_path):
    model = warmnet.WarmEfficientNet("b0", **LINEAGES["timm"][0].options("b0"), seed=0)
    warmnet.convert(model, tmp_path / "x.safetensors", to="timm")
    with pytest.raises(
        WeightsError,
        match="says that it is of efficientnet_b0, of the lineage 'torchvision' or 'timm', and lineage is 'timm_tf'",
    ):
        load(tmp_path / "x.safetensors", lineage="timm_tf")


def test_an_architecture_that_warmnet_has_not_is_refused_whatever_its_tensors_are(tmp_path):
    state = warmnet.WarmResNet(18, seed=0).state_dict()
    tensors = {name: state[path] for path, name in LINEAGES["timm"][2].names(state).items()}
    torch.save({"arch": "resnetblur18", "state_dict": tensors}, tmp_path / "x.pth")  # its kernels without parameters blur
    with pytest.raises(WeightsError, match="says that it is of resnetblur18, and has the tensors of torchvision's resnet18"):
        warmnet.WarmResNet.from_pretrained(tmp_path / "x.pth")
    torch.save({"arch": "resnet18", "state_dict": tensors}, tmp_path / "x.pth")
    with pytest.warns(WeightsWarning, match="nothing says what images went through: taken for"):
        assert warmnet.WarmResNet.from_pretrained(tmp_path / "x.pth").variant == 18


def test_a_state_dict_of_ours_does_not_say_its_conventions_and_that_is_told():
    model = warmnet.WarmEfficientNet("b0", 2, padding="symmetric", eps=1e-5, seed=0)
    with pytest.warns(
        WeightsWarning, match="does not say its settings: taken for those of b0, padding='same', eps=0.001, act=silu"
    ):
        load(model.state_dict())
    quietly(warmnet.load, model, model.state_dict())
    assert quietly(load, model).options == model.options, "the model itself does"


def test_a_guess_is_not_written_into_a_file_as_if_it_were_known(tmp_path):
    model = warmnet.WarmEfficientNet("b0", 2, padding="symmetric", seed=0)
    torch.save(model.state_dict(), tmp_path / "bare.pth")
    for to, out in ("timm", "x.pth"), ("warmnet", "x.safetensors"):
        with pytest.raises(WeightsError, match="does not say its settings, such as padding. If they are the defaults, say so"):
            warmnet.convert(tmp_path / "bare.pth", tmp_path / out, to=to)
        assert not (tmp_path / out).exists()
    with pytest.raises(WeightsError, match="its outputs would be others there"):
        warmnet.convert(model, tmp_path / "x.pth", to="timm")


def test_a_state_dict_of_ours_without_gates_is_not_taken_for_lite():
    model = warmnet.WarmEfficientNet("b0", 2, se_ratio=0, seed=0)
    with pytest.raises(WeightsError, match="may be of lite0 with padding='same', eps=0.001, act=relu6, or of another"):
        load(model.state_dict())
    quietly(warmnet.load, model, model.state_dict())


def test_weights_without_statistics_are_refused():
    model = warmnet.WarmEfficientNet("b0", 2, seed=0)
    with pytest.raises(WeightsError, match=r"- stem\.bn\.running_mean \(32,\)"):
        load(dict(model.named_parameters()))
    state = model.state_dict()
    for change in {"stem.bn.running_mean": torch.zeros(1)}, {"stem.bn.running_foo": torch.zeros(1)}, {"foo": torch.tensor(1)}:
        with pytest.raises(WeightsError, match=rf"\+ {next(iter(change))}"):
            warmnet.load(model, {**state, **change})


class WithMore(warmnet.WarmEfficientNet):
    """A subclass with tensors and initial values of its own, and another network beside it."""

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.scale = torch.nn.Parameter(torch.ones(1))
        torch.nn.init.zeros_(self.classifier.weight)
        self.teacher = [warmnet.WarmEfficientNet("b0", 2, seed=99)]


def test_a_subclass_loads_all_of_its_tensors_and_shares_none(tmp_path):
    model = WithMore("b0", 2, seed=0)
    with torch.no_grad():
        model.scale.fill_(5)
        model.classifier.weight.fill_(3)
    warmnet.save(model, tmp_path / "w")
    loaded = WithMore.from_pretrained(tmp_path / "w")
    assert type(loaded) is WithMore and loaded.scale == 5 and (loaded.classifier.weight == 3).all()
    assert torch.equal(loaded.teacher[0].stem.conv.weight, model.teacher[0].stem.conv.weight)
    assert not torch.equal(loaded.teacher[0].stem.conv.weight, loaded.stem.conv.weight)


def test_a_network_whose_stem_sees_other_channels_than_its_images_have_loads_its_stem(tmp_path):
    class Grey(warmnet.WarmEfficientNet):
        def forward(self, x):
            return warmnet.efficientnet(x.mean(1, keepdim=True), self.variant, self.num_classes, **self.options)

    grey, colour = Grey("b0", 2, seed=0), warmnet.WarmEfficientNet("b0", 2, seed=1)
    assert grey.stem.conv.weight.shape == (32, 1, 3, 3)
    assert torch.equal(Grey.from_pretrained(grey, seed=2).stem.conv.weight, grey.stem.conv.weight)
    warmnet.convert(colour, tmp_path / "tf_efficientnet_b0.pth", to="timm")
    with pytest.warns(WeightsWarning, match="3 channels, summed and shared out"):
        loaded = Grey.from_pretrained(tmp_path / "tf_efficientnet_b0.pth", seed=2)
    assert torch.equal(loaded.stem.conv.weight, colour.stem.conv.weight.sum(1, keepdim=True))


def test_a_network_that_a_block_builds_does_not_take_the_weights_of_the_outer(tmp_path):
    inner = []

    @warmnet.block
    def mb_block(x, *args, **kw):
        if not inner:
            inner.append(warmnet.WarmEfficientNet("b0", 2, seed=7))
        return warmnet.mb_block.__wrapped__(x, *args, **kw)

    model = warmnet.WarmEfficientNet("b0", 2, seed=0, block=mb_block)
    inner.clear()
    load(model, block=mb_block)
    assert torch.equal(inner[0].stem.conv.weight, warmnet.WarmEfficientNet("b0", 2, seed=7).stem.conv.weight)


def test_devices_are_honoured_and_weights_without_values_refused(tmp_path):
    model = warmnet.WarmEfficientNet("b0", 2, seed=0)
    empty = load(model, device="meta")
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    for use in (load, lambda m: warmnet.load(model, m), lambda m: warmnet.save(m, tmp_path / "w")):
        with pytest.raises(WeightsError, match="meta"):
            use(empty)


@pytest.mark.gpu
def test_weights_go_to_the_gpu_and_back():
    model = warmnet.WarmEfficientNet("b0", 2, seed=0)
    there = load(model, device="cuda")
    assert torch.equal(load(there).stem.conv.weight, model.stem.conv.weight) and there.stem.conv.weight.is_cuda


def test_load_leaves_a_model_its_own_classes_and_preprocessing_unless_the_source_has_them(tmp_path):
    source, model = (warmnet.WarmEfficientNet("b0", 2, seed=seed) for seed in (0, 1))
    model.classes, model.preprocessing = ("cat", "dog"), Preprocessing(64)
    warmnet.load(model, source.state_dict())
    assert model.classes == ("cat", "dog") and model.preprocessing == Preprocessing(64)
    source.classes, source.preprocessing = ("ant", "bee"), Preprocessing(96)
    warmnet.load(model, source)
    assert model.classes == ("ant", "bee") and model.preprocessing == Preprocessing(96)


def test_preprocessing_and_classes_survive_another_library_s_file_or_their_loss_is_told(tmp_path):
    model = warmnet.WarmEfficientNet("b0", 2, seed=0)
    model.classes, model.preprocessing = ("ant", "bee"), Preprocessing(128, mean=(0.5,) * 3, std=(0.5,) * 3)
    for to, file in ("timm", "w.safetensors"), ("timm", "w.pth"), ("lukemelas", "w.safetensors"):
        quietly(warmnet.convert, model, tmp_path / file, to=to)
        again = quietly(load, tmp_path / file)
        assert again.classes == model.classes and again.preprocessing == model.preprocessing
    with pytest.warns(WeightsWarning, match=r"cannot hold the names of 2 classes and Preprocessing\(resolution=128"):
        warmnet.convert(model, tmp_path / "w.pth", to="lukemelas")


def test_keras_v2_is_said_to_normalize_pixels_itself_where_it_does_otherwise_than_the_model(tmp_path):
    model = warmnet.WarmEfficientNet("v2-b0", 2, seed=0)
    model.preprocessing = Preprocessing(224)
    quietly(warmnet.convert, model, tmp_path / "w.h5", to="keras")
    with pytest.warns(
        WeightsWarning, match="nothing says what images went through: taken for"
    ):  # or include_preprocessing=False
        assert load(tmp_path / "w.h5").preprocessing == model.preprocessing
    model.preprocessing = Preprocessing(224, mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.warns(
        WeightsWarning, match=r"begins with layers that take \(0\.485, .*\(0\.229, .* include_preprocessing=False"
    ):
        warmnet.convert(model, tmp_path / "w.h5", to="keras")


def test_what_has_only_most_of_a_network_s_tensors_is_said_to(tmp_path):
    model = warmnet.WarmEfficientNet("b0", 2, seed=0)
    warmnet.convert(model, tmp_path / "w.pth", to="timm")
    state = torch.load(tmp_path / "w.pth")["state_dict"]
    with pytest.raises(WeightsError, match="the state dict has tensors of several networks"):
        load(state)
    with pytest.raises(WeightsError, match="the state dict has most, but not all, tensors of several networks"):
        load({**state, "blocks.0.0.attention.weight": torch.ones(3)})


def test_metadata_is_kept_and_not_shared(tmp_path):
    model = warmnet.WarmEfficientNet("b0", 2, seed=0)
    model.metadata["accuracy"] = 0.5
    warmnet.save(model, tmp_path / "w", path="here")
    again = load(tmp_path / "w")
    assert again.metadata == {"accuracy": 0.5, "path": "here"}
    copy = load(again)
    copy.metadata["more"] = 1
    assert "more" not in again.metadata and warmnet.WarmEfficientNet("b0", 2, device="meta").metadata == {}
    warmnet.convert(again, tmp_path / "x.safetensors")
    assert load(tmp_path / "x.safetensors").metadata == again.metadata


def test_tensors_that_share_memory_in_a_file_do_not_in_the_network(tmp_path):
    state = warmnet.WarmEfficientNet("b0", 2, seed=0).state_dict()
    state["stem.bn.bias"] = state["stem.bn.running_mean"]
    torch.save(state, tmp_path / "tied.pth")
    with pytest.warns(WeightsWarning):
        model = load(tmp_path / "tied.pth")
    assert model.stem.bn.bias.data_ptr() != model.stem.bn.running_mean.data_ptr()


def test_of_many_tensors_that_do_not_fit_some_are_told_and_how_many_more():
    shallow, deep = (warmnet.WarmEfficientNet(name, 2, seed=0) for name in ("b0", "b1"))
    with pytest.warns(WeightsWarning) as warned:
        report = warmnet.load(shallow, deep, strict=False)
    dropped = [str(row) for row in report["dropped"] if row.matters]
    head, *lines = str(warned[0].message).split("\n  ")
    assert len(dropped) > 10 and lines == [*dropped[:10], f"and {len(dropped) - 10} more are dropped"]


def test_a_wrapped_model_is_loaded_into_and_inference_mode_is_no_obstacle():
    model, source = (warmnet.WarmEfficientNet("b0", 2, seed=seed) for seed in (0, 1))
    quietly(warmnet.load, torch.compile(model), source)
    assert torch.equal(model.stem.conv.weight, source.stem.conv.weight)
    with torch.inference_mode():
        loaded = load(source)
    loaded.train()(torch.rand(2, 3, 32, 32)).sum().backward()


def test_adversarial_and_noisy_student_weights_have_their_preprocessing():
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    for lineage, called, expected in [
        ("timm_tf", "tf_efficientnet_b0.ap_in1k", Preprocessing(224, **half)),
        ("timm_tf", "tf_efficientnet_b0_ap-f262efe1", Preprocessing(224, **half)),
        ("timm_tf", "tf_efficientnet_b0.ns_jft_in1k", Preprocessing(224)),
        ("lukemelas", "adv-efficientnet-b0-b64d5a18", Preprocessing(224, **half)),
        ("lukemelas", "efficientnet-b0-355c32eb", Preprocessing(224)),
    ]:
        assert LINEAGES[lineage][0].preprocessing("b0", called) == expected
    squashed = Preprocessing(480, 1.0, crop_mode="squash", **half)
    assert LINEAGES["timm_tf"][0].preprocessing("v2-m", "tf_efficientnetv2_m.in1k") == squashed
    assert LINEAGES["timm_tf"][0].preprocessing("v2-b3", "tf_efficientnetv2_b3.in1k") == Preprocessing(300)
    assert LINEAGES["timm_tf"][0].preprocessing("l2", "tf_efficientnet_l2.ns_jft_in1k_475").resolution == 475
    assert LINEAGES["torchvision"][0].preprocessing("b1", "efficientnet_b1-c27df63c").interpolation == "bilinear"


def test_a_loaded_network_shares_no_memory_with_its_source():
    model = warmnet.WarmEfficientNet("b0", 2, seed=0)
    for source in model, model.state_dict():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = load(source)
        assert loaded.stem.conv.weight.data_ptr() != model.stem.conv.weight.data_ptr()
        assert torch.equal(loaded.stem.conv.weight, model.stem.conv.weight)
