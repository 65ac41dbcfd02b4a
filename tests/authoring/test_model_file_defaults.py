"""In a model file every default counts: change it, and the network is another."""

import ast

import torch.nn.functional as F

from warmnet.authoring.model_files import write_model_file

OTHER = {"F.silu": "F.relu", "STAGES": "STAGES[:-1]", "mb_block": "other", "'same'": "'symmetric'", "None": "16"}
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
    """The b2 of a model file, as it prints; or why it cannot be built."""
    held = {"__name__": "mymodel"}
    exec(source, held)
    try:
        return str(held["Net"]("b2", 10, device="meta"))
    except (TypeError, ValueError, RuntimeError) as error:
        return repr(error)


def test_every_default_of_a_model_file_counts(tmp_path):
    write_model_file(tmp_path / "mymodel.py")
    source = (tmp_path / "mymodel.py").read_text().replace("\n\n@block\n", f"{MORE}\n\n@block\n", 1)
    plain, found = printed(source), [*defaults(source)]
    names = {name for _, name in found}
    assert names >= {"conv_bn_act(kernel=)", "conv_bn_act(eps=)", "efficientnet(se_ratio=)", "efficientnet(act=)"}
    assert "WarmEfficientNet" not in plain and F.silu.__name__ in plain
    assert not [name for value, name in found if printed(changed(source, value)) == plain]
