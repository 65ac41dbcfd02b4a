"""The command line. A command is a function; what a user can mend is one line on stderr, and the exit code says what kind.

0: done; 1: it failed, or an image did; 2: it was asked for something that cannot be; 130: Ctrl-C; 143: SIGTERM.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import re
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from ..authoring import model_files as model_file
from ..authoring import notebooks as workbench
from ..errors import InputError, MissingExtra
from ..networks.efficientnet import VARIANTS, WarmEfficientNet
from ..version import __version__
from ..weights import LIBRARIES, LINEAGES
from ..weights.identification import origin
from ..weights.reading import read

TOP = 5  # classes in a row of the table of predictions


class Terminated(BaseException):
    """SIGTERM arrived; like a KeyboardInterrupt, so that what is under way can end well."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    asked = _asked([str(word) for word in (sys.argv[1:] if arguments is None else arguments)])
    if "command" not in asked:
        asked.parser.print_help()
        return 0
    before = signal.signal(signal.SIGTERM, _terminate)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a file's name may hold anything
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: _say(message)  # type: ignore[assignment]
            code = _run(asked)
        sys.stdout.flush()
        return code
    except (InputError, MissingExtra) as error:
        return _say(error, 2)
    except BrokenPipeError:  # of `warmnet ... | head`; what Python would still flush goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _say(f"{error.filename}: {error.strerror}." if error.filename else error.strerror or error, 1)
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        return _say("out of memory. A smaller --batch-size or --resolution takes less.", 1)
    except KeyboardInterrupt:
        return _say("stopped by Ctrl-C.", 130)
    except Terminated:
        return _say("stopped by SIGTERM.", 143)
    finally:
        signal.signal(signal.SIGTERM, before)


def _asked(words: list[str]) -> argparse.Namespace:
    """What the words of a command ask for; `more` are bench's options, and for Jupyter what follows notebook's --."""
    end = words.index("--") if words[:1] == [notebook.__name__] and "--" in words else len(words)
    asked, more = _parser().parse_known_args(words[:end])
    if more and getattr(asked, "command", None) is not bench:
        options = re.findall(r"--[\w-]+", asked.parser.format_usage())
        near = [close for word in more for close in get_close_matches(word.partition("=")[0], options, 1)]
        asked.parser.error(f"unrecognized arguments: {' '.join(more)}" + (f". Did you mean {near[0]}?" if near else ""))
    asked.words, asked.more = words, more + words[end + 1 :]
    return asked


def _run(asked: argparse.Namespace) -> int:
    """The exit code of a command. An error in the user's own model file is shown as Python shows it, by the lines there."""
    try:
        return asked.command(asked) or 0
    except Exception as error:
        if not (lines := _own_lines(error, asked)):
            raise
        print(lines, end="", file=sys.stderr)
        return 1


def _own_lines(error: BaseException, asked: argparse.Namespace) -> str:
    """How Python shows an error of the user's model file, by the lines there; '' of any other, and of one that is a line."""
    if not isinstance(error, Exception) or isinstance(error, (InputError, MissingExtra)) or _is_memory(error):
        return ""
    return model_file.own_lines(error, asked.model) if getattr(asked, "model", None) else ""


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate" in str(error))


def new(asked: argparse.Namespace) -> None:
    """Write a model file: the whole network as functions, to be edited and trained with train --model."""
    model_file.write(Path(asked.file))
    print(f"{asked.file} is written. Open it, and after an edit:\n  {shlex.join(['python', asked.file])}")
    print(f"  {shlex.join(['warmnet', 'train', '--model', f'{asked.file}:Net'])}")


def notebook(asked: argparse.Namespace) -> None:
    """Copy warmnet's notebooks to a folder of yours and start Jupyter there; what follows -- is for Jupyter."""
    folder = Path(asked.folder)
    new, left = workbench.copy(folder)
    print(f"{folder} has the notebooks: {len(new)} new.", flush=True)
    if left:
        _say(f"not as warmnet has them, and left as they are: {', '.join(path.name for path in left)}.")
    if not asked.copy_only:
        workbench.start(folder, asked.more)


def summary(asked: argparse.Namespace) -> None:
    """Print a network's layers with their output shapes, strides, parameters, multiply-adds and activations."""
    from ..summary import tabulate

    if asked.model in VARIANTS:
        model = WarmEfficientNet(asked.model, asked.num_classes, device="meta")
    else:
        model = model_file.find(asked.model)(num_classes=asked.num_classes, device="meta")
    side = asked.resolution or model.resolution
    try:
        print(tabulate(model, (1, model.in_channels, side, side)))
    except ValueError as error:
        raise InputError(str(error).partition("\n")[0]) from error  # without the lines of code below it


def train(asked: argparse.Namespace) -> None:
    """Train on a folder of class folders of images, or without one on scikit-learn's 1,797 scanned digits."""
    from .. import training
    from ..data import ImageError

    if asked.out and not asked.resume and not asked.preview:
        training.check_free(Path(asked.out))  # now, and not when all images have been read
    if not asked.out and (asked.resume or "RANK" in os.environ):
        raise InputError("Name the run folder with --out RUN: it is to be there already, or the same for all processes.")
    network = model_file.find(asked.model) if asked.model else WarmEfficientNet
    source = _source(asked, network)
    variant = source.variant if source else asked.variant or "b0"
    recipe = _recipe(asked)
    execution = training.Execution(
        asked.device, asked.workers, asked.precision, asked.accumulate, asked.activation_checkpointing, asked.compile
    )
    execution.fabric()  # the processes of a run find each other, so that they share the reading
    data = _data(asked)
    sized = recipe.sized(len(data.train), recipe.resolution or _resolution(source or network(variant, device="meta")))
    if asked.preview:
        print(f"{training.preview(data, sized, asked.seed, asked.out or 'preview.png')} is written. Look at it.")
        return
    folder = Path(asked.out) if asked.out else training.new_folder(data.name)
    if first := int(os.environ.get("RANK", 0)) == 0:
        _describe(asked, data, sized)
    began = time.perf_counter()
    try:
        settings = {"network": network, "variant": variant, "source": source, "seed": asked.seed}
        run = training.fit(data, recipe, folder, **settings, execution=execution, resume=asked.resume)
    except BaseException as error:
        otherwise = _own_lines(error, asked) or (isinstance(error, InputError) and not isinstance(error, ImageError))
        _say_what_is_left(folder, asked, goes_on=not otherwise)
        raise
    if not first:
        return
    right, total = int(run.confusion.trace()), int(run.confusion.sum())
    chosen = f" (the best epoch, {run.best}, is kept: patience {recipe.patience})" * bool(recipe.patience)
    print(f"\nHeld out: {right:,} of {total:,} right, {right / total:.1%}, in {time.perf_counter() - began:.0f} s{chosen}.\n")
    sample = training.write_samples(data, folder)
    for path in sorted(folder.iterdir()):
        print(f"  {path}{os.sep if path.is_dir() else ''}")
    own = model_file.code(network)  # as it was when it started, which the run keeps
    named = ["--model", str(folder / own.name)] if own else []
    print(f"\nNext:\n  {shlex.join(['warmnet', 'predict', str(folder), str(sample), *named])}")


def _resolution(model: Any) -> int:
    """The side of the images that a network's weights, or else it, are for."""
    return model.preprocessing.resolution if model.preprocessing else model.resolution


def _source(asked: argparse.Namespace, network: type[WarmEfficientNet]) -> WarmEfficientNet | None:
    """The weights to start from; in a network of one's own those that fit."""
    if asked.weights and asked.variant and origin(read(asked.weights)).variant != VARIANTS[asked.variant]:
        raise InputError(f"{asked.weights} holds weights of another variant than {asked.variant}. Leave out --variant.")
    if asked.weights and asked.model:
        return network.from_pretrained(asked.weights, strict=False)
    return model_file.load(asked.weights, None, asked.words) if asked.weights else None


def evaluate(asked: argparse.Namespace) -> None:
    """Evaluate weights on a folder of class folders of images, or without one on scikit-learn's held-out digits."""
    from .. import training

    model, data = model_file.load(asked.run, asked.model, asked.words), _data(asked)
    samples = [*data.train, *data.held_out] if asked.all else data.held_out
    if seen := training.trained_on(Path(asked.run), samples):
        _say(f"{len(seen)} of these images were trained on, such as {seen[0].image}: they are left out.")
        trained = {*map(id, seen)}
        samples = [sample for sample in samples if id(sample) not in trained]
    reading = {"workers": asked.workers, "device": asked.device, "strict": asked.strict}
    found = training.evaluate(model, samples, data.classes, batch_size=asked.batch_size, **reading)
    for message in (*data.skipped, *found.skipped):
        _say(message)
    print(json.dumps(found.to_dict()) if asked.json else found)
    for path in training.report(found, Path(asked.out)) if asked.out else ():
        _say(f"{path} is written.")


def _data(asked: argparse.Namespace) -> Any:
    """What to train on or to evaluate: a folder, shards, or the digits."""
    from .. import training

    if not asked.folder:
        return training.digits()
    out = asked.out or "runs"
    reading = {"strict": asked.strict, "workers": asked.workers}
    if asked.command is train and asked.resume:
        reading["run"] = Path(out)
    if str(asked.folder).endswith(".tar"):
        return training.shards(asked.folder, **reading)
    if (asked.out or asked.command is train) and Path(out).resolve().is_relative_to(Path(asked.folder).resolve()):
        raise InputError(f"{out} is inside of {asked.folder}, among the images. Choose an --out elsewhere.")
    return training.folder(asked.folder, **reading)


def _recipe(asked: argparse.Namespace) -> Any:
    """The recipe that is asked for, with the settings that are."""
    from .. import training

    name = asked.recipe or ("finetune" if asked.weights else "small")
    recipe = training.DIGITS if name == "small" and not asked.folder else training.RECIPES[name]
    given = {key: getattr(asked, key) for key in ("resolution", "epochs", "batch_size", "lr", "patience", "augment")}
    if name == "finetune" and not asked.weights:
        raise InputError("The recipe finetune keeps the statistics of weights that are there. Name them with --weights.")
    given = {key: value for key, value in given.items() if value is not None} | dict(asked.set or ())
    known = [field.name for field in fields(recipe)]
    if unknown := given.keys() - {*known}:
        raise InputError(f"--set {min(unknown)}: recipes have no such setting. They have {', '.join(known)}.")
    return replace(recipe, **given)


def predict(asked: argparse.Namespace) -> int:
    """Print the class probabilities of images as a table, or with --json as JSON."""
    from ..data import ImageError, read_image

    classify = _classifier(asked)
    results: list[dict[str, Any]] = []
    for file in asked.images:
        try:
            results.append({"file": file, "probabilities": classify(read_image(file))})
        except ImageError as error:
            results.append({"file": file, "error": str(error)})
            _say(error)
    read = [result for result in results if "error" not in result]
    if asked.json:
        print(json.dumps(results, indent=2))
    elif read:
        print(_table(read))
    return int(len(read) < len(results))


def _classifier(asked: argparse.Namespace) -> Callable[[Any], dict[str, float]]:
    """A function from an image to the probabilities of classes, by weights or by an exported network."""
    import torch

    from ..deployment import is_exported, open_exported

    path = asked.run
    model: Any = open_exported(path) if is_exported(path) else model_file.load(path, asked.model, asked.words)
    outputs = model.num_classes if isinstance(model, WarmEfficientNet) else int(model.about.network.get("num_classes", 1))
    if not outputs or model.preprocessing is None:
        raise InputError(f"{path} holds weights without what predict needs: classes, and the preprocessing of RGB images.")

    def classify(image: Any) -> dict[str, float]:
        if isinstance(model, WarmEfficientNet):
            with torch.inference_mode():
                probabilities = model(model.preprocessing(image)[None]).softmax(1)[0].tolist()
        else:
            probabilities = model(image)[0].tolist()
        return dict(zip(model.classes or [f"class {n}" for n in range(len(probabilities))], probabilities))

    return classify


def convert(asked: argparse.Namespace) -> None:
    """Write weights as another library's: timm, torchvision, lukemelas, keras, or warmnet."""
    from ..weights import convert

    if code := model_file.of(asked.source, asked.revision):
        raise InputError(f"{asked.source} is of {code}, a network that no other library has.")
    taken = {"lineage": asked.lineage, "revision": asked.revision}
    print(f"{asked.out} is written. It is loaded with\n  {convert(asked.source, asked.out, asked.to, **taken)}")


def export(asked: argparse.Namespace) -> None:
    """Write weights as a network for an engine: ONNX Runtime, OpenVINO, torch, or AOTInductor's machine code."""
    from .. import deployment

    data = _data(asked) if asked.folder or asked.precision == "int8" else None
    settings = {"precision": asked.precision, "dynamic_size": asked.dynamic_size, "most_loss": asked.most_loss}
    out = deployment.exported_path(asked.out, asked.to)
    for file in [out, out.with_suffix(".bin")] if asked.to == "openvino" else [out]:
        if file.exists():
            raise InputError(f"{file} is there already, and nothing is written over. Name another file, or remove it.")
    model = model_file.load(asked.run, asked.model, asked.words)
    print(f"Compared on {deployment.export(model, out, asked.to, data=data, **settings)}\n\n  {out}")


def bench(asked: argparse.Namespace) -> int:
    """Measure warmnet beside timm, torchvision, lukemelas, Keras and ResNet-50; for a clone, with the peers installed."""
    try:
        main = _bench()
    except InputError:
        if not {"-h", "--help"} & {*asked.more}:
            raise
        asked.parser.print_help()  # for its own cannot be had
        return 0
    return main(asked.more)


def _bench() -> Callable[[list[str]], int]:
    """The benchmark's main, of a clone, with the peers."""
    folder = Path(__file__).parents[2] / "benchmarks"
    if not (folder / "bench.py").exists():
        raise InputError(f"bench compares with the peers in a clone of warmnet's repository, and {folder} is not there.")
    sys.path.insert(0, str(folder))
    try:
        from bench import main  # type: ignore[import-not-found]
    except ImportError as error:
        raise InputError(f"bench needs the peers; CONTRIBUTING.md says how to install them. {error}") from error
    return main


def _describe(asked: argparse.Namespace, data: Any, recipe: Any) -> None:
    """Say what will be trained on what, how, and what was left out."""
    for message in data.skipped:
        _say(message)
    if data.skipped:
        _say(f"unreadable images, skipped: {len(data.skipped)}. With --strict they are refused.")
    if data.ignored:
        _say(f"files not named like images, ignored: {data.ignored}.")
    counts = f"{len(data.train):,} images to train on, {len(data.held_out):,} held out, {len(data.classes)} classes"
    start = f"from {asked.weights}" if asked.weights else f"{asked.variant or 'b0'} from scratch"
    print(f"{asked.model or 'EfficientNet'} {start} on {data.name}: {counts}, {recipe.resolution}x{recipe.resolution}.")
    print(f"{recipe}\n")


def _say_what_is_left(folder: Path, asked: argparse.Namespace, goes_on: bool) -> None:
    """Say how a run that ended early goes on, or take its folder back."""
    from ..training import CHECKPOINT

    if int(os.environ.get("RANK", 0)):
        return  # the first process says it
    if (folder / CHECKPOINT).exists():
        if not goes_on:
            return  # with the same command it would not
        words = [word for word in asked.words if word != "--resume"]
        words += [] if asked.out else ["--out", str(folder)]
        _say(f"{folder} holds the run as far as it came. It goes on with: {shlex.join(['warmnet', *words, '--resume'])}")
    elif folder.exists() and not any(folder.iterdir()):
        with suppress(OSError):
            folder.rmdir()


def _table(results: Sequence[dict[str, Any]]) -> str:
    """A line for each image: its file and its most probable classes, aligned."""
    rows = []
    for result in results:
        best = sorted(result["probabilities"].items(), key=lambda item: -item[1])[:TOP]
        rows.append([result["file"], *(cell for name, share in best for cell in (name, f"{share:.1%}"))])
    head = ["image", *(cell for i in range(len(rows[0]) // 2) for cell in (f"#{i + 1}", ""))]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    lines = [
        [cell.rjust(n) if i and i % 2 == 0 else cell.ljust(n) for i, (cell, n) in enumerate(zip(r, widths))]
        for r in (head, *rows)
    ]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _say(message: object, code: int = 0) -> int:
    """Print to stderr; the code."""
    print(f"warmnet: {message}", file=sys.stderr)
    return code


def _terminate(*_: Any) -> NoReturn:
    raise Terminated


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("warmnet", description="EfficientNet on PyWarm: look at it, train it, use it.")
    parser.add_argument("--version", action="version", version=f"warmnet {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(function: Callable[[argparse.Namespace], int | None], **more: Any) -> argparse.ArgumentParser:
        said = (function.__doc__ or "").strip()
        sub = commands.add_parser(function.__name__, help=said, description=said, **more)
        sub.set_defaults(command=function, parser=sub)
        return sub

    sub = command(new)
    sub.add_argument("file", metavar="FILE", help="the file to write, such as mymodel.py")

    sub = command(notebook, usage="%(prog)s [-h] [--copy-only] [FOLDER] [-- --allow-root --port 8889 ...]")
    sub.add_argument("folder", nargs="?", default="warmnet-notebooks", metavar="FOLDER", help="default: warmnet-notebooks")
    sub.add_argument("--copy-only", action="store_true", help="do not start Jupyter")

    sub = command(summary)
    sub.add_argument(
        "model", type=_network, metavar="VARIANT", help=f"{', '.join(VARIANTS)}; or a network of your own, mymodel.py:Net"
    )
    sub.add_argument("--resolution", type=_whole(1, 10_000), metavar="N", help="side of the input. Default: the variant's own")
    sub.add_argument("--num-classes", type=_whole(0), default=1000, metavar="N", help="0 for no classifier. Default: 1000")

    sub = command(train)
    sub.add_argument("folder", nargs="?", metavar="FOLDER", help="FOLDER/cat/1.jpg, FOLDER/dog/1.jpg, ...; or the same below "
                     "FOLDER/train and FOLDER/val; or train-{000..009}.tar. Without val a fifth is held out")  # fmt: skip
    sub.add_argument("--out", metavar="RUN", help="the run folder to make. Default: runs/NAME-1, -2, ...")
    sub.add_argument("--variant", choices=VARIANTS, metavar="VARIANT", help=f"{', '.join(VARIANTS)}. Default: b0")
    _own_network(sub, "train a network of your own, which `warmnet new mymodel.py` writes")
    sub.add_argument("--weights", metavar="SOURCE", help="start from these: a file, a run folder, a Hugging Face Hub id")
    sub.add_argument("--recipe", choices=("small", "paper", "timm-b0", "sgd", "finetune"),
                     help="default: small, or with --weights finetune")  # fmt: skip
    sub.add_argument("--epochs", type=_whole(1), metavar="N", help="passes over the images")
    sub.add_argument("--resolution", type=_whole(1, 10_000), metavar="N", help="side of the images as the network sees them")
    sub.add_argument("--batch-size", type=_whole(2), metavar="N", help="images in a step, of all processes together")
    sub.add_argument("--lr", type=_positive, metavar="X", help="peak learning rate")
    sub.add_argument(
        "--augment", choices=("autoaugment", "randaugment", "randaugment-timm"), help="change colours and shapes at random"
    )
    sub.add_argument("--patience", type=_whole(1), metavar="N", help="stop after N epochs without a lower held-out loss")
    sub.add_argument("--set", action="append", type=_setting, metavar="KEY=VALUE",
                     help="any other setting of the recipe: mixup=0.2, ema=paper, network={'dropout': 0.5}")  # fmt: skip
    sub.add_argument("--seed", type=_whole(0), default=0, metavar="N", help="same seed, same weights. Default: 0")
    sub.add_argument("--resume", action="store_true", help="go on with the run in --out, from where it was saved last")
    sub.add_argument("--preview", action="store_true", help="write preview.png, or --out: images as they are trained on")
    sub.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="default: fp32")
    sub.add_argument("--accumulate", type=_whole(1), default=1, metavar="N", help="compute a step in N parts: less memory")
    sub.add_argument(
        "--activation-checkpointing", action="store_true", help="compute activations again going back: less memory, slower"
    )
    sub.add_argument("--compile", action="store_true", help="by torch.compile; the first steps take minutes")
    _reading(sub)

    sub = command(evaluate)
    sub.add_argument("run", metavar="RUN", help="a run folder, or a weights file")
    sub.add_argument("folder", nargs="?", metavar="FOLDER", help="as for training: its val is evaluated, or the fifth that "
                     "training holds out. Default: the digits")  # fmt: skip
    sub.add_argument("--all", action="store_true", help="evaluate all images of FOLDER")
    sub.add_argument("--out", metavar="DIR", help="write evaluation.json, per-class.csv and pictures there")
    sub.add_argument("--json", action="store_true", help="for programs")
    sub.add_argument("--batch-size", type=_whole(1), default=64, metavar="N", help="default: 64")
    _own_network(sub)
    _reading(sub)

    sub = command(predict)
    sub.add_argument("run", metavar="RUN", help="a run folder, a weights file, or an exported network")
    sub.add_argument("images", nargs="+", metavar="IMAGE")
    sub.add_argument("--json", action="store_true", help="all probabilities, for programs")
    _own_network(sub)

    sub = command(export)
    sub.add_argument("run", metavar="RUN", help="a run folder, a weights file or a Hugging Face Hub id")
    sub.add_argument("out", metavar="OUT", help="the file to write; its ending, such as .onnx, may be left out")
    sub.add_argument("folder", nargs="?", metavar="FOLDER", help="images as for training, to compare on; int8 is calibrated "
                     "on them. Default: pictures drawn by a formula; with int8 the digits")  # fmt: skip
    sub.add_argument("--to", choices=("onnx", "openvino", "torch", "aoti"), default="onnx", help="default: onnx")
    sub.add_argument("--precision", choices=("fp32", "bf16", "int8"), default="fp32", help="default: fp32")
    sub.add_argument("--dynamic-size", action="store_true", help="let height and width be free")
    sub.add_argument("--most-loss", type=_share, default=0.01, metavar="X",
                     help="of top-1 that bf16 and int8 may lose. Default: 0.01, one in a hundred")  # fmt: skip
    _own_network(sub)
    _reading(sub, device=False)

    rest = "OPTIONS are listed here where the peers are installed, and are in parser() of benchmarks/bench.py."
    command(bench, usage="%(prog)s [-h] [OPTIONS]", epilog=rest, add_help=False)

    sub = command(convert)
    sub.add_argument("source", metavar="IN", help="a weights file or run folder of any of these, or a Hugging Face Hub id")
    sub.add_argument("out", metavar="OUT", help=".safetensors; .pth, torch's; .h5 or .weights.h5, Keras'")
    sub.add_argument("--to", choices=LIBRARIES, default="warmnet",
                     help="whose layout. Default: warmnet")  # fmt: skip
    sub.add_argument("--lineage", choices=LINEAGES,
                     help="whose layout IN has. Default: told from its tensors")  # fmt: skip
    sub.add_argument("--revision", metavar="REV", help="of a Hub id: a branch, a tag or a commit")
    return parser


def _own_network(sub: argparse.ArgumentParser, why: str = "the network that RUN is of, if it is your own") -> None:
    sub.add_argument("--model", metavar="FILE.py:CLASS", help=f"{why}, such as mymodel.py:Net; the file is run")


def _network(text: str) -> str:
    if text not in VARIANTS and ".py" not in text:
        raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (choose from {', '.join(VARIANTS)}, or mymodel.py:Net)")
    return text


def _reading(sub: argparse.ArgumentParser, device: bool = True) -> None:
    """The options of commands that read images and compute."""
    sub.add_argument("--strict", action="store_true", help="refuse a folder with unreadable images instead of skipping them")
    sub.add_argument("--workers", type=_whole(0), default=0, metavar="N",
                     help="processes that read images. Default: 0, this one")  # fmt: skip
    if device:
        sub.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: the best there is")


def _whole(least: int, most: int = 10**9) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, such as mixup=0.2")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _share(text: str) -> float:
    try:
        if 0 <= float(text) <= 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")


def _positive(text: str) -> float:
    try:
        if 0 < float(text) < math.inf:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
