"""Coverage as an lcov file (geninfo(1), "FILES"), which genhtml and editors read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.trace.coverage.result import CoverageResult

__all__ = ["lcov"]


def lcov(result: CoverageResult) -> Iterator[bytes]:
    """The file, a source file at a time; nothing where no line numbers are known."""
    lines: defaultdict[str, dict[int, int]] = defaultdict(dict)
    names: dict[str, str] = {}
    for each in result.lines():
        name = names[each.file] = _plain(str(each.path or each.file))
        lines[name][each.line] = lines[name].get(each.line, 0) + each.count
    if not lines:
        return
    functions: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for function in result.functions():
        if function.file is None or function.line is None:
            continue
        of_file = functions[names.get(function.file, function.file)]
        line, count = of_file.get(name := _plain(function.name), (function.line, 0))
        # One that was entered before coverage was on has lines that ran, and ran itself.
        of_file[name] = line, count + max(function.count, min(function.executed, 1))
    for file, counts in sorted(lines.items()):
        yield _section(file, counts, functions[file]).encode("utf-8", "surrogateescape")


def _section(file: str, lines: dict[int, int], functions: dict[str, tuple[int, int]]) -> str:
    ordered = sorted(functions.items(), key=lambda item: item[1])
    text = ["TN:", f"SF:{file}"]
    text += [f"FN:{line},{name}" for name, (line, _) in ordered]
    text += [f"FNDA:{count},{name}" for name, (_, count) in ordered]
    text += [f"FNF:{len(functions)}", f"FNH:{sum(count > 0 for _, count in functions.values())}"]
    text += [f"DA:{line},{count}" for line, count in sorted(lines.items())]
    text += [f"LF:{len(lines)}", f"LH:{sum(count > 0 for count in lines.values())}"]
    return "\n".join([*text, "end_of_record", ""])


def _plain(name: str) -> str:
    """A name from a file that may be hostile, on one line."""
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "?" for c in name)
