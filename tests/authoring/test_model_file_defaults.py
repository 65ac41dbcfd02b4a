"""In a model file every default counts: change it, and the network is another."""

import ast
import inspect

import pytest

from warmnet.authoring.model_files import write_model_file

OTHER = {
    "F.silu": "F.relu", "F.relu6": "F.relu", "F.relu": "F.silu", "STAGES": "STAGES[:-1]", "mb_block": "other",
    "'same'": "'symmetric'", "'symmetric'": "'same'", "None": "16", "True": "False", "0": "0.25",
}  # fmt: skip
MORE = "\n\n@block\ndef other(x, *args, **kw):\n    return x\n"


def defaults(source):
    """Each default of the functions of a source: its node, and the names of its function and its parameter."""
    for function in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)):
        arguments = function.args
        last = [*arguments.args][len(arguments.args) - len(arguments.defaults) :]
        for argument, value in [*zip(last, arguments.defaults), *zip(arguments.kwonlyargs, arguments.kw_defaults)]:
            if value is not None:
                yield value, f"{function.name}({argument.arg}=)"


def changed(source, value):
    """The source with another value at a default's place."""
    text = ast.unparse(value)
    other = OTHER.get(text) or (str(2 * ast.literal_eval(text)) if text.isdecimal() else "0.5")
    lines = source.splitlines(keepends=True)
    line = lines[value.lineno - 1]
    lines[value.lineno - 1] = line[: value.col_offset] + other + line[value.end_col_offset :]
    return "".join(lines)


def printed(source):
    """The networks of a model file, as they print; or why they cannot be built. One of a ResNet has two kinds of blocks."""
    held = {"__name__": "mymodel"}
    exec(source, held)
    variants = (50, 18) if "DEPTHS" in held else (inspect.signature(held["Net"]).parameters["variant"].default,)
    try:
        return "\n".join(str(held["Net"](variant, num_classes=10, device="meta")) for variant in variants)
    except (TypeError, ValueError, RuntimeError) as error:
        return repr(error)


@pytest.mark.parametrize(
    "name, network",
    [
        ("b2", "efficientnet"),
        pytest.param("lite2", "efficientnet", marks=pytest.mark.slow),
        pytest.param("v2-b2", "efficientnet", marks=pytest.mark.slow),
        ("mobilenetv2-1.4", "mobilenet_v2"),
        ("resnet50", "resnet"),
    ],
)
def test_every_default_of_a_model_file_counts(tmp_path, name, network):
    write_model_file(tmp_path / "mymodel.py", name)
    source = (tmp_path / "mymodel.py").read_text().replace("\n\n@block\n", f"{MORE}\n\n@block\n", 1)
    plain, found = printed(source), [*defaults(source)]
    names = {name for _, name in found}
    assert names >= {"conv_bn_act(kernel=)", f"{network}(drop_connect=)", f"{network}(act=)"}
    assert plain.startswith("Net(") and "act=" in plain
    assert not [name for value, name in found if printed(changed(source, value)) == plain]
