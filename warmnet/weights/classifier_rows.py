"""The rows of a classifier, which go with the names of their classes when a network is taken on to others."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..errors import InputError
from ..networks.classifier import CLASSIFIER, Classifier

MOST_NAMED = 5  # classes in a list for people


@torch.no_grad()
def keep_known_rows(model: Classifier, source: Classifier, classes: Sequence[str]) -> str:
    """Put the source's rows of those of the model's `classes` that it knows by name into the model; what there is to say of it.

    All other rows stay as they are. Nothing is to say, '', if the source's classes are these, in this order. Raises InputError
    if the source's names are not one for each output.
    """
    places = {name: place for place, name in enumerate(source.classes)}
    if source.classes and not len(source.classes) == len(places) == source.num_classes:
        raise InputError(
            f"The weights have {source.num_classes:,} outputs and {len(source.classes):,} names of classes, {len(places):,} of "
            f"them different. Set their classes, one name for each output."
        )
    known = [name for name in classes if name in places]
    new = [place for place, name in enumerate(classes) if name not in places]
    theirs, ours = source.state_dict(), model.state_dict()
    for path in CLASSIFIER:
        if path in theirs and path in ours:
            rows = [place for place in range(len(classes)) if place not in {*new}]
            ours[path][rows] = theirs[path][[places[name] for name in known]].to(ours[path])
    if tuple(classes) == source.classes:
        return ""
    if not source.classes:
        return f"classifier: the weights do not name their classes, so that all {len(classes):,} are new."
    text = f"classifier: {len(known):,} of {len(classes):,} classes known and kept{_list(known)}"
    dropped = len(places) - len(known)
    if dropped:
        text += f", {dropped:,} dropped"
    if not new:
        return f"{text}."
    return (
        f"{text}, {len(new):,} new{_list([classes[place] for place in new])}. Names count as known if they are equal in full."
    )


def _list(names: Sequence[str]) -> str:
    """' (cat, dog)', of many the first; '' of none."""
    more = ["..."] if len(names) > MOST_NAMED else []
    return f" ({', '.join([*names[:MOST_NAMED], *more])})" if names else ""
