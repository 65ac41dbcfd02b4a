"""WarmModule: an `nn.Module` whose forward makes its layers once, and finds them again at every call."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from . import pywarm
from .calls import Call, thread
from .layers import Layered
from .location import located
from .messages import nothing_returned, refuse_fx
from .stand_ins import calls_are_plain


class WarmModule(Layered):
    """An `nn.Module` whose layers are made by its own forward in one dry run, `warm.up`, and are fixed from then on.

    `forward` is written with `W.*` layers and `@block` functions. After `warm.up(model, [2, 3, 32, 32])`, inside or outside
    of `__init__`, it is a plain tree of modules.

    >>> import warmnet, warmnet.functional as W
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         x = W.conv(x, 8, 3, padding='same', activation='relu')
    ...         return W.linear(x.mean((2, 3)), 10)
    >>> net = warmnet.up(Net(), [1, 3, 32, 32])
    >>> [name for name, _ in net.named_parameters()]
    ['conv_1.weight', 'conv_1.bias', 'linear_1.weight', 'linear_1.bias']
    """

    _pywarm_forward_pre_hook = None  # PyWarm's own warm.up asks for these two
    _pywarm_auto_name_dict: dict[str, int] = {}  # noqa: RUF012

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        entered: Any = _entering()
        cls._call_impl = entered  # type: ignore[method-assign]


def _entering() -> Any:
    """A call of a module as the one that this thread's layers belong to, each time with code of its own.

    It is the call and not the forward, which IPython's autoreload edits in place. torch.compile keeps eight graphs for each
    code object, so that classes must not share one.
    """

    def _call_impl(self: WarmModule, *args: Any, **kw: Any) -> Any:
        calls = thread.calls
        depth = len(calls)  # a stack: a variable that is set and set back, torch 2.11 would compile anew at each call
        try:
            if not self._sealed and thread.build is None:
                pywarm.first_call(self, args)
            calls.append(Call(self, {}, None, calls_are_plain()))
            y = nn.Module._call_impl(self, *args, **kw)
            if y is None and thread.build is not None:
                raise nothing_returned(f"{type(self).__name__}.forward", type(self).forward)
            return y
        except Exception as error:
            if depth or thread.build is not None or torch.compiler.is_compiling():
                raise
            refuse_fx(error)
            raise located(error)  # noqa: B904  it is the same error
        finally:
            del calls[depth:]

    entered: Any = _call_impl
    entered.__code__ = entered.__code__.replace()
    return entered
