"""A model frozen for use: one graph in eval mode, pixels normalized inside, batch norms folded into convolutions."""

from __future__ import annotations

import functools
from operator import attrgetter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ..data.preprocessing import Preprocessing
from ..engine.copies import copied, settle_weights
from ..functional import SameConv1d, SameConv2d, SameConv3d
from .errors import DeployError

aten = torch.ops.aten
CONVOLUTIONS = "aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default", "warmnet.conv_same.default"


class Entrance(nn.Module):
    """Pixels (B, H, W, 3) of 0..255 normalized, or images (B, C, H, W) as they are, into a network: its logits in float32."""

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing | None, layout: torch.memory_format, dtype: torch.dtype
    ):
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.network, self.layout, self.dtype, self.takes_pixels = network, layout, dtype, preprocessing is not None
        if preprocessing is not None:
            mean, std = (
                255 * torch.tensor(values).double().view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std)
            )
            self.register_buffer("mean", mean.float())
            self.register_buffer("scale", (1 / std).float())

    def forward(self, pixels: Tensor) -> Tensor:
        if self.takes_pixels:  # channels first, then the arithmetic: engines are slow at broadcasting along the last dimension
            x = pixels.permute(0, 3, 1, 2).contiguous(memory_format=self.layout)
            x = (x.float() - self.mean) * self.scale
        else:
            x = pixels.contiguous(memory_format=self.layout)
        logits = self.network(x.to(self.dtype))
        if not isinstance(logits, Tensor):
            raise DeployError(f"A deployed network gives one tensor; this one gives a {type(logits).__name__}. Wrap it.")
        return logits.float()


def freeze(
    model: nn.Module, preprocessing: Preprocessing | None, size: tuple[int, int, int], dynamic_size: bool = False,
    to_onnx: bool = False, precision: str = "fp32",
) -> torch.export.ExportedProgram:  # fmt: skip
    """`model`, which stays as it is, as a program: (B, H, W, 3) uint8 -> logits, or (B, C, H, W) without preprocessing.

    The batch is free, and with `dynamic_size` height and width. `size` is (C, H, W). In precision 'bf16' all but the pixels
    and the logits are bfloat16.

    - `to_onnx`: for ONNX, which has SAME padding; else for torch, which has other memory formats.
    """
    model = settle_weights(copied(model).eval().cpu().float())
    if to_onnx and dynamic_size:
        _keep_same(model)
    with torch.inference_mode(False), torch.no_grad():
        graph: Any = _exported(model, torch.rand(2, *size), (2, 3) if dynamic_size else ()).module()
        _fold_batch_norms(graph)
        if not to_onnx:
            _pad_the_kernel(graph)
            for weight in (p for p in graph.parameters() if p.ndim == 4):
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        graph.graph.eliminate_dead_code()
        graph.delete_all_unused_submodules()
        graph.recompile()
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        layout = torch.contiguous_format if to_onnx else torch.channels_last
        entrance = Entrance(graph.to(dtype), preprocessing, layout, dtype)
        if preprocessing is None:
            return _exported(entrance, torch.rand(2, *size), (2, 3) if dynamic_size else ())
        channels, height, width = size
        pixels = torch.zeros(2, height, width, channels, dtype=torch.uint8)
        return _exported(entrance, pixels, (1, 2) if dynamic_size else ())


def _exported(model: nn.Module, x: Tensor, sides: tuple[int, ...]) -> torch.export.ExportedProgram:
    """`model` as a program whose batch and `sides`, axes of `x`, are free."""
    from torch.utils._sympy.numbers import int_oo  # with sympy, which takes 0.3 s

    program = torch.export.export(model, (x,), dynamic_shapes=(dict.fromkeys((0, *sides), torch.export.Dim.AUTO),))
    given = next(node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs)
    batch = given.meta["val"].shape[0]
    held = program.range_constraints.get(batch.node.expr) if isinstance(batch, torch.SymInt) else None
    if held is None or (held.lower, held.upper) != (2, int_oo):
        fitting = f"{held.lower} to {held.upper}" if held else batch
        raise DeployError(
            f"A deployed network takes any number of images at once, and this {type(model).__name__} does not do the same with "
            f"all: followed with 2, it is known for {fitting}. Take what depends on x.shape[0] out of its forward."
        )
    return program


def _fold_batch_norms(graph: Any) -> None:
    """Put each batch norm that alone sees a convolution's output into the convolution's weight and bias, exactly."""
    for norm in _calls(graph, aten.batch_norm.default):
        conv, gamma, beta, mean, var, training, _, eps, _ = norm.args
        if str(conv.target) not in CONVOLUTIONS or len(conv.users) > 1 or training:
            continue
        weight, bias = conv.args[1], conv.args[2] if len(conv.args) > 2 else None
        if any(node is not None and node.op != "get_attr" for node in (weight, bias, gamma, beta, mean, var)):
            continue
        tensors: Any = [node and attrgetter(node.target)(graph).double() for node in (weight, bias, gamma, beta, mean, var)]
        w, b, gamma, beta, mean, var = tensors
        scale = (var + eps).rsqrt() * (1 if gamma is None else gamma)
        shift = (0 if b is None else b) - mean
        weight = _constant(graph, conv, f"{norm.name}_weight", w * scale.view(-1, *[1] * (w.ndim - 1)))
        bias = _constant(graph, conv, f"{norm.name}_bias", shift * scale + (0 if beta is None else beta))
        conv.args = conv.args[0], weight, bias, *conv.args[3:]
        norm.replace_all_uses_with(conv)
        graph.graph.erase_node(norm)


def _pad_the_kernel(graph: Any) -> None:
    """Put the zeros that SAME padding adds on one side into depthwise kernels, so that no picture is copied to be padded."""
    for conv in _calls(graph, aten.conv2d.default):
        pad, weight, *more = conv.args
        if pad.target != aten.pad.default or len(pad.args) > 2 or weight.op != "get_attr" or len(more) < 5:
            continue
        bias, stride, padding, dilation, groups = more
        if groups == 1 or any(padding) or max(dilation) > 1 or not _more_at_the_end(pads := pad.args[1]):
            continue
        left, right, top, bottom = pads
        kernel = F.pad(attrgetter(weight.target)(graph), (right - left, 0, bottom - top, 0))
        weight = _constant(graph, conv, f"{conv.name}_widened", kernel)
        conv.args = pad.args[0], weight, bias, stride, [bottom, right], dilation, groups


def _more_at_the_end(pads: Any) -> bool:
    """Whether pads of both sides are known, and none before is larger than the one after."""
    known = len(pads) == 4 and all(isinstance(n, int) and n >= 0 for n in pads)
    return known and pads[0] <= pads[1] and pads[2] <= pads[3]


def _calls(graph: Any, target: Any) -> list[Any]:
    return list(graph.graph.find_nodes(op="call_function", target=target))


def _constant(graph: Any, before: fx.Node, name: str, value: Tensor) -> fx.Node:
    """A node that gives `value`, in float32."""
    graph.register_parameter(name, nn.Parameter(value.float(), requires_grad=False))
    with graph.graph.inserting_before(before):
        return graph.graph.get_attr(name)


def _keep_same(model: nn.Module) -> None:
    """Let SAME padding of free sizes be one node: torch would compute its pads with a hundred, and take minutes for it."""
    define_conv_same()
    for conv in model.modules():
        if isinstance(conv, (SameConv1d, SameConv2d, SameConv3d)):
            conv.forward = functools.partial(_conv_same, conv)  # type: ignore[method-assign]


def _conv_same(conv: Any, x: Tensor) -> Tensor:
    return torch.ops.warmnet.conv_same(x, conv.weight, conv.bias, conv.stride, conv.dilation, conv.groups)


@functools.cache
def define_conv_same() -> None:
    arguments = "Tensor x, Tensor weight, Tensor? bias, int[] stride, int[] dilation, int groups"
    torch.library.define("warmnet::conv_same", f"({arguments}) -> Tensor")

    @torch.library.register_fake("warmnet::conv_same")
    def shape(x: Tensor, weight: Tensor, bias: Any, stride: Any, dilation: Any, groups: int) -> Tensor:
        return x.new_empty(x.shape[0], weight.shape[0], *((n + s - 1) // s for n, s in zip(x.shape[2:], stride)))
