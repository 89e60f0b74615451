"""Coverage as JSON: everything, by vCPU and exception level."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guestdbg.trace.coverage.result import CoverageResult, VcpuCoverage

__all__ = ["json_form"]


def json_form(result: CoverageResult) -> Iterator[bytes]:
    """The file; docs/coverage.md describes its members."""
    document: dict[str, Any] = {
        "format": "guestdbg coverage",
        "version": 1,
        "form": result.form,
        "complete": result.complete,
        "vcpus": [_vcpu(each) for each in result.vcpus],
        "functions": [
            {
                "name": function.name,
                "address": f"{function.address:#x}",
                "size": function.size,
                "count": function.count,
                "executed": function.executed,
                "file": function.file,
                "line": function.line,
            }
            for function in result.functions()
        ],
        "lines": _lines(result),
    }
    for piece in json.JSONEncoder(separators=(",", ":")).iterencode(document):
        yield piece.encode()
    yield b"\n"


def _vcpu(each: VcpuCoverage) -> dict[str, Any]:
    return {
        "vcpu": each.vcpu,
        "el": each.el,
        "instructions": [
            [f"{run.start:#x}", (run.end - run.start) // 4, run.count] for run in each.executed
        ],
        "edges": [
            [f"{branch:#x}", f"{target:#x}", count]
            for (branch, target), count in sorted(each.edges.items())
        ],
    }


def _lines(result: CoverageResult) -> dict[str, dict[str, int]]:
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for each in result.lines():
        found[each.file][str(each.line)] = each.count
    return found
