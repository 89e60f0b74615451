"""Variables of the guest in a condition, taken out before Python's parser sees the text.

C has other names than Python: `fifo.in` and `class` are words of Python's grammar, and `p->next`,
`file.c:name` and `space::name` are not in it. Each such variable becomes a placeholder, an
identifier that Python's parser takes; `restore` puts the variable into the tree.

A word of Python is a name where an operand is expected. The operators `and`, `or`, `in`, `is`,
`if` and `else` are expected after an operand; `not` is an operator before one.
"""

from __future__ import annotations

import ast
import keyword
import re
from typing import NamedTuple

__all__ = ["Placeholders", "take_out_variables"]

_NAME = r"[^\W\d]\w*"
_STRING = r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\""""
#: `file.c:`, `src/file.c::` and, for files with other characters in their names, `'a-b.c':`.
_FILE = rf"(?:(?:[\w.]+/)*[\w.]*\.\w+|{_STRING})\s*::?\s*"
_PATH = re.compile(
    rf"(?P<file>{_FILE})?(?P<name>{_NAME}(?:::{_NAME})*)"
    rf"(?P<members>(?:\s*(?:\.|->)\s*{_NAME}|\s*\[\s*(?:0[xX][0-9a-fA-F]+|\d+)\s*\])*)"
)
_TOKEN = re.compile(
    rf"(?P<string>[A-Za-z]{{0,2}}(?:{_STRING}))|(?P<number>\d[\w.]*)|(?P<word>{_NAME})"
    r"|(?P<close>[)\]}])|(?P<other>\S)"
)
_WORD = re.compile(_NAME)
#: These are not names of variables, but may be names of members.
_VALUES = ("None", "True", "False")
_OPERATORS = ("and", "or", "in", "is", "if", "else")


class Placeholders(NamedTuple):
    """A text with placeholders, and the variable that each of them replaces."""

    text: str
    variables: dict[str, str]

    def restore(self, tree: ast.AST) -> None:
        """Put the variables where the placeholders are: as the ``id`` of an ``ast.Name``."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                node.id = self.variables.get(node.id, node.id)


def take_out_variables(text: str) -> Placeholders:
    """Replace the variables that Python's grammar does not have."""
    prefix = "v_"
    while prefix in text:
        prefix += "_"
    variables: dict[str, str] = {}
    done: list[str] = []
    at, operand = 0, True  # whether an operand is expected
    while match := _TOKEN.search(text, at):
        done.append(text[at : match.start()])
        start, at = match.span()
        path = _PATH.match(text, start) if operand else None
        if path is not None and not _is_not_operator(text, path) and not _is_string(match, path):
            at = path.end()
            if _is_foreign(path):
                name = f"{prefix}{len(variables)}"
                variables[name] = _joined(path)
                done.append(name)
            else:
                done.append(path[0])
            operand = False
            continue
        done.append(match[0])
        if match["word"]:
            # `not` before an operand, and in `not in`, changes nothing of what is expected next.
            operand = operand if match["word"] == "not" else match["word"] in _OPERATORS
        else:
            operand = match["other"] is not None
    done.append(text[at:])
    return Placeholders("".join(done), variables)


def _is_string(token: re.Match[str], path: re.Match[str]) -> bool:
    """Whether it is a string with a prefix, such as f'...', and not a variable."""
    return token["string"] is not None and path["file"] is None


def _is_foreign(path: re.Match[str]) -> bool:
    name = path["name"]
    return bool(
        path["file"]
        or "::" in name
        or "->" in path["members"]
        or (keyword.iskeyword(name) and (name not in _VALUES or path["members"]))
        or any(keyword.iskeyword(word) for word in _WORD.findall(path["members"]))
    )


def _joined(path: re.Match[str]) -> str:
    file = (path["file"] or "").strip()
    if file:
        file = file.rstrip(": ").strip("'\"") + ":"
    return file + path["name"] + "".join(path["members"].split())


def _is_not_operator(text: str, path: re.Match[str]) -> bool:
    """Whether `not`, where an operand is expected, is the operator: an operand follows it."""
    if path["name"] != "not" or path["file"]:
        return False
    after = path.end("name")
    if path["members"] and not path["members"].lstrip().startswith("["):
        return False  # `not.x` and `not->x` are members of a variable
    return _begins_operand(text, after)


def _begins_operand(text: str, at: int) -> bool:
    begins = True
    while (match := _TOKEN.search(text, at)) is not None and match["word"] in _OPERATORS:
        # `not in x` asks whether a variable `not` is in x; `not in == 3` negates `in == 3`.
        begins, at = not begins, match.end()
    if match is None or match["close"]:
        return not begins
    return begins is (match["other"] is None or match["other"] in "(-+~[{")
