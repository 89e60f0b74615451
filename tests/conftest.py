"""For all tests: skips are listed by name or forbidden, and nothing may be left behind.

A skipped test is a check that did not happen. Where everything a test may need can be installed
(CI, Debian as root), ``GUESTDBG_NO_SKIPS=1`` makes each skip a failure, so that a missing
package cannot quietly take the real clients out of the run.

The run has a temporary directory of its own. What is left in it at the end makes the run fail, and
so does a new file in the checkout that git does not ignore: a test did not clean up.
"""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

NO_SKIPS = os.environ.get("GUESTDBG_NO_SKIPS", "") not in ("", "0")

# A shell that runs the tests in the background has SIGINT ignored, by what they start as well:
# Ctrl-C would be tried on programs that cannot hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does: that is no property of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_TEMPORARY = pytest.StashKey[Path]()
_UNTRACKED = pytest.StashKey[set[str]]()
_LEFT = pytest.StashKey[list[str]]()


def _untracked() -> set[str]:
    """The files of the checkout that git neither tracks nor ignores; none where there is no git."""
    command = ["git", "ls-files", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return set(result.stdout.splitlines())


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return  # the workers have the directory from the process that started them
    directory = Path(tempfile.mkdtemp(prefix="gd-"))
    os.environ["TMPDIR"] = str(directory)
    tempfile.tempdir = None
    config.stash[_TEMPORARY] = directory
    config.stash[_UNTRACKED] = _untracked()


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if _TEMPORARY not in config.stash:
        return
    # pytest keeps its own directories until the process ends.
    left = [
        f"in the temporary directory: {path.name}"
        for path in sorted(config.stash[_TEMPORARY].iterdir())
        if not path.name.startswith("pytest-of-")
    ]
    new = _untracked() - config.stash[_UNTRACKED]
    left += [f"in the checkout: {name}" for name in sorted(new)]
    config.stash[_LEFT] = left
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    if _TEMPORARY in config.stash:
        shutil.rmtree(config.stash[_TEMPORARY], ignore_errors=True)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = _reason(report)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} skipped itself, and nothing may be skipped: {reason}"


def _messages_are_lost() -> str:
    """Why a test of the library's warnings would see none; "": it would."""
    logger = logging.getLogger("guestdbg")
    if logging.root.manager.disable:
        return f"logging is disabled up to level {logging.root.manager.disable}"
    if logger.level or not logger.propagate:
        return f"the logger of guestdbg has level {logger.level}, propagate={logger.propagate}"
    return ""


def pytest_collection_finish(session: pytest.Session) -> None:
    if why := _messages_are_lost():
        raise pytest.UsageError(f"after the tests were imported, {why}")


@pytest.fixture(autouse=True)
def _messages_arrive_afterwards() -> Iterator[None]:
    yield
    if why := _messages_are_lost():
        pytest.fail(f"after this test, {why}")


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
    left = terminalreporter.config.stash.get(_LEFT, [])
    if left:
        terminalreporter.section("left behind")
        for line in left:
            terminalreporter.write_line(line)
