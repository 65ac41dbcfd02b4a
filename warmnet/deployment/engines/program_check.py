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
    "Symbol|Integer|Rational|Float|Add|Mul|Pow|Min|Max|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|IntTrueDiv|FloatTrueDiv|"
    "ModularIndexing|PowByNatural|FloatPow|FloorToInt|CeilToInt|TruncToInt|TruncToFloat|RoundToInt|ToFloat|Identity|Where|"
    "Equality|Unequality|LessThan|GreaterThan|StrictLessThan|StrictGreaterThan|And|Or|Not"
)
ASSUMPTIONS = "positive|negative|nonnegative|integer|real"
SIZE_TOKEN = re.compile(rf"({FUNCTIONS})\(|'\w+'|'-?[\d.]+'|({ASSUMPTIONS})=True|precision=\d+|-?\d+|[ ,)]")
GUARD_TOKEN = re.compile(
    r"L\['\w+'\]\.(size|stride)\(\)\[\d+\]|(max|min|Max|Min|Mod)\(|(and|or|not) |\d+|[<>=!]=|//|[-+*/%<>(), ]"
)
OPERATOR = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")
ARITHMETIC = {  # of sizes
    *("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pos", "and_", "or_", "eq", "ne", "lt", "le", "gt", "ge"),
    "getitem",
}
SIZE_FUNCTIONS = {
    *(f"_operator.{name}" for name in ARITHMETIC),
    *(f"torch.sym_{name}" for name in ("max", "min", "float", "int", "not", "ite")),
    "math.trunc",
}
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
            return GUARD_TOKEN.sub("", text) == "" and "**" not in text
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
    """Whether that is an operator of torch's own that does not touch files."""
    match = OPERATOR.fullmatch(target)
    operator = match and getattr(getattr(torch.ops.aten, match[1], None), match[2], None)
    if not isinstance(operator, torch._ops.OpOverload):
        return False
    return all(argument.name != "filename" for argument in operator._schema.arguments)
