"""Whether a program of torch.export can be read without running code that is in it.

torch evaluates its shapes as Python, and writes its names and guards into source code that it then runs (torch 2.13.0:
_export/serde/serialize.py, export/_unlift.py, fx/graph.py). So every text in it must be of a grammar that has no code.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch.utils import _pytree as pytree

NAME = re.compile(r"((?!__)\w+(\.(?!__)\w+)*)?")  # dotted, such as network.stage_1.bn.weight; or empty
FUNCTIONS = (  # of the sizes of tensors: sympy's and torch's
    "Symbol|Integer|Rational|Float|Add|Mul|Min|Max|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|IntTrueDiv|FloatTrueDiv|"
    "ModularIndexing|FloorToInt|CeilToInt|TruncToInt|TruncToFloat|RoundToInt|ToFloat|Identity|Where|"
    "Equality|Unequality|LessThan|GreaterThan|StrictLessThan|StrictGreaterThan|And|Or|Not"
)
ASSUMPTIONS = "positive|negative|nonnegative|integer|real"
SIZE_TOKEN = re.compile(rf"({FUNCTIONS})\(|'\w+'|'-?[\d.]+'|({ASSUMPTIONS})=True|precision=\d+|-?\d+|[ ,)]")
GUARD_TOKEN = re.compile(
    r"L\['\w+'\]\.(size|stride)\(\)\[\d+\]|(max|min|Max|Min|Mod)\(|(and|or|not) |\d{1,18}(?!\d)|[<>=!]=|//|[-+*/%<>(), ]"
)
OPERATOR = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")
OPERATORS = {  # of networks of images, each of which checks the sizes and places that it is given
    "_assert_tensor_metadata", "abs", "add", "addcdiv", "addcmul", "ceil", "clamp", "clamp_max", "clamp_min", "cos", "div",
    "elu", "eq", "erf", "exp", "expm1", "floor", "ge", "gelu", "gt", "hardsigmoid", "hardswish", "hardtanh", "le",
    "leaky_relu", "log", "log1p", "log_softmax", "logical_and", "logical_not", "logical_or", "lt", "maximum", "minimum",
    "mish", "mul", "ne", "neg", "pow", "prelu", "reciprocal", "relu", "relu6", "round", "rsqrt", "rsub", "selu", "sigmoid",
    "sign", "silu", "sin", "softmax", "softplus", "sqrt", "square", "sub", "tanh", "where", "addmm", "baddbmm",
    "batch_norm", "bmm", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "dropout", "einsum", "feature_dropout", "group_norm", "instance_norm", "layer_norm", "linear", "matmul", "mm",
    "scaled_dot_product_attention", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "adaptive_max_pool2d", "amax", "amin", "avg_pool1d", "avg_pool2d", "avg_pool3d", "linalg_vector_norm", "max_pool1d",
    "max_pool2d", "max_pool3d", "mean", "norm", "std", "sum", "var", "alias", "arange", "cat", "channel_shuffle", "chunk",
    "clone", "constant_pad_nd", "contiguous", "detach", "expand", "expand_as", "flatten", "flip", "full", "full_like",
    "lift_fresh_copy", "movedim", "narrow", "new_full", "new_ones", "new_zeros", "numel", "ones", "ones_like", "pad",
    "permute", "pixel_shuffle", "pixel_unshuffle", "reflection_pad2d", "repeat", "replication_pad2d", "reshape", "roll",
    "scalar_tensor", "select", "slice", "split", "split_with_sizes", "squeeze", "stack", "sym_numel", "sym_size",
    "sym_stride", "t", "to", "transpose", "type_as", "unbind", "unflatten", "unsqueeze", "upsample_bicubic2d",
    "upsample_bilinear2d", "upsample_nearest2d", "view", "view_as", "zeros", "zeros_like",
}  # fmt: skip
ARITHMETIC = {  # of sizes
    *("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pos", "and_", "or_", "eq", "ne", "lt", "le", "gt", "ge"),
    "getitem",
}
SIZE_FUNCTIONS = {
    *(f"_operator.{name}" for name in ARITHMETIC),
    *(f"torch.sym_{name}" for name in ("max", "min", "float", "int", "not", "ite")),
    "math.trunc",
}
POWERS = "**", "<<", ">>"  # whose results may fill the memory
NOT_CHECKABLE = "as_graph", "as_custom_obj", "as_operator", "custom_obj", "token"  # kinds of arguments
ONE_TENSOR_IN = pytree.treespec_dumps(pytree.tree_structure(((0,), {})))
ONE_TENSOR_OUT = pytree.treespec_dumps(pytree.tree_structure(0))


class UncheckedError(Exception):
    """Why something is not given to torch."""


def check_program(program: dict[str, Any]) -> dict[str, Any]:
    """The program as torch is to read it, without what is for people alone; an UncheckedError if code may be in it."""
    graph_module = program["graph_module"]
    graph_module |= {
        "metadata": {},
        "treespec_namedtuple_fields": {},
        "module_call_graph": graph_module["module_call_graph"][:1],
    }
    for node in graph_module["graph"]["nodes"]:
        node["metadata"] = {}
    check_texts(program)
    return program


def check_texts(value: Any, key: str = "") -> None:
    """Raise UncheckedError unless every text in a JSON value is as those under its key are."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in NOT_CHECKABLE or not NAME.fullmatch(name):
                raise UncheckedError(f"{name!r} is nothing that can be checked")
            check_texts(each, name)
    elif isinstance(value, list):
        for each in value:
            check_texts(each, key)
    elif isinstance(value, str) and not _is_harmless(value, key):
        raise UncheckedError(f"{key} is {value[:200]!r}")


def _is_harmless(text: str, key: str) -> bool:
    """Whether a text, which stands under `key`, is neither code nor the name of something that does more than compute."""
    match key:
        case "target":
            return text in SIZE_FUNCTIONS or _is_operator(text)
        case "expr_str":
            return SIZE_TOKEN.sub("", text) == ""
        case "guards_code":
            return GUARD_TOKEN.sub("", text) == "" and not any(power in text for power in POWERS)
        case "name" | "as_name" | "forward_arg_names":
            return text == "" or text.isidentifier()
        case "in_spec":
            return text == ONE_TENSOR_IN
        case "out_spec":
            return text == ONE_TENSOR_OUT
        case "as_string" | "as_strings" | "torch_version":
            return True  # data, which torch quotes or compares
        case "as_float" | "as_floats":
            return text in ("Infinity", "-Infinity", "NaN")
    return NAME.fullmatch(text) is not None


def _is_operator(target: str) -> bool:
    """Whether that is one of the operators of torch's own that networks of images are made of."""
    match = OPERATOR.fullmatch(target)
    if not match or match[1] not in OPERATORS:
        return False
    return isinstance(getattr(getattr(torch.ops.aten, match[1]), match[2], None), torch._ops.OpOverload)
