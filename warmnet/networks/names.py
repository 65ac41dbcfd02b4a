"""Names of variants as people write them: other libraries' names, other spellings, slips."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..spelling import letters_and_digits, nearest, with_choices

ELSEWHERE = {  # how a name is written -> whose it is
    r"tf_efficientnet\w+|efficientnetv2_\w+|efficientnet_(b8|l2|lite\d)|mobilenetv2_\d+": "timm's",
    r"efficientnet_b\d": "timm's and torchvision's",
    r"efficientnet_v2_[sml]|mobilenet_v2": "torchvision's",
    r"efficientnet-(b\d|lite\d)": "the official code's and lukemelas'",
    r"efficientnetv2-\w+": "the official code's",
    r"EfficientNet(V2)?[BSML]\d?|MobileNetV2|ResNet\d+": "Keras'",
}
FAMILIES = {  # how the names of a class's variants are written, here or elsewhere
    r"(tf_)?efficientnet.*|b\d|l2|lite\d|v2-\w+": "WarmEfficientNet",
    r"mobilenet.*": "WarmMobileNetV2",
    r"resnet\d+": "WarmResNet",
}
LEAST_LIKENESS = 0.5  # of 'b9' and 'b8'


def find_meant(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is the same network as `name` in another library, or in another spelling."""
    return {_plain(each): each for each in names}.get(_plain(name))


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A sentence that offers the one of `names` that `name` means or is most like; '' if it is like none."""
    names = list(names)
    meant = find_meant(name, names)
    if meant:
        owner = next((owner for pattern, owner in ELSEWHERE.items() if re.fullmatch(pattern, name)), None)
        return f"It is {owner} name for {meant!r}." if owner else f"It is written {meant!r}."
    near = nearest(name, names, _plain, LEAST_LIKENESS)
    return f"Did you mean {near!r}?" if near else ""


def choose_one(name: str, names: Iterable[str]) -> str:
    """What to write instead of `name`: the one that is certainly meant, or the nearest and all that there are. No full stop."""
    names = list(names)
    if find_meant(name, names):
        return did_you_mean(name, names).removesuffix(".")
    return with_choices(did_you_mean(name, names), names)


def find_family_name(name: str) -> str | None:
    """The class whose variants have names such as this one."""
    return next((family for pattern, family in FAMILIES.items() if re.fullmatch(pattern, name.lower())), None)


def _plain(name: str) -> str:
    """A name in small letters and digits, without what only other libraries put before it or after it."""
    plain = re.sub(r"^(tf|warm)?efficientnet(?=v2|lite|b\d|l2)", "", letters_and_digits(name))
    width = re.fullmatch(r"(?:warm)?mobilenetv2(?:(\d\d)0)?", plain)  # timm's 050, 100, 140; others call 1.0 nothing
    return f"mobilenetv2{width[1] or '10'}" if width else plain
