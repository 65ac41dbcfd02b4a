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
from bench_contenders import MINE, RESNET, TOLERANCE, build, contender, expected, pictures, resolution
from bench_floors import Work
from bench_turns import Entry
from torch import Tensor, nn
from torch._inductor.utils import fresh_cache

LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
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

    - `works`: what each column's network has to do, for the floor. `precision`, `training`: how.
    - `kind`: 'time'; 'once', when the first call is what is timed; 'memory', when a call gives a number of bytes.
    - `needs`: bytes that the contenders take together, roughly. `why_not`: why it is not measured.
    - `first`: a name for the row of the first calls, if that is one of its own.
    """

    group: str
    row: str
    entries: dict[Key, Callable[[], Entry]]
    threads: int
    works: dict[str, Work] = {}
    precision: str = "fp32"
    training: bool = False
    kind: str = "time"
    needs: float = 0
    why_not: str = ""
    first: str = ""

    @property
    def effort(self) -> int:
        """By which contests are put in order: those that take long come last."""
        return len(self.entries) * (3 if self.training else 1) * max((work.macs for work in self.works.values()), default=0)


def side(column: str, variant: str) -> int:
    return 224 if column == RESNET else resolution(variant)


def works(asked: Asked, variant: str, batch: int) -> dict[str, Work]:
    return {column: Work.of(column, variant, batch, side(column, variant)) for column in asked.contenders}


def scenes(asked: Asked) -> Iterator[tuple[str, int, str]]:
    """(variant, batch, name of the row), smaller ones first."""
    for variant in asked.variants:
        for batch in asked.batches:
            yield variant, batch, f"{variant}, {batch}x{side(MINE, variant)}²"


def each(asked: Asked, prepare: Callable[..., Any], *arguments: Any) -> dict[Key, Callable[[], Entry]]:
    """`prepare(column, *arguments)` for each column, to be called when it is its time."""
    return {("", column): partial(prepare, column, *arguments) for column in asked.contenders}


def builds(asked: Asked) -> Iterator[Contest]:
    def one(column: str, variant: str) -> Entry:
        return Entry(lambda: build(column, variant, side(column, variant)))

    for variant in asked.variants:
        yield Contest("build", variant, each(asked, one, variant), asked.threads)


def overheads(asked: Asked) -> Iterator[Contest]:
    for layout in LAYOUTS:
        entries = each(asked, inferring, "b0", 1, layout, asked.device, 32)
        yield Contest("overhead", f"b0, 1x32², {layout}", entries, 1)


def eagers(asked: Asked) -> Iterator[Contest]:
    for variant, batch, name in scenes(asked):
        work = works(asked, variant, batch)
        for layout in LAYOUTS:
            entries = each(asked, inferring, variant, batch, layout, asked.device)
            yield Contest("eager", f"{name}, {layout}", entries, asked.threads, work, needs=inference_bytes(work))


def compileds(asked: Asked) -> Iterator[Contest]:
    for variant, batch, name in scenes(asked):
        work = works(asked, variant, batch)
        for precision in "fp32", "bf16":
            entries = each(asked, compiling, variant, batch, asked.device, precision)
            yield Contest(
                "compiled", f"{name}, {precision}", entries, asked.threads, work, precision, needs=inference_bytes(work),
                first=f"{name}, {precision}, compiling",
            )  # fmt: skip
        why_not = "" if asked.device == "cuda" else "needs --device cuda"
        entries = each(asked, graphed, variant, batch)
        yield Contest("compiled", f"{name}, CUDA graphs", entries, asked.threads, work, why_not=why_not)


def deployments(asked: Asked) -> Iterator[Contest]:
    why_not = "" if asked.device == "cpu" else "is for the CPU"
    for precision, engines in deployed.OFFERED.items():
        for variant, batch, name in scenes(asked):
            work = works(asked, variant, batch)
            entries: dict[Key, Any] = {
                (engine, column): partial(
                    deployed.entry, asked.exports, column, variant, engine, precision, batch, asked.threads
                )
                for engine in engines
                for column in asked.contenders
            }
            needs = 2 * len(engines) * inference_bytes(work)
            yield Contest(f"deployed {precision}", name, entries, asked.threads, work, precision, needs=needs, why_not=why_not)


def trainings(asked: Asked) -> Iterator[Contest]:
    for variant, batch, name in scenes(asked):
        work = works(asked, variant, batch)
        for row, layout, precision in (
            *((layout, layout, "fp32") for layout in LAYOUTS),
            ("AMP bf16", "channels_last", "bf16"),
        ):
            yield Contest(
                "training", f"{name}, {row}", each(asked, stepping, variant, batch, layout, asked.device, precision),
                asked.threads, work, precision, training=True, needs=training_bytes(work),
            )  # fmt: skip


def memories(asked: Asked) -> Iterator[Contest]:
    def one(column: str, prepare: Any, *arguments: Any) -> Entry:
        return Entry(lambda: memory.peak(asked.threads, prepare, column, *arguments))

    for variant, batch, name in scenes(asked):
        work = works(asked, variant, batch)
        for what, prepare, needs in ("inference", inferring, inference_bytes), ("training", stepping, training_bytes):
            entries = each(asked, one, prepare, variant, batch, "channels_last", asked.device)
            yield Contest("memory", f"{name}, {what}", entries, asked.threads, work, kind="memory", needs=needs(work))


def exports(asked: Asked) -> Iterator[Contest]:
    def one(column: str, variant: str, engine: str) -> Entry:
        deployed.warm_up()
        return Entry(lambda: asked.exports.path(column, variant, engine))

    for variant in asked.variants:
        for engine in deployed.ENGINES:
            yield Contest("export", f"{variant}, {engine}", each(asked, one, variant, engine), asked.threads, kind="once")


GROUPS = {
    "build": builds,
    "overhead": overheads,
    "eager": eagers,
    "export": exports,
    "deployed": deployments,
    "training": trainings,
    "memory": memories,
    "compiled": compileds,
}


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


def inference_bytes(works: dict[str, Work]) -> float:
    """What the contenders hold, and one of them on its way through the largest of its layers."""
    return 4 * (sum(2 * work.weights for work in works.values()) + max(4 * work.largest for work in works.values()))


def training_bytes(works: dict[str, Work]) -> float:
    """Weights, gradients and the optimizer's two of all, and one's activations: conv, batch norm and SiLU keep one each."""
    return 4 * (sum(5 * work.weights for work in works.values()) + max(3 * work.outputs for work in works.values()))
