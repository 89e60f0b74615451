"""What a guest did, taken down while it ran and shown in the tools that people have.

coverage  which instructions, lines and functions ran: ``guest.coverage()``
"""

from guestdbg.trace.coverage import (
    Block,
    Coverage,
    CoverageError,
    CoverageResult,
    CoverageUnavailable,
    Executed,
    FunctionCoverage,
    LineCoverage,
    Run,
    VcpuCoverage,
)

__all__ = [
    "Block",
    "Coverage",
    "CoverageError",
    "CoverageResult",
    "CoverageUnavailable",
    "Executed",
    "FunctionCoverage",
    "LineCoverage",
    "Run",
    "VcpuCoverage",
]
