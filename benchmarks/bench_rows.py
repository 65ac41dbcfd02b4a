"""The rows: what is measured of each contender, as contests in which they take turns."""

import functools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import bench_deployed as deployed
import bench_memory as memory
import torch
import torch.nn.functional as F
from bench_contenders import TOLERANCE, build, contender, expected, pictures, resolution
from bench_floors import Work
from bench_turns import Entry
from torch import Tensor, nn
from torch._inductor.utils import fresh_cache

LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
PRECISIONS = "fp32", "bf16"
Key = tuple[str, str]
UNKNOWN = float("inf")  # the tolerance where precision is given up: the error is reported


class Asked(NamedTuple):
    """What the command line says."""

    variants: list[str]
    batches: list[int]
    contenders: list[str]
    threads: int
    device: str
    exports: deployed.Exports


class Contest(NamedTuple):
    """Contenders that take turns: by (line of the table, column) a function that gets one ready.

    - `what`: what is said of it beside group, variant and batch.
    - `work`: what the network has to do. `precision`, `training`: how, for the floor.
    - `kind`: 'time'; 'turns', which has no floor; 'once', when the first call is timed; 'memory', when a call gives bytes.
    - `needs`: bytes that the contenders take together, roughly. `why_not`: why it is not measured.
    - `compiles`: whether its first calls are rows of their own.
    """

    group: str
    variant: str
    batch: int
    what: str
    entries: dict[Key, Callable[[], Entry]]
    threads: int
    work: Work
    precision: str = "fp32"
    training: bool = False
    kind: str = "time"
    needs: float = 0
    why_not: str = ""
    compiles: bool = False

    @property
    def name(self) -> str:
        return f"{self.group}: {', '.join(filter(None, (self.variant, self.what)))}"

    @property
    def effort(self) -> int:
        """By which contests are put in order: those that take long come last."""
        return len(self.entries) * (3 if self.training else 1) * self.work.macs


class Scene(NamedTuple):
    """A network and a batch of images at its resolution."""

    variant: str
    batch: int
    size: str
    work: Work


def scenes(asked: Asked, batches: list[int] | None = None) -> Iterator[Scene]:
    for variant in asked.variants:
        for batch in batches or asked.batches:
            yield Scene(variant, batch, f"{batch}x{resolution(variant)}²", Work.of(variant, batch))


def contest(
    asked: Asked, scene: Scene, group: str, what: str, prepare: Callable[..., Any], *arguments: Any, **more: Any
) -> Contest:
    """Of all columns, each by `prepare(column, *arguments)`, called when it is its time."""
    entries = {("", column): partial(prepare, column, *arguments) for column in asked.contenders}
    return Contest(group, scene.variant, scene.batch, what, entries, **{"threads": asked.threads, "work": scene.work} | more)


def builds(asked: Asked) -> Iterator[Contest]:
    def one(column: str, variant: str) -> Entry:
        return Entry(partial(build, column, variant, 224))

    for scene in scenes(asked, [1]):
        yield contest(asked, scene, "build", "", one, scene.variant, kind="turns")


def overheads(asked: Asked) -> Iterator[Contest]:
    for scene in scenes(asked, [1]):
        for layout in LAYOUTS:
            arguments = inferring, scene.variant, 1, layout, asked.device, 32
            yield contest(asked, scene, "overhead", f"1x32², {layout}", *arguments, threads=1, kind="turns")


def eagers(asked: Asked) -> Iterator[Contest]:
    for scene in scenes(asked):
        for layout in LAYOUTS:
            arguments = inferring, scene.variant, scene.batch, layout, asked.device
            yield contest(asked, scene, "eager", f"{scene.size}, {layout}", *arguments, needs=inference_bytes(asked, scene))


def compileds(asked: Asked) -> Iterator[Contest]:
    why_not = "" if asked.device == "cuda" else "needs --device cuda"
    for scene in scenes(asked):
        for precision in PRECISIONS:
            arguments = compiling, scene.variant, scene.batch, asked.device, precision
            needs = inference_bytes(asked, scene)
            more = {"precision": precision, "needs": needs, "compiles": True}
            yield contest(asked, scene, "compiled", f"{scene.size}, {precision}", *arguments, **more)
        graphs = f"{scene.size}, CUDA graphs"
        yield contest(asked, scene, "compiled", graphs, graphed, scene.variant, scene.batch, why_not=why_not)


def exports(asked: Asked) -> Iterator[Contest]:
    def one(column: str, variant: str, engine: str) -> Entry:
        deployed.warm_up()
        return Entry(partial(asked.exports.path, column, variant, engine, again=True))

    for scene in scenes(asked, [1]):
        for engine in deployed.ENGINES:
            yield contest(asked, scene, "export", engine, one, scene.variant, engine, kind="once")


def loads(asked: Asked) -> Iterator[Contest]:
    for scene in scenes(asked, [1]):
        for engine in deployed.ENGINES:
            arguments = deployed.loading, asked.exports, scene.variant, engine, asked.threads
            yield contest(asked, scene, "load", engine, *arguments, kind="turns")


def deployments(asked: Asked) -> Iterator[Contest]:
    why_not = "" if asked.device == "cpu" else "is for the CPU"
    for precision, engines in deployed.OFFERED.items():
        for variant, batch, size, work in scenes(asked):
            entries: dict[Key, Any] = {
                (engine, column): partial(
                    deployed.entry, asked.exports, column, variant, engine, precision, batch, asked.threads
                )
                for engine in engines
                for column in asked.contenders
            }
            needs = 2 * len(engines) * inference_bytes(asked, Scene(variant, batch, size, work))
            yield Contest(
                f"deployed {precision}",
                variant,
                batch,
                size,
                entries,
                asked.threads,
                work,
                precision,
                needs=needs,
                why_not=why_not,
            )


def trainings(asked: Asked) -> Iterator[Contest]:
    for scene in scenes(asked):
        for precision in PRECISIONS:
            arguments = stepping, scene.variant, scene.batch, "channels_last", asked.device, precision
            more = {"precision": precision, "training": True, "needs": training_bytes(asked, scene)}
            yield contest(asked, scene, f"training {precision}", scene.size, *arguments, **more)


def memories(asked: Asked) -> Iterator[Contest]:
    def one(column: str, prepare: Any, *arguments: Any) -> Entry:
        return Entry(lambda: memory.peak(asked.threads, prepare, column, *arguments))

    for scene in scenes(asked):
        for what, prepare, needs in ("inference", inferring, inference_bytes), ("training", stepping, training_bytes):
            arguments = one, prepare, scene.variant, scene.batch, "channels_last", asked.device
            yield contest(
                asked, scene, "memory", f"{scene.size}, {what}", *arguments, kind="memory", needs=needs(asked, scene),
                training=what == "training",
            )  # fmt: skip


GROUPS = {
    "build": builds,
    "overhead": overheads,
    "eager": eagers,
    "export": exports,
    "load": loads,
    "deployed": deployments,
    "training": trainings,
    "memory": memories,
    "compiled": compileds,
}


def contests(groups: list[str], asked: Asked) -> list[Contest]:
    """The contests of those groups, in their order."""
    return [contest for group in groups for contest in GROUPS[group](asked)]


def inferring(column: str, variant: str, batch: int, layout: str, device: str, size: int | None = None) -> Entry:
    """A forward in eval mode."""
    network, x, wanted = ready(column, variant, batch, layout, device, size)
    return Entry(torch.no_grad()(lambda: network(x)), wanted)


def compiling(column: str, variant: str, batch: int, device: str, precision: str) -> Entry:
    """The forward of `torch.compile`, with its default settings; its first call compiles."""
    network, x, wanted = ready(column, variant, batch, "channels_last", device)
    compiled = torch.compile(network)
    warm_compiler()

    @torch.no_grad()
    def call() -> Tensor:
        with torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext():
            return compiled(x)

    return Entry(call, wanted, TOLERANCE if precision == "fp32" else UNKNOWN, fresh_cache())


@functools.cache
def warm_compiler() -> None:
    """Have whatever the first compilation imports and builds be there."""
    with fresh_cache(), torch.no_grad():
        torch.compile(nn.Conv2d(3, 4, 3))(torch.zeros(1, 3, 8, 8))


def graphed(column: str, variant: str, batch: int) -> Entry:
    """A forward as a CUDA graph."""
    network, x, wanted = ready(column, variant, batch, "channels_last", "cuda")
    with torch.no_grad():
        replay = torch.cuda.make_graphed_callables(network, (x,))
    return Entry(torch.no_grad()(lambda: replay(x)), wanted)


def stepping(column: str, variant: str, batch: int, layout: str, device: str, precision: str = "fp32") -> Entry:
    """A training step: forward, cross-entropy, backward, AdamW; it gives the logits."""
    network, x, wanted = ready(column, variant, batch, layout, device, training=True)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    labels = torch.arange(batch, device=device)

    def step() -> Tensor:
        with torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext():
            logits = network(x)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        return logits.detach()

    return Entry(step, wanted, 10 * TOLERANCE if precision == "fp32" else UNKNOWN)  # statistics of a batch


def ready(
    column: str, variant: str, batch: int, layout: str, device: str, size: int | None = None, training: bool = False
) -> tuple[nn.Module, Tensor, Tensor]:
    """A network in its mode and memory layout, images, and what it must make of the first of them."""
    network, reference, size = contender(column, variant, size)
    x = pictures(batch, size)
    wanted = expected(reference, x, training)
    format: Any = {"memory_format": LAYOUTS[layout]}
    network = network.train(training).to(device)
    if column != "Keras":  # whose kernels are (H, W, C, N): it has a layout of its own
        network = network.to(**format)
    return network, x.to(device, **format), wanted


def inference_bytes(asked: Asked, scene: Scene) -> float:
    """What the contenders hold, and one of them on its way through the largest of its layers."""
    return 4 * (2 * len(asked.contenders) * scene.work.weights + 4 * scene.work.largest)


def training_bytes(asked: Asked, scene: Scene) -> float:
    """Weights, gradients and the optimizer's two of all, and one's activations: conv, batch norm and SiLU keep one each."""
    return 4 * (5 * len(asked.contenders) * scene.work.weights + 3 * scene.work.outputs)
