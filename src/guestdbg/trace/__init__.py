"""What a guest did, taken down while it ran and shown in the tools that people have.

coverage  which instructions, lines and functions ran: ``guest.coverage()``
sampling  where it spends its instructions: ``guest.sample()``
tracing   what happened, one event after the other: ``guest.trace()``
whole_file  a file that is written whole, or not at all
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
from guestdbg.trace.sampling import Profile, Sampler, SamplingError
from guestdbg.trace.tracing import Event, EventWriter, InstructionTrace, Trace, TracingError

__all__ = [
    "Block",
    "Coverage",
    "CoverageError",
    "CoverageResult",
    "CoverageUnavailable",
    "Event",
    "EventWriter",
    "Executed",
    "FunctionCoverage",
    "InstructionTrace",
    "LineCoverage",
    "Profile",
    "Run",
    "Sampler",
    "SamplingError",
    "Trace",
    "TracingError",
    "VcpuCoverage",
]
