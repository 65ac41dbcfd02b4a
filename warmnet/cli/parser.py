"""argparse as the commands use it: an error is one line that offers what was meant, and the usage has no list of options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from ..spelling import choose_one, nearest


class Parser(argparse.ArgumentParser):
    """A parser of a command, or of all of them; `hint` is a sentence for those who use an option that it has not."""

    hint = ""

    def __init__(self, *args: Any, **kw: Any):
        super().__init__(*args, **{"allow_abbrev": False, **kw})  # a slip such as --epoch would begin a training

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and a line on stderr: what is wrong, and where one reads more."""
        message = message.removeprefix("argument ")
        self.exit(2, f"{self.prog}: {message}{'' if message.endswith(('.', '?')) else '.'} {self.prog} --help says more.\n")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """End with what to write instead of the first of words that nobody has asked for."""
        word = unknown[0].partition("=")[0]
        if not word.startswith("-"):
            self.error(f"{word} is one argument too many")
        near = nearest(word, self._option_string_actions)
        offer = f" Did you mean {near}?" if near else ""
        self.error(f"{word} is no option.{offer}{self.hint}")

    def shorten_usage(self) -> None:
        """Let the usage name arguments alone, once all are added; a command may have written its own."""
        words = re.sub(r"\[-[^]]*\]\s*", "", self.format_usage().removeprefix("usage: ")).split()
        name = self.prog.split()
        self.usage = self.usage or " ".join([*name, *words[len(name) :], "[OPTIONS]"])

    def _get_value(self, action: argparse.Action, text: str) -> Any:
        """argparse's value of a word, which is not empty: as of a shell's variable that is not set, "$RUN"."""
        if not text and not isinstance(action, argparse._SubParsersAction):  # which looks through the words of a command
            raise argparse.ArgumentError(action, "it is empty; write what it shall be, or leave it out")
        return super()._get_value(action, text)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """argparse's check of a choice, whose message lists choices and offers none."""
        if action.choices is not None and value not in action.choices:
            is_command = isinstance(action, argparse._SubParsersAction)
            message = f"{value!r} is no {'command' if is_command else 'choice'}. {choose_one(value, action.choices)}."
            raise argparse.ArgumentError(None if is_command else action, message)
