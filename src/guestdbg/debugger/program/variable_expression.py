"""The syntax of variables: ``queue.items[3].next->x``, ``*head``, ``file.c:name``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from guestdbg.debugger.errors import InvalidLocation

__all__ = ["Element", "Expression", "Member", "PathStep", "parse"]

#: So many expressions, of so many characters at most, are parsed once.
_KNOWN, _SHORT = 1024, 256
#: A name, with the namespaces and classes that it is in.
_NAME = r"(?:::)?[A-Za-z_]\w*(?:::~?[A-Za-z_]\w*)*"
_TOKEN = re.compile(rf"\s*(?:(->)|(\.)|\[\s*(?:(0[xX][0-9a-fA-F]+)|(\d+))\s*\]|({_NAME}))")
#: A file and the variable in it: at the last colon that is not a part of ``::``, or, as GDB takes
#: it as well, at the ``::`` after the name of a source file.
_IN_FILE = re.compile(
    r"(?P<file>.*[^:]):(?!:)(?P<name>.+)|(?P<source>.*\.(?:c|cc|cpp|cxx|h|hpp|s|S|rs))::(?P<its>.+)"
)


class Member(NamedTuple):
    """``.name``; with ``arrow``, ``->name``. ``str`` gives it as it is written."""

    name: str
    arrow: bool

    def __str__(self) -> str:
        return ("->" if self.arrow else ".") + self.name


class Element(NamedTuple):
    """``[number]``. ``str`` gives it as it is written."""

    number: int

    def __str__(self) -> str:
        return f"[{self.number}]"


PathStep = Member | Element


class Expression(NamedTuple):
    """A parsed expression.

    Attributes:
        stars: how many ``*`` are in front.
        file: of a static variable, or None.
        name: of the variable.
        path: members and elements from there.
    """

    stars: int
    file: str | None
    name: str
    path: tuple[PathStep, ...]


def parse(expression: str) -> Expression:
    """Parse an expression; raises InvalidLocation with the part that is wrong."""
    if not isinstance(expression, str):
        raise InvalidLocation(
            f"{expression!r} is not a variable: write a name, such as 'queue.tail'"
        )
    return _parse(expression) if len(expression) <= _SHORT else _parse.__wrapped__(expression)


@lru_cache(maxsize=_KNOWN)  # conditions name the same variables at every hit
def _parse(expression: str) -> Expression:
    text = expression.strip()
    stars = 0
    while text.startswith("*"):
        text = text[1:].strip()
        stars += 1
    file = None
    if (parts := _IN_FILE.fullmatch(text)) is not None:
        file, text = parts["file"] or parts["source"], parts["name"] or parts["its"]
    path: list[PathStep] = []
    at = 0
    expect_name, arrow = True, False
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or (match[5] is None) == expect_name:
            raise InvalidLocation(
                f"cannot understand {expression!r} from {text[at:]!r} on: write a variable "
                "with members and elements, such as queue.items[3].next->x"
            )
        at = match.end()
        if match[5]:
            path.append(Member(match[5], arrow))
            expect_name = False
        elif match[1] or match[2]:
            expect_name, arrow = True, bool(match[1])
        else:
            path.append(Element(int(match[3], 16) if match[3] else int(match[4])))
    if expect_name:
        raise InvalidLocation(f"{expression!r} ends where a name is missing")
    first, *members = path
    assert isinstance(first, Member)
    return Expression(stars, file, first.name, tuple(members))
