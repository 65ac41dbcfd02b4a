import json
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest
import torch

import warmnet
from warmnet.errors import MissingExtra
from warmnet.weights import WeightsError, keras_files

SHAPES = {  # of an EfficientNet of four small blocks, in forward order
    "normalization": (3,),
    "stem_conv": (3, 3, 3, 8), "stem_bn": (8,),
    "block1a_dwconv": (3, 3, 8, 1), "block1a_bn": (8,),
    "block1a_se_reduce": (1, 1, 8, 2), "block1a_se_expand": (1, 1, 2, 8),
    "block1a_project_conv": (1, 1, 8, 4), "block1a_project_bn": (4,),
    "block1b_dwconv": (3, 3, 4, 1), "block1b_bn": (4,),
    "block1b_se_reduce": (1, 1, 4, 1), "block1b_se_expand": (1, 1, 1, 4),
    "block1b_project_conv": (1, 1, 4, 4), "block1b_project_bn": (4,),
    "block2a_expand_conv": (1, 1, 4, 24), "block2a_expand_bn": (24,),
    "block2a_dwconv": (5, 5, 24, 1), "block2a_bn": (24,),
    "block2a_se_reduce": (1, 1, 24, 1), "block2a_se_expand": (1, 1, 1, 24),
    "block2a_project_conv": (1, 1, 24, 6), "block2a_project_bn": (6,),
    "block3a_expand_conv": (1, 1, 6, 36), "block3a_expand_bn": (36,),
    "block3a_dwconv": (5, 5, 36, 1), "block3a_bn": (36,),
    "block3a_se_reduce": (1, 1, 36, 1), "block3a_se_expand": (1, 1, 1, 36),
    "block3a_project_conv": (1, 1, 36, 9), "block3a_project_bn": (9,),
    "top_conv": (1, 1, 9, 16), "top_bn": (16,),
    "predictions": (16, 5),
}  # fmt: skip


def efficientnet():
    """Random variables for SHAPES."""
    values = {"normalization/mean": torch.rand(3), "normalization/variance": torch.rand(3)}
    values["normalization/count"] = torch.tensor(7, dtype=torch.int32)
    for layer, shape in list(SHAPES.items())[1:]:
        if layer.endswith("bn"):
            values |= {f"{layer}/{name}": torch.rand(shape) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
        else:
            values[f"{layer}/kernel"] = torch.rand(shape)
            if "se_" in layer or layer == "predictions":
                values[f"{layer}/bias"] = torch.rand(shape[-1])
    return values


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[key], value) and found[key].dtype == value.dtype for key, value in expected.items()
    )


def unnamed(path):
    """The file as Keras 3 wrote it before it named layers."""
    with h5py.File(path, "r+") as file:
        groups = [group for group in file["layers"].values() if group["vars"].attrs.pop("name")]
    assert groups
    return path


def archive(path, weights, config):
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("config.json", json.dumps(config))
        content.write(weights, "model.weights.h5")
    return path


@pytest.fixture(params=["w.h5", "w.hdf5", "w.weights.h5"])
def path(request, tmp_path):
    return tmp_path / request.param


def test_what_is_read_is_what_was_written(path):
    values = efficientnet()
    keras_files.write(path, values)
    assert same(keras_files.read(path), values)


def test_dtypes_are_kept_but_for_bfloat16_that_keras_could_not_name(path):
    values = {"stem_conv/kernel": torch.rand(2, 2).half(), "predictions/kernel": torch.rand(2).double()}
    keras_files.write(path, values | {"predictions/bias": torch.rand(4).bfloat16()})
    assert {key: value.dtype for key, value in keras_files.read(path).items()} == {
        "stem_conv/kernel": torch.float16, "predictions/kernel": torch.float64, "predictions/bias": torch.float32,
    }  # fmt: skip


def test_a_file_is_the_same_bytes_at_any_time(tmp_path):
    values, paths = efficientnet(), [tmp_path / "w.h5", tmp_path / "w.weights.h5"]
    for path in paths:
        keras_files.write(path, values)
    before = [path.read_bytes() for path in paths]
    time.sleep(1.1)  # HDF5 counts in seconds
    for path in paths:
        keras_files.write(path, values)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("top", [True, False])
def test_layers_without_names_are_known_by_their_order_and_shapes(tmp_path, top):
    values = {key: value for key, value in efficientnet().items() if top or "predictions" not in key}
    keras_files.write(tmp_path / "w.weights.h5", values)
    assert same(keras_files.read(unnamed(tmp_path / "w.weights.h5")), values)


def test_those_of_v2_too(tmp_path):
    model = warmnet.WarmEfficientNet("v2-b0", 2, seed=0)
    for name in "w.h5", "w.weights.h5":
        warmnet.convert(model, tmp_path / name, to="keras")
    values = keras_files.read(tmp_path / "w.h5")
    assert same(keras_files.read(tmp_path / "w.weights.h5"), values)
    assert same(keras_files.read(unnamed(tmp_path / "w.weights.h5")), values)


def test_layers_that_follow_an_efficientnet_without_names_do_not_confuse_it(tmp_path):
    values = efficientnet() | {
        f"after_bn/{name}": torch.rand(5) for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    keras_files.write(tmp_path / "w.weights.h5", values)
    found = keras_files.read(unnamed(tmp_path / "w.weights.h5"))
    after = f"batch_normalization_{sum(layer.endswith('bn') for layer in SHAPES)}"
    assert same(found, {key.replace("after_bn", after): value for key, value in values.items()})


def test_layers_without_names_that_are_no_efficientnet_s_are_called_by_their_class(tmp_path):
    values = {
        "stem_conv/kernel": torch.rand(3, 3, 3, 8),
        "stem_bn/gamma": torch.rand(8),
        "predictions/kernel": torch.rand(8, 2),
    }
    keras_files.write(tmp_path / "w.weights.h5", values)
    names = ["conv2d/kernel", "batch_normalization/gamma", "dense/kernel"]
    assert same(keras_files.read(unnamed(tmp_path / "w.weights.h5")), dict(zip(names, values.values())))


def test_an_archive_s_description_names_the_layers_of_nested_models(tmp_path):
    def layer(kind, name, layers=()):
        return {"class_name": kind, "config": {"name": name, "layers": list(layers)}}

    base = [
        layer("InputLayer", "in"),
        layer("DepthwiseConv2D", "one"),
        layer("Conv2D", "two"),
        layer("DepthwiseConv2D", "three"),
    ]
    config = layer("Sequential", "all", [layer("Functional", "base", base), layer("Dense", "head"), layer("LSTM", "memory")])
    expected = {}
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for group, key in [
            ("functional/layers/depthwise_conv2d/vars/0", "one/kernel"), ("functional/layers/conv2d/vars/0", "two/kernel"),
            ("functional/layers/conv2d/vars/1", "two/bias"), ("functional/layers/depthwise_conv2d_1/vars/0", "three/kernel"),
            ("dense/vars/0", "head/kernel"), ("lstm/vars/0", "memory/0"), ("lstm/vars/1", "memory/1"),
        ]:  # fmt: skip
            expected[key] = torch.rand(2)
            file[f"layers/{group}"] = expected[key].numpy()
        file["optimizer/vars/0"] = file["metrics/mean/vars/0"] = np.ones(3)  # are not the model's
    assert same(keras_files.read(archive(tmp_path / "w.keras", tmp_path / "w.h5", config)), expected)


def test_a_description_that_is_damaged_is_refused(tmp_path):
    keras_files.write(tmp_path / "w.weights.h5", efficientnet())
    config = {"class_name": "Functional", "config": {"layers": [{"class_name": "Conv2D"}]}}
    with pytest.raises(WeightsError, match=r"w\.keras"):
        keras_files.read(archive(tmp_path / "w.keras", unnamed(tmp_path / "w.weights.h5"), config))


@pytest.mark.parametrize("root", ["/", "/model_weights"])
@pytest.mark.parametrize("spelling", ["{variable}", "{layer}/{variable}:0", "{layer}/{variable}", "outer/{layer}/{variable}"])
@pytest.mark.parametrize("parts", [False, True])
def test_every_spelling_of_the_legacy_layout_is_read(tmp_path, root, spelling, parts):
    values = efficientnet()

    def attribute(group, name, strings):
        """As bytes in one attribute, or as strings in two."""
        if parts:
            group.attrs[f"{name}0"], group.attrs[f"{name}1"] = strings[:1], strings[1:]
        else:
            group.attrs[name] = [string.encode() for string in strings]

    with h5py.File(tmp_path / "w.h5", "w") as file:
        weights = file.require_group(root)
        attribute(weights, "layer_names", [*SHAPES, "avg_pool"])
        for layer in [*SHAPES, "avg_pool"]:
            group, names = weights.create_group(layer), []
            for key in [key for key in values if key.startswith(f"{layer}/")]:
                variable = key.split("/")[1].replace("kernel", "depthwise_kernel" if "dwconv" in layer else "kernel")
                names.append(spelling.format(layer=layer, variable=variable))
                group[names[-1]] = values[key]
            attribute(group, "weight_names", names)
    found = keras_files.read(tmp_path / "w.h5")
    assert same(found, values) and list(found) == list(values)


def test_the_normalization_is_called_so_whichever_of_a_session_it_was(tmp_path):
    keras_files.write(tmp_path / "w.h5", {"normalization_12/mean": torch.rand(3), "normalization_of_mine/mean": torch.rand(3)})
    assert set(keras_files.read(tmp_path / "w.h5")) == {"normalization/mean", "normalization_of_mine/mean"}


def test_what_two_layers_would_share_is_called_by_its_path(tmp_path):
    values = {"normalization/mean": torch.rand(3), "normalization_1/mean": torch.rand(3), "stem_conv/kernel": torch.rand(3)}
    keras_files.write(tmp_path / "w.h5", values)
    one, two = (f"{layer}/{layer}/mean:0" for layer in ("normalization", "normalization_1"))
    assert same(keras_files.read(tmp_path / "w.h5"), dict(zip([one, two, "stem_conv/kernel"], values.values())))


def test_a_batch_norm_without_gamma_is_not_read_as_one_with(tmp_path):
    keras_files.write(
        tmp_path / "w.weights.h5", {f"stem_bn/{name}": torch.rand(3) for name in ("beta", "moving_mean", "moving_variance")}
    )
    assert set(keras_files.read(tmp_path / "w.weights.h5")) == {"stem_bn/0", "stem_bn/1", "stem_bn/2"}


def test_bfloat16_is_read_as_such(tmp_path):
    values = torch.rand(4, 3).bfloat16()
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = values.view(torch.int16).numpy().view("V2")
    assert same(keras_files.read(tmp_path / "w.weights.h5"), {"dense/kernel": values})


def not_hdf5(path):
    path.write_text("hello")


def nothing(path):
    h5py.File(path, "w").close()


def other_hdf5(path):
    with h5py.File(path, "w") as file:
        file["data"] = np.ones(3)


def other_zip(path):
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("hello", "hello")


def lacks_a_variable(path):
    keras_files.write(path, efficientnet())
    with h5py.File(path, "r+") as file:
        del file["stem_conv/stem_conv/kernel:0"]


def text(path):
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = "hello"


@pytest.mark.parametrize(
    "make, name, message",
    [
        (lambda path: None, "w.h5", "does not exist"),
        (lambda path: path.mkdir(), "w.keras", "not a file"),
        (not_hdf5, "w.h5", "not a file of Keras"),
        (not_hdf5, "w.keras", "not a file of Keras"),
        (not_hdf5, "w.pt", r"end in .*\.weights\.h5 or \.keras"),
        (nothing, "w.h5", "no weights of Keras.*save_weights"),
        (other_hdf5, "w.h5", "no weights of Keras"),
        (other_zip, "w.keras", r"without model\.weights\.h5"),
        (lacks_a_variable, "w.h5", "stem_conv/stem_conv/kernel:0"),
        (text, "w.weights.h5", "not a file of Keras"),
    ],
)
def test_what_holds_no_weights_is_refused_by_name(tmp_path, make, name, message):
    make(tmp_path / name)
    with pytest.raises(WeightsError, match=message) as error:
        keras_files.read(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5", "w.keras"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, name):
    keras_files.write(tmp_path / "whole.weights.h5", efficientnet())
    keras_files.write(tmp_path / "w.h5", efficientnet())
    whole = tmp_path / ("w.h5" if name == "w.h5" else "whole.weights.h5")
    if name == "w.keras":
        whole = archive(tmp_path / "whole.keras", whole, {})
    content = whole.read_bytes()
    for length in 0, 4, 100, 5000, len(content) // 2, len(content) - 1:
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(WeightsError, match=name):
            keras_files.read(tmp_path / name)


def linked(file, other):
    file["layers/dense/vars/0"] = np.ones(1)
    file["layers/dense/vars/1"] = h5py.ExternalLink(other, "secret")


def external(file, other):
    file.create_dataset("layers/dense/vars/0", (2,), "f4", external=[(other, 0, 8)])


def virtual(file, other):
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(other, "secret", (2,))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def huge(file, other):
    file.create_dataset("layers/dense/vars/0", (1 << 40,), "f4", chunks=(1 << 10,))


@pytest.mark.parametrize("make", [linked, external, virtual, huge])
def test_values_that_are_not_in_the_file_are_not_read(tmp_path, make):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(2, "f4")
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        make(file, str(tmp_path / "other.h5"))
    with pytest.raises(WeightsError, match="layers/dense/vars"):
        keras_files.read(tmp_path / "w.weights.h5")


def test_compressed_values_are_read(tmp_path):
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.zeros((1 << 10, 1 << 10), "f4"), compression=9)
    assert keras_files.read(tmp_path / "w.weights.h5")["dense/kernel"].shape == (1 << 10, 1 << 10)


@pytest.mark.parametrize("name", ["w.keras", "w.pt", "w"])
def test_a_file_that_keras_would_not_load_is_not_written(tmp_path, name):
    with pytest.raises(WeightsError, match=rf"{name}: .* \.h5, \.hdf5 or \.weights\.h5"):
        keras_files.write(tmp_path / name, efficientnet())
    assert not any(tmp_path.iterdir())


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    for call in lambda: keras_files.read(tmp_path / "w.h5"), lambda: keras_files.write(tmp_path / "w.h5", {}):
        with pytest.raises(MissingExtra, match=r"h5py.*warmnet\[keras\]"):
            call()
