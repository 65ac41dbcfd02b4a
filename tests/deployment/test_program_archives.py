"""A .pt2 runs no code: one with code in any place where torch would run it is refused, and the code has not run."""

import io
import json
import os
import pickle
import sys
import zipfile

import pytest
import torch

from warmnet.deployment import DeployError, export, open_exported
from warmnet.deployment.engines.program_archive import LISTS, PROGRAM, SAMPLE_INPUTS

WEIGHTS, CONSTANTS = LISTS
INTRUDER = "import pathlib; pathlib.Path({!r}).touch()"


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return exec, (INTRUDER.format(self.marker),)


def pickled(marker):
    buffer = io.BytesIO()
    torch.save(Touch(marker), buffer)
    return buffer.getvalue()


def expression(marker):
    return f"__import__('pathlib').Path({marker!r}).touch()"


@pytest.fixture(scope="module")
def entries(network, tmp_path_factory):
    """The entries of an exported network, JSON parsed."""
    path = tmp_path_factory.mktemp("exported") / "network.pt2"
    export(network(16), path, "torch")
    with zipfile.ZipFile(path) as archive:
        found = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    return {name: json.loads(content) if name.endswith(".json") else content for name, content in found.items()}


def write(path, entries, dump=json.dumps):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content if isinstance(content, bytes) else dump(content))


def in_weights(entries, marker):
    next(iter(entries[WEIGHTS]["config"].values()))["use_pickle"] = True
    entries["data/weights/weight_0"] = pickled(marker)


def in_samples(entries, marker):
    entries[SAMPLE_INPUTS] = pickled(marker)


def in_constants(prefix):
    def attack(entries, marker):
        payload = {"path_name": f"{prefix}0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        entries[CONSTANTS]["config"]["c"] = payload
        entries[f"data/constants/{prefix}0"] = pickle.dumps(Touch(marker)) if prefix == "opaque_obj_" else pickled(marker)

    return attack


def in_old_weights(entries, marker):
    entries["data/weights/model.pt"] = pickled(marker)


def in_sizes(entries, marker):
    tensors = entries[PROGRAM]["graph_module"]["graph"]["tensor_values"]
    tensors["pixels"]["sizes"][0]["as_expr"]["expr_str"] = expression(marker)


def in_guards(entries, marker):
    entries[PROGRAM]["guards_code"] = [expression(marker)]


def in_names(entries, marker):
    text = json.dumps(entries[PROGRAM])
    entries[PROGRAM] = json.loads(text.replace('"permute"', json.dumps(f"permute = {expression(marker)}; permute")))


def in_parameters(entries, marker):
    name = 'network.x", exec("' + INTRUDER.format(marker) + '")), "'
    text = json.dumps(entries[PROGRAM]).replace('"network.classifier.bias"', json.dumps(name))
    entries[PROGRAM] = json.loads(text)
    entries[WEIGHTS]["config"][name] = entries[WEIGHTS]["config"].pop("network.classifier.bias")


def node(target, **strings):
    inputs = [{"name": key, "arg": {"as_string": text}, "kind": 1} for key, text in strings.items()]
    outputs = [{"as_tensor": {"name": "silu"}}]
    return {"target": target, "inputs": inputs, "outputs": outputs, "metadata": {}, "name": "silu"}


def replace_silu(entries, node):
    nodes = entries[PROGRAM]["graph_module"]["graph"]["nodes"]
    index = next(i for i, each in enumerate(nodes) if each["name"] == "silu")
    nodes[index] = node


def in_calls(entries, marker):
    replace_silu(entries, node("torch.serialization.os.system", **{"": f"touch {marker}"}))


def in_methods(entries, marker):
    replace_silu(entries, node("torch.ops.aten.__class__.__init__", **{"": f"touch {marker}"}))


def in_files(entries, marker):
    replace_silu(entries, node("torch.ops.aten.from_file.default", filename=marker))


def in_memory(entries, marker):
    """An operator that writes where its indices say, unchecked."""
    replace_silu(entries, node("torch.ops.aten.max_pool2d_with_indices_backward.default"))


def in_large_guards(entries, marker):
    entries[PROGRAM]["guards_code"] = ["1 << 99999999999 > 0"]


def in_imports(entries, marker):
    """Of a module that stands where Python looks for modules."""
    context = json.dumps([{"__enum__": True, "fqn": "intruder:X", "name": "x"}])
    leaf = {"type": None, "context": None, "children_spec": []}
    spec = json.dumps([1, {"type": "builtins.dict", "context": context, "children_spec": [leaf]}])
    entries[PROGRAM]["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = spec


def in_another_program(entries, marker):
    entries["models/other.json"] = entries[PROGRAM]
    for kind in "weights", "constants":
        entries[f"data/{kind}/other_{kind}_config.json"] = entries[f"data/{kind}/model_{kind}_config.json"]
    entries["data/sample_inputs/other.pt"] = pickled(marker)


def in_machine_code(entries, marker):
    entries["data/aotinductor/model/x.so"] = b"\x7fELF"


ATTACKS = {
    "a pickled weight": in_weights,
    "pickled sample inputs": in_samples,
    "a pickled constant": in_constants("tensor_"),
    "a script object": in_constants("custom_obj_"),
    "an opaque object": in_constants("opaque_obj_"),
    "weights of an old version": in_old_weights,
    "the size of a tensor": in_sizes,
    "a guard": in_guards,
    "the name of a node": in_names,
    "the name of a parameter": in_parameters,
    "a function of Python's": in_calls,
    "a method of Python's": in_methods,
    "an operator on files": in_files,
    "an operator that writes past its memory": in_memory,
    "a guard that fills the memory": in_large_guards,
    "the structure of the outputs": in_imports,
    "another program": in_another_program,
    "machine code": in_machine_code,
}


def dump_with_spaces(content):
    return json.dumps(content, separators=(" , ", " :"))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_code_in_an_archive_is_refused_and_does_not_run(entries, tmp_path, monkeypatch, attack):
    marker = str(tmp_path / "it-ran")
    (tmp_path / "intruder.py").write_text(INTRUDER.format(marker))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    changed = {
        name: content if isinstance(content, bytes) else json.loads(json.dumps(content)) for name, content in entries.items()
    }
    attack(changed, marker)
    write(tmp_path / "n.pt2", changed, dump_with_spaces)
    with pytest.raises(DeployError, match="is not opened, since code may run in it"):
        open_exported(tmp_path / "n.pt2")
    assert not os.path.exists(marker)


def test_a_file_whose_json_is_only_written_otherwise_opens(entries, tmp_path):
    write(tmp_path / "n.pt2", entries, dump_with_spaces)
    assert open_exported(tmp_path / "n.pt2").engine == "torch"


def test_a_program_that_torch_cannot_read_is_said_in_a_sentence(entries, tmp_path):
    changed = json.loads(json.dumps(entries[PROGRAM]))
    changed["schema_version"]["major"] = 99
    write(tmp_path / "n.pt2", {**entries, PROGRAM: changed})
    with pytest.raises(DeployError, match="is damaged, or not of torch"):
        open_exported(tmp_path / "n.pt2")


@pytest.mark.parametrize("content", [b"[" * 200_000, b"3", b"{}", b'{"graph_module": 3}'], ids=["deep", "3", "{}", "no graph"])
def test_json_that_is_no_program_is_said_in_a_sentence(entries, tmp_path, content):
    write(tmp_path / "n.pt2", {**entries, PROGRAM: content})
    with pytest.raises(DeployError, match="is not opened"):
        open_exported(tmp_path / "n.pt2")


def test_machine_code_is_opened_only_where_it_is_trusted(tmp_path):
    (tmp_path / "n.aoti.pt2").write_bytes(b"something")
    with pytest.raises(DeployError, match="holds machine code.*trust=True.*--trust"):
        open_exported(tmp_path / "n.aoti.pt2")
    with pytest.raises(DeployError, match="is damaged"):
        open_exported(tmp_path / "n.aoti.pt2", trust=True)
