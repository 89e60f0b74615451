"""Coverage: which instructions, lines and functions of a guest ran, and how often.

errors       the exceptions
executed     instructions that were executed
source_code  lines and functions of the guest's program, and what of them ran
result       what was executed at one time, by vCPU and exception level
as_tables    as tables, for pandas and the like
as_html      as notebooks show it
lcov         as an lcov file (.info)
drcov        as a drcov file (.drcov)
json_form    as JSON
files        which form a file has, and writing it whole
collector    ``Coverage``: on, off, and the results
"""

from guestdbg.trace.coverage.collector import Coverage
from guestdbg.trace.coverage.errors import CoverageError, CoverageUnavailable
from guestdbg.trace.coverage.executed import Block, Executed, Run
from guestdbg.trace.coverage.result import CoverageResult, VcpuCoverage
from guestdbg.trace.coverage.source_code import FunctionCoverage, LineCoverage

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
