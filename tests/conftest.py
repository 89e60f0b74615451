"""For all tests: what was skipped is listed by name at the end, or is a failure where it must run.

A skipped test is a check that did not happen. Where everything a test may need can be installed
(CI, Debian as root), ``GUESTDBG_NO_SKIPS=1`` makes each skip a failure, so that a missing
package cannot quietly take the real clients out of the run.
"""

import os
import signal
from collections.abc import Generator

import pytest

NO_SKIPS = os.environ.get("GUESTDBG_NO_SKIPS", "") not in ("", "0")

# A shell that runs the tests in the background has SIGINT ignored, by what they start as well:
# Ctrl-C would be tried on programs that cannot hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = _reason(report)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} skipped itself, and nothing may be skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("not run here")
        for report in skipped:
            terminalreporter.write_line(f"{report.nodeid}: {_reason(report)}")
