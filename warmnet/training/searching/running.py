"""A search for the augmentations by which a network learns most from the images that there are.

What is to be trained next follows from what is finished, see planning.py: not from how many processes take part, nor from how
often one was killed. So all of them end with the same policy.json, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...data.policy_file import write_policy
from ...data.samples import Data
from ...errors import InputError
from ...networks.classifier import Classifier
from ...weights.reading import Source
from ..execution import Execution
from ..recipe import Recipe
from ..run import check_kinds
from .jobs import Jobs, one_thread, pickled
from .opening import begin, check_length, go_on
from .pictures import draw_pictures
from .planning import mean_loss
from .process import Length, Search

POLICY = "policy.json"


class Outcome(NamedTuple):
    """What a search found.

    - `folder`, `policy`: where it is, and policy.json there.
    - `is_better`: whether anything better than the recipe was found; if not, the policy is the recipe's own.
    - `losses`: the mean held-out loss of each trial; the first is the recipe's.
    - `recipe`, `found`: accuracy on the test pictures, trained by the recipe as it is and by the policy.
    """

    folder: Path
    policy: Path
    is_better: bool
    losses: list[float]
    recipe: float
    found: float


def search(
    data: Data, recipe: Recipe, folder: str | Path, *,
    trials: int | None = None, minutes: float | None = None, jobs: int = 1,
    variant: Any = None, source: Source | None = None, seed: int = 0, execution: Execution | None = None,
    resume: bool = False, network: type[Classifier] | None = None, options: Mapping[str, Any] | None = None,
) -> Outcome:  # fmt: skip
    """The augmentations by which a network trained by `recipe` has the lowest held-out loss, in policy.json of `folder`.

    `data.held_out`, the test pictures, are set aside: the search sees `data.train` alone, in three parts of which each is held
    out in turn. Trial 0 is the recipe as it is, and the best trials are trained again with other parts and seeds: what is
    better again is taken. At the end all but the test pictures is trained on, by the recipe and by what was found.

    - `trials`: how many. Default: 20. `minutes`: instead, as many as are done in that time, about.
    - `jobs`: processes that train, each with one thread; with any number of them the policy is the same.
    - `resume`: go on with the search in `folder`, or take part in it while others are at it; perhaps with more `trials`.
    - `variant`, `source`, `seed`, `execution`, `network`, `options`: as for `fit`. With several jobs, a network of
      your own is one of a file.

    The recipe's patience is not used: neither held-out images nor test pictures choose an epoch. notebooks/8-search.ipynb
    does a search from beginning to end.
    """
    if trials is not None and minutes is not None:
        raise InputError("trials and minutes say both how long the search is. Leave out one of them.")
    check_kinds(data, recipe, network)
    length = Length(trials, minutes, jobs)
    check_length(length)
    process = Search(data, recipe, Path(folder), variant, source, seed, execution or Execution(), network)
    if jobs > 1:
        pickled(process, process.network)  # or an error, before anything is written
    if resume:
        go_on(process, length)
    else:
        begin(process, length, options or {})
    with one_thread(), Jobs(process, process.network, jobs - 1):
        process.work()
    return outcome_of(process)


def outcome_of(search: Search) -> Outcome:
    """What was found; policy.json, the journal and the pictures are written."""
    better, plan, files = search.better, search.plan(), search.files
    write_policy(files.path / POLICY, search.policy_settings(better))
    losses = [mean_loss(files.result, trial) for trial in range(1 + len(plan.candidates))]
    files.write_journal(plan.candidates, losses[1:])
    confusions = [search.confusion(name) for name in search.last]
    taken = search.recipe_of(better.trial) if better else search.recipe
    draw_pictures(files, search.data, plan, better, taken, search.seed, confusions)
    right = [int(confusion.trace()) / int(confusion.sum()) for confusion in confusions]
    return Outcome(files.path, files.path / POLICY, better is not None, losses, right[0], right[-1])
