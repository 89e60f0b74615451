"""What can follow on a line: commands, names of the guest, topics."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from guestdbg.tui.commands.information import TOPICS
from guestdbg.tui.commands.registry import COMMANDS, find, split
from guestdbg.tui.errors import CommandError

__all__ = ["Completion", "complete"]

_MOST = 200
#: The word that is completed: a name with its members.
_WORD = re.compile(r"[^\s,&*(<>=!|+\"'/\[]*\Z")
_LOG = ("awatch", "break", "rwatch", "watch")
_NAMES = sorted(name for command in COMMANDS for name in command.names)


class Completion:
    """What was found: ``line`` is longer than before if all of ``words`` begin alike."""

    def __init__(self, line: str, words: Sequence[str]) -> None:
        self.line = line
        self.words = words


def complete(line: str, names: Sequence[str]) -> Completion:
    """Complete the last word of a line; ``names`` are those of the guest, sorted."""
    line = line.lstrip()
    word = _WORD.search(line)
    part = "" if word is None else word[0]
    words = _candidates(line, part, names)
    if not words:
        return Completion(line, [])
    common = _common(words[0], words[-1])
    space = " " if len(words) == 1 else ""
    if len(common) < len(part):
        return Completion(line, words)
    return Completion(line[: len(line) - len(part)] + common + space, words)


def _candidates(line: str, part: str, names: Sequence[str]) -> Sequence[str]:
    command, _text = split(line)
    if line[len(command) :] == "":
        return _from(_NAMES, part)
    try:
        kind = find(command).completes
    except CommandError:
        return []
    rest = line[len(command) :].lstrip()
    if kind == "log":
        if " " not in rest:
            return _from(_LOG, part)
        kind = "symbol"
    if kind == "symbol":
        return _from(names, part) if part else []
    if kind == "info":
        first = " " not in rest
        return _from(sorted(TOPICS), part) if first else _from(names, part) if part else []
    if kind == "command":
        return _from(_NAMES, part)
    return []


def _common(first: str, last: str) -> str:
    """How two words begin; so do all between them in a sorted list."""
    end = 0
    while end < min(len(first), len(last)) and first[end] == last[end]:
        end += 1
    return first[:end]


def _from(names: Sequence[str], part: str) -> Sequence[str]:
    """The names that begin so, of a sorted list; not all of very many."""
    start = bisect_left(names, part)
    found = []
    for name in names[start : start + _MOST]:
        if not name.startswith(part):
            break
        found.append(name)
    return found
