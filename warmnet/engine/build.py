"""The dry run: one call of a forward on a sample input that makes all layers, their values by the seed and the path alone."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from .. import checks
from ..errors import NotWarmError, WarmError
from . import messages
from .calls import thread
from .draws import OwnDraws
from .layers import Layered
from .location import located
from .messages import join
from .samples import check_inputs, make_sample, sample_form

Model = TypeVar("Model", bound=nn.Module)


def up(model: Model, *data: Any, device: Any = None, seed: int | None = None) -> Model:
    """`model` with all its layers, made by one dry run of its forward on a sample input. This is also `warm.up`.

    The dry run is in eval mode without gradients and leaves no trace: statistics are fresh, and nothing is drawn from torch's
    own random generators. Initial values depend on the seed and each layer's path alone, not on the sample, the device or
    other layers. A forward that raises leaves the model as it was.

    - `data`: each input of `forward`: a tensor or array, its shape as a list of int, or a list or dict of these.
    - `device`: where the layers go, `'meta'` included. Default: torch's default device.
    - `seed`: default: the seed of torch's generator, the one `torch.manual_seed` was last called with; for a network that is
      built as a layer of another, one that the other's seed and the layer's path decide.

    >>> import warmnet, warmnet.functional as W
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return W.linear(x, 10)
    >>> warmnet.up(Net(), [1, 3], seed=0)
    Net(
      (linear_1): Linear(in_features=3, out_features=10, bias=True)
    )
    """
    if seed is None:
        seed = torch.initial_seed() if thread.build is None else thread.build.seed_of_layer()
    Build(model, device, seed).run(data)
    return model


def adopt(model: Model, *data: Any) -> Model:
    """`model`, a built network whose layers were given other numbers of channels, as by pruning, taken as it now is.

    One dry run asks for its layers with the sizes that they now have. From then on it is called, trained, copied and saved as
    before. If anything else differs from the build, or is not reached any more, that is an error, and the model stays as it
    was. Raises NotWarmError for a model that was not built.

    - `data`: a sample of each input, as for `up`. Default: one like that of the build.

    >>> import torch, warmnet, warmnet.functional as W
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return W.linear(W.linear(x, 8, activation='relu'), 10)
    >>> net = warmnet.up(Net(), [1, 3])
    >>> net.linear_1, net.linear_2 = torch.nn.Linear(3, 6), torch.nn.Linear(6, 10)  # two channels pruned
    >>> warmnet.adopt(net)(torch.rand(1, 3)).shape
    torch.Size([1, 10])
    """
    if not getattr(model, "_sealed", False):
        raise NotWarmError(f"{type(model).__name__} is no built WarmModule. Build it first: warmnet.up(model, [1, 3, 32, 32]).")
    Build(model, None, 0, adopting=True).run(data or model._sample)
    vars(model)["_is_adopted"] = True
    return model


@contextmanager
def starting_from(values: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """The next network built within it takes these tensors, by path, as they are instead of initial values, if they fit."""
    was, thread.values = thread.values, values
    try:
        yield
    finally:
        thread.values = was


class Build:
    """One dry run: the target device, the seed, the modules to seal after it, and what to take back if it fails."""

    path = ""  # of the layer that is being made
    values: Mapping[str, torch.Tensor]  # what layers start from

    def __init__(self, root: nn.Module, device: Any, seed: int, adopting: bool = False):
        self.modes = {module: module.training for module in root.modules()}
        layered = {path: module for path, module in root.named_modules() if isinstance(module, Layered)}
        if device is None:  # a built model stays where it is
            sealed = all(module._sealed for module in layered.values())
            device = next((p.device for p in root.parameters() if sealed), torch.get_default_device())
        self.root, self.seed, self.draws = root, seed, OwnDraws(seed)
        self.values, thread.values = thread.values, {}  # which are this network's, and of none that is built in it
        self.takes_parameters = torch.device(device).type != "meta" and _new_parameters_are_on_meta()
        self.device = torch.device("meta" if self.takes_parameters else device)
        self.birthplace = torch.device(
            "meta" if torch.device(device).type == "meta" else "cpu"
        )  # values do not depend on the device
        self.unsealed = [*layered.values()]
        self.outputs: list[str] = []  # of blocks so far, in words
        self.operations: list[int] = []  # how many there were until each of these
        self.added: list[tuple[Layered, str]] = []
        self.sizes: list[tuple[Any, int]] = []  # that layers had before
        self.buffers: list[tuple[nn.Module, str, torch.Tensor]] = []  # to be given back after the dry run
        self.adopted = {module: module._built for module in self.unsealed if adopting}
        homes: Any = [tensors for module in self.modes for tensors in (module._parameters, module._buffers)]
        self.tensors = [(home, key, x, x.data) for home in homes for key, x in home.items() if x is not None]
        for path, module in layered.items():
            module._path = path
            if adopting:
                module._built = {}

    def run(self, data: Any) -> None:
        """Call the model once and seal it, or raise what is wrong with it, which stays as it was."""
        was = thread.calls, thread.build, thread.observer
        with torch.inference_mode(False), torch.no_grad(), self.draws:
            try:
                _check_attributes(self.unsealed)
                sample = [make_sample(each, self.device) for each in data]
                check_inputs(self.root, sample)
                if self.adopted:
                    kind = next((p.dtype for p in self.root.parameters() if p.is_floating_point()), torch.float32)
                    sample = tree_map(lambda x: x.to(kind) if x.is_floating_point() else x, sample)
                height = next((x.shape[2] for x in tree_leaves(sample) if isinstance(x, torch.Tensor) and x.ndim > 2), None)
                thread.calls, thread.build, thread.observer = [], self, functools.partial(self.measure, height)
                network, self.draws.operations = self._started(), 0
                y = network(*sample)
                if isinstance(self.root, Layered):
                    self.measure(height, self.root, y)
                self._check()
                root: Any = self.root
                root._sample, root._operations = tree_map(sample_form, sample), self.operations
            except Exception as error:
                self._undo()
                raise located(error, self.outputs)  # noqa: B904  it is the same error
            except BaseException:
                self._undo()
                raise
            finally:
                thread.calls, thread.build, thread.observer = was
                self._end()

    def _started(self) -> nn.Module:
        """The model on the target device, in eval mode; its own train() may ask for layers that are not there yet."""
        for module in self.modes:
            module.training = False
        return self.root.to(self.device)

    def make_child(self, parent: Layered, name: str, make: Callable[..., nn.Module], *args: Any) -> None:
        """Give the module a child from `make(*args)`, unless it is adopted with one; and note how large it is."""
        if name not in parent._modules:
            operations = self.draws.operations
            parent.add_module(name, self.new_layer(parent, name, make, *args))
            self.draws.operations = operations  # of the forward alone
        child: Any = parent._modules[name]
        size = getattr(child, "out_channels", getattr(child, "out_features", None))
        if isinstance(size, int):
            self.sizes.append((child, getattr(child, "_size", size)))
            child._size = size

    def make_parameter(
        self, parent: Layered, name: str, shape: tuple[int, ...], initialize: Callable[[torch.Tensor], None]
    ) -> None:
        """Give the module a parameter, filled by `initialize` or from a value that is given; unless it is adopted with one."""
        if name in parent._parameters:
            return
        operations = self.draws.operations
        self.path = join(parent._path, name)
        self.restart_draws()
        x = torch.zeros(tuple(checks.whole("shape", side) for side in shape), device=self.birthplace)
        value = self.given(self.path, x)
        if value is None:
            initialize(x)
        else:
            x = value.to(x.device, x.dtype)
        self.added.append((parent, name))
        parent.register_parameter(name, nn.Parameter(x.to(self.device)))
        self.draws.operations = operations  # of the forward alone

    def new_layer(self, parent: Layered, name: str, make: Callable[..., nn.Module], *args: Any, **kw: Any) -> nn.Module:
        """`make(*args, **kw)`, its random numbers decided by the seed and its path."""
        self.path = join(parent._path, name)
        self.restart_draws()
        with self.birthplace if torch.get_default_device() != self.birthplace else nullcontext():
            child = make(*args, **kw)
        if self.values:
            for key, x in itertools.chain(child.named_parameters(), child.named_buffers()):
                value = self.given(f"{self.path}.{key}", x)
                if value is not None:
                    x.data = value.to(x.device, x.dtype)
        return child

    def restart_draws(self, skip: bool = False) -> None:
        """Begin anew with the random numbers of the layer that is being made; or `skip` all that would be drawn."""
        self.draws.restart(self.seed_of_layer(), skip)

    def seed_of_layer(self) -> int:
        """The seed of the layer that is being made, which the network's seed and its path decide."""
        digest = hashlib.blake2b(f"{self.seed}/{self.path}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    def given(self, path: str, x: torch.Tensor) -> torch.Tensor | None:
        """The value that this tensor starts from instead of one of its own, if one is given that fits."""
        value = self.values.get(path)
        return value if value is not None and value.shape == x.shape else None

    def is_given(self, key: str, x: torch.Tensor) -> bool:
        """Whether this tensor of the layer that is being made starts from a value that is given."""
        return self.given(f"{self.path}.{key}", x) is not None

    def take_in(self, parent: Layered, name: str, module: nn.Module) -> None:
        """Take in a new child: on the target device, in the mode of the dry run."""
        self.added.append((parent, name))
        module.train(False)
        if self.takes_parameters:
            self.buffers += [(m, key, x) for m in module.modules() for key, x in m._buffers.items() if x is not None]
        if self.device != self.birthplace:
            module.to(self.device)
        for path, inner in module.named_modules(prefix=join(parent._path, name)):
            if isinstance(inner, Layered):
                inner._path = path
                self.unsealed.append(inner)

    def measure(self, height: int | None, module: nn.Module, y: Any) -> None:
        """Note what `Endpoints` says of a module beforehand: its channels, and the stride that led there."""
        if isinstance(module, Layered) and isinstance(y, torch.Tensor):
            self.outputs.append(f"{module._path} {tuple(y.shape)}")
            self.operations.append(self.draws.operations)
            module._channels = y.shape[1] if y.ndim > 1 else None
            module._stride = height // y.shape[2] if height and y.ndim > 2 and height % y.shape[2] == 0 else None

    def _check(self) -> None:
        """Seal the modules; but first, when adopting, see that the forward still reaches all of them."""
        for module, built in self.adopted.items():
            if lost := [join(module._path, name) for name in built if name not in module._built]:
                raise messages.other_path(f"The forward does not call {', '.join(lost)} any more.")
        known: Any = self.root._operations if self.adopted else self.operations
        for before, after, output in zip(known, self.operations, self.outputs):
            if before != after:
                raise messages.other_path(
                    f"The forward does {after} operations until the output of {output}, and did {before} when it was built."
                )
        for module in self.unsealed:
            module._sealed = True

    def _undo(self) -> None:
        for parent, name in self.added:
            parent._modules.pop(name, None)
            parent._parameters.pop(name, None)
            parent._built.pop(name, None)
        self.added.clear()
        for home, key, x, data in self.tensors:
            x.data, home[key] = data, x
        for module, built in self.adopted.items():
            module._built = built
        for child, size in self.sizes:
            child._size = size

    def _end(self) -> None:
        for module, key, x in self.buffers:
            module._buffers[key] = x
        for module, mode in self.modes.items():
            module.training = mode
        for parent, name in self.added:
            child = parent._modules.get(name)
            if child is not None:
                child.train(parent.training)


def _new_parameters_are_on_meta() -> bool:
    """Whether somebody sends all new parameters to 'meta', as accelerate's `init_empty_weights` does."""
    probe = nn.Module()
    probe.register_parameter("weight", nn.Parameter(torch.empty(0, device="cpu")))
    return probe.weight.is_meta  # type: ignore[return-value]


def _check_attributes(modules: list[Layered]) -> None:
    """Refuse layers that are in a plain list alone, where torch does not see them."""
    seen = {id(each) for module in modules for each in module.modules()}
    for module in modules:
        for name, value in vars(module).items():
            if not isinstance(value, list):
                continue
            unseen = [each for each in value if isinstance(each, nn.Module) and id(each) not in seen]
            if any([*each.parameters()] for each in unseen):
                raise WarmError(
                    f"{type(module).__name__}.{name} is a list of {len(value)} modules, which torch does not look into: they "
                    f"would be neither moved nor trained nor saved. Make it nn.ModuleList([...]); or, if they are meant to be "
                    f"no part of the network, a tuple."
                )
