"""Search the augmentations by which a network learns most from the images of a folder."""

from __future__ import annotations

import argparse
import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..authoring.user_networks import find_network
from ..errors import InputError
from ..networks.families import find_family
from .arguments import positive, whole_number
from .config import recorded
from .images import add_images, check_outside, print_reading, read_images
from .messages import warn
from .train_options import (
    add_computation,
    add_network,
    add_recipe,
    check_variant,
    check_weights,
    execution_of,
    recipe_of,
    source_of,
    with_options_of_file,
)
from .train_words import can_go_on

if TYPE_CHECKING:
    from ..data import Data
    from ..training import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: warmnet search pets --variant lite0 --epochs 10 --minutes 60 --jobs 2"
    add_images(parser)
    group = parser.add_argument_group("search")
    length = group.add_mutually_exclusive_group()
    length.add_argument("--trials", type=whole_number(1), metavar="N", help="augmentations to try, the recipe's own the first. "
                        "Each is trained with three times. Default: 20")  # fmt: skip
    length.add_argument("--minutes", type=positive, metavar="M", help="as many trials as are done in that time, about")
    group.add_argument("--jobs", type=whole_number(1), metavar="N", default=1,
                       help="processes that train, each with one thread. Default: 1")  # fmt: skip
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="RUN", help="the folder to make. Default: runs/NAME-search-1, -2, ...")
    output.add_argument("--resume", action="store_true", help="go on with the search in --out, by its own options, perhaps "
                        "with more --trials")  # fmt: skip
    output.add_argument("--join", metavar="RUN", help="take part in the search in RUN while it is under way, from this machine "
                        "or another that shares the folder")  # fmt: skip
    add_network(parser)
    add_recipe(parser)
    add_computation(parser)


def run(arguments: argparse.Namespace) -> None:
    from .. import training

    arguments = _with_options_of_search(arguments)
    check_variant(arguments)
    network = find_network(arguments.model) if arguments.model else find_family(arguments.variant)
    source = source_of(arguments, network)
    check_weights(arguments, source)
    recipe, execution = recipe_of(arguments), execution_of(arguments)
    tried, _ = training.check_run(
        recipe, execution, network=network, variant=arguments.variant, source=source, seed=arguments.seed
    )
    data = read_images(arguments, run=Path(arguments.out) if arguments.resume else None)
    print_reading(data)
    folder = Path(arguments.out) if arguments.out else training.new_folder(f"{data.name}-search")
    if not arguments.resume:
        _print_start(data)
    start = time.perf_counter()
    try:
        found = training.search(
            data, recipe, folder, trials=arguments.trials, minutes=arguments.minutes, jobs=arguments.jobs,
            variant=arguments.variant, source=source, seed=arguments.seed, execution=execution, resume=arguments.resume,
            network=type(tried), options=recorded(arguments),
        )  # fmt: skip
    except BaseException as error:
        _print_end(folder, arguments, error)
        raise
    _print_outcome(found, data, arguments, time.perf_counter() - start)


def _with_options_of_search(arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments, and those of the search that goes on. Raises InputError if there is none, or a new one cannot be made."""
    from .. import training
    from ..training.searching.opening import SEARCH, read_search

    join = arguments.join
    if join and (arguments.out or arguments.resume):
        raise InputError("--join names the search to take part in. Leave out --out and --resume.")
    if arguments.resume and not arguments.out:
        raise InputError("Name the folder of the search with --out RUN.")
    if arguments.patience or "patience" in dict(arguments.set):
        raise InputError(
            "A search has no patience: its trainings end with the last epoch, by which they are compared. Leave it out."
        )
    if join and (arguments.trials or arguments.minutes):
        raise InputError("How long a search is, --trials or --minutes, is said where it is begun, or by --resume.")
    if not (join or arguments.resume):
        if arguments.out:
            training.check_free(Path(arguments.out))
        training.check_can_be_written(Path(arguments.out or "runs"))
        check_outside(arguments.out or "runs", arguments.folder)
        return with_options_of_file(arguments, None)
    folder = Path(join or arguments.out)
    read_search(folder)
    training.check_can_be_written(folder)
    arguments.config = None
    arguments = with_options_of_file(arguments, folder / SEARCH)
    arguments.out, arguments.resume = str(folder), True
    return arguments


def _print_start(data: Data) -> None:
    """Say what is searched on."""
    from ..data.copies import held_out_copies

    copies = held_out_copies(data)
    if copies:
        warn(f"test pictures that are exact copies of images to search on: {len(copies):,}. `warmnet data` names them.")
    print(
        f"{len(data.train):,} images of {data.name} to search on, in three parts; {len(data.held_out):,} test pictures are set "
        f"aside.\n"
    )


def _print_end(folder: Path, arguments: argparse.Namespace, error: BaseException) -> None:
    """Say how a search that ended early goes on; or remove its folder, if nothing is in it."""
    from ..training.searching.opening import SEARCH

    if (folder / SEARCH).exists():
        if can_go_on(error, arguments, has_come_farther=False):
            words = ["warmnet", "search", "--resume", "--out", str(folder)]
            words += ["--model", arguments.model] if arguments.model else []
            words += ["--jobs", str(arguments.jobs)] if arguments.jobs > 1 else []
            warn(f"{folder} holds the search as far as it came. It goes on with: {shlex.join(words)}")
    elif folder.exists():
        with suppress(OSError):
            folder.rmdir()


def _print_outcome(found: Outcome, data: Data, arguments: argparse.Namespace, seconds: float) -> None:
    """Say what was found, how it does on the test pictures, and how to use it."""
    from ..training.searching.opening import SEARCH

    count = len(data.held_out)
    if found.is_better:
        error = max((share * (1 - share) / count) ** 0.5 for share in (found.recipe, found.found))
        print(f"\nBetter than your recipe on all that was held out, twice: {found.policy}.")
        both = f"{found.recipe:.1%} by the recipe, {found.found:.1%} by the policy"
        print(f"Test pictures right: {both}, of {count:,} (± {error:.1%}), in {seconds:.0f} s.\n")
    else:
        print("\nNothing better than your recipe was found.")
        print(f"Test pictures right: {found.recipe:.1%} of {count:,}, in {seconds:.0f} s.\n")
    for path in sorted(found.folder.iterdir()):
        if not path.name.startswith("."):
            print(f"  {path}{'/' if path.is_dir() else ''}")
    words = ["warmnet", "train", "--config", str(found.folder / SEARCH), "--augment", str(found.policy)]
    words += ["--model", arguments.model] if arguments.model else []
    print(f"\nNext:\n  {shlex.join(words)}")
