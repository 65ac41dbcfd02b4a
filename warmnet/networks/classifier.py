"""What every network from images to classes carries beside its layers, so that weights, training and deployment can use it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any, ClassVar

import numpy as np
import torch
from torch import fx

from ..engine.calls import thread
from ..engine.frames import with_calling_line
from ..engine.messages import refuse_fx
from ..engine.module import WarmModule
from ..engine.pywarm import up
from ..kernels.rules import is_plain
from ..spelling import choose_one
from .settings import check_settings

STEM = "stem.conv.weight"  # what the first kernel of a classifier is called,
CLASSIFIER = "classifier.weight", "classifier.bias"  # and the tensors of its last layer, which other classes make anew
PRETRAINED = "pretrained", "weights"  # what other libraries' networks are given for weights
LEAST = 32  # the side of the sample that a classifier is built with


class Classifier(WarmModule):
    """(B, in_channels, H, W) -> (B, num_classes): a network that says what is in an image.

    A subclass is made by `Net(variant, num_classes, in_channels, *, device=None, seed=None, **options)`, the call by which
    weights and training make it. Its `__init__` hands all of them but device and seed to this one, and ends with
    `self.warm_up(device, seed)`. Its first convolution is `stem.conv`, its last layer `classifier`.

    The recipes for small data set its option `momentum`, of batch normalization.

    - `variant`: which of the family it is; a name, or what it stands for. `options`: its settings that were given, or
      are no defaults.
    - `num_classes`: 0 for no classifier: the output is the pooled features.
    - `resolution`: the side, in pixels, of the images that it is made for. `reduction`: its total stride, the least side.
    - `classes`: the names of the outputs. `preprocessing`: from an image to the input. `metadata`: anything else to know of the
      weights, such as an accuracy, that JSON can hold. All three travel with the weights.

    >>> import warmnet, warmnet.functional as W
    >>> class Net(warmnet.Classifier):
    ...     def __init__(self, variant='small', num_classes=10, in_channels=3, *, width=8, device=None, seed=None):
    ...         super().__init__(variant, num_classes, in_channels, resolution=64, reduction=4, width=width)
    ...         self.warm_up(device, seed)
    ...
    ...     def forward(self, x):
    ...         x = warmnet.conv_bn_act(x, self.options.get('width', 8), 3, 4, name='stem')
    ...         return W.linear(x.mean((2, 3)), self.num_classes, name='classifier')
    >>> warmnet.tabulate(Net(width=16)).parameters
    634
    """

    variants: ClassVar[Mapping[str, Any]] = {}  # names, and the variants that they stand for
    from_pretrained: ClassVar[Callable[..., Any]]  # these three are warmnet.weights', .deployment's and .summary's
    predict: Callable[..., Any]
    _repr_html_: Callable[[], str]
    name_prefix: ClassVar[str] = ""  # of its checkpoints' names, which from_pretrained lets be left out: 'resnet'
    _given: set[str]

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        if "__init__" in vars(cls):
            cls.__init__ = _noting_keywords(cls.__init__)  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **kw: Any) -> Classifier:
        """A new one, if its class can be made with these keywords."""
        parameters = signature(cls.__init__).parameters
        if not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            for name in kw.keys() - parameters.keys():
                if name in PRETRAINED:
                    raise TypeError(with_calling_line(_pretrained_message(cls, name, args, kw)))
                options = [key for key in parameters if key != "self"]
                message = f"Unknown option {name!r}. {choose_one(name, options)}."
                raise TypeError(with_calling_line(message))
        self = super().__new__(cls)
        vars(self)["_given"] = set()
        return self

    def __init__(
        self, variant: Any, num_classes: int, in_channels: int = 3, *, resolution: int, reduction: int = 1, **options: Any
    ):
        super().__init__()
        check_settings(num_classes=num_classes, in_channels=in_channels, resolution=resolution)
        self.variant, self.num_classes, self.in_channels = variant, num_classes, in_channels
        self.resolution, self.reduction = resolution, reduction
        self._defaults = options
        left_out = _at_default(type(self), options) - self._given
        self.options = {name: value for name, value in options.items() if name not in left_out}
        self.classes: tuple[str, ...] = ()
        self.preprocessing: Any = None
        self.metadata: dict[str, Any] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """All options by which it computes: its own, else those of its variant, else the defaults of its class."""
        return {**self._defaults, **dict(getattr(self.variant, "options", ())), **self.options}

    @property
    def variant_name(self) -> str:
        """'b0', 'resnet50', ...; of a variant without a name, its numbers and the names of its functions."""
        names = [name for name, variant in self.variants.items() if variant == self.variant]
        return names[0] if names else re.sub(r"<function (\w+) at \w+>", r"\1", str(self.variant))

    def warm_up(self, device: Any = None, seed: int | None = None) -> None:
        """Make the layers, by a dry run on the smallest image."""
        side = max(LEAST, self.reduction)
        up(self, [1, self.in_channels, side, side], device=device, seed=seed)

    def check_images(self, x: torch.Tensor) -> None:
        """Raise what is wrong with `x` as a batch of float images (B, in_channels, H, W), H and W at least `reduction`."""
        channels = self.in_channels
        if isinstance(x, fx.Proxy):
            refuse_fx()
        if not isinstance(x, torch.Tensor):
            cure = " Convert an array with torch.from_numpy(x)." if isinstance(x, np.ndarray) else ""
            raise TypeError(f"Images are a tensor (B, {channels}, H, W), not a {type(x).__name__}.{cure}")
        if x.ndim != 4 or x.shape[1] != channels:
            cure = "For one image, image[None] adds the B."
            if x.ndim == 4 and x.shape[3] == channels:
                cure = "The channels come last: x.movedim(-1, 1) brings them to their place."
            raise ValueError(f"Images are (B, {channels}, H, W), not {tuple(x.shape)}. {cure}")
        if not x.is_floating_point():
            raise TypeError(f"Images are floating point, not {x.dtype}. Convert with x.float() / 255 and normalize.")
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return
        if min(x.shape[2:]) < self.reduction:
            smaller = ", or build the network with stem_stride=1" if "stem_stride" in signature(type(self)).parameters else ""
            raise ValueError(
                f"Images of {x.shape[2]}x{x.shape[3]} are smaller than the network's total stride, {self.reduction}. Enlarge "
                f"them{smaller}."
            )
        is_followed = any(module._forward_hooks for module, *_ in thread.calls)  # as by those who count operations
        if x.device.type == "cpu" and is_plain(x) and not is_followed:
            if not math.isfinite(x.sum().item()) and not x.isfinite().all():  # a sum of finite numbers may overflow
                raise ValueError(f"Images hold {int((~x.isfinite()).sum())} numbers that are NaN or infinite. Clean the data.")


def _pretrained_message(cls: type[Classifier], name: str, args: tuple[Any, ...], kw: dict[str, Any]) -> str:
    """How one gets pretrained weights, for somebody who asks for them as elsewhere."""
    parameter = signature(cls.__init__).parameters.get("variant")
    variant = args[0] if args else kw.get("variant", parameter and parameter.default)
    named = (each for each, known in cls.variants.items() if variant in (each, known, each.removeprefix(cls.name_prefix)))
    call = f"{cls.__name__}.from_pretrained({next(named, str(variant))!r})"
    return (
        f"{name}={kw[name]!r} is no option here: {cls.__name__}(...) starts from random weights, and {call} from trained "
        f"ones. warmnet.pretrained() lists their names."
    )


def _noting_keywords(init: Callable[..., None]) -> Callable[..., None]:
    """An `__init__` that keeps, for `options`, which keywords it is given: by a call, or by the `__init__` of a subclass."""

    @wraps(init)
    def __init__(self: Classifier, *args: Any, **kw: Any) -> None:
        self._given.update(kw)
        init(self, *args, **kw)

    return __init__


def _at_default(kind: type, options: dict[str, Any]) -> set[str]:
    """The options that have the default of every `__init__`, of a class and of those above it, that takes them."""
    found: dict[str, list[bool]] = {}
    for each in kind.__mro__[:-1]:
        if "__init__" in vars(each):
            for name, parameter in signature(vars(each)["__init__"]).parameters.items():
                if name in options:
                    found.setdefault(name, []).append(_is(options[name], parameter.default))
    return {name for name, are in found.items() if all(are)}


def _is(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, (bool, int, float, str, tuple)) and value == default)
