"""--sample: where the guest spends its instructions, in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guestdbg.closing import Closing

if TYPE_CHECKING:
    # At run time they are imported only for a run with samples.
    from guestdbg.cli.running.guest_run import GuestRun
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Guest
    from guestdbg.trace import Sampler
    from guestdbg.trace.whole_file import WholeFile

_DEFAULT_EVERY = 1_000_000


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options."""
    for option in reversed(
        (
            click.option(
                "--sample",
                "sample_path",
                metavar="FILE",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Write where the guest spends its instructions to FILE.folded (for flame "
                "graphs) or .json (speedscope).",
            ),
            click.option(
                "--sample-every",
                metavar="N",
                type=click.IntRange(100),
                help=f"Instructions between two samples. [default: {_DEFAULT_EVERY:,}]",
            ),
            click.option(
                "--sample-overwrite",
                is_flag=True,
                help="The file of --sample may exist: replace it.",
            ),
        )
    ):
        command = option(command)
    return command


class SampleFile(Closing):
    """The file of --sample: opened before the guest runs, written when it has ended.

    Raises SamplingError for a file that cannot be written, and if the guest's provider does not
    count instructions; click.UsageError for options without a file.
    """

    def __init__(self, path: Path | None, every: int | None, *, overwrite: bool) -> None:
        if path is None and (every or overwrite):
            option = "--sample-every" if every else "--sample-overwrite"
            raise click.UsageError(f"{option} without --sample: there is no file to write.")
        self._every = every or _DEFAULT_EVERY
        self._file: WholeFile | None = None
        self._sampler: Sampler | None = None
        if path is None:
            return
        from guestdbg.trace.sampling import SamplingError
        from guestdbg.trace.sampling.profile import check_ending
        from guestdbg.trace.whole_file import WholeFile

        check_ending(path)
        self._file = WholeFile(
            path,
            "a profile",
            overwrite=overwrite,
            option="--sample-overwrite",
            error=SamplingError,
        )

    def begin(self, guest: Guest, guest_run: GuestRun) -> None:
        """The guest is about to run."""
        if self._file is not None:
            self._sampler = guest.sample(self._every)
            guest_run.resume = self._sampler.run

    def write(self, terminal: Terminal) -> bool:
        """The run has ended. Returns whether the file could be written; if not, that is said."""
        if self._sampler is None or self._file is None:
            return True
        from guestdbg.trace.sampling import SamplingError

        profile = self._sampler.profile
        try:
            self._file.put(profile.form(self._file.path.suffix))
        except SamplingError as error:
            terminal.line(f"-- {error}")
            return False
        what = f"{profile.samples:,} samples, one every {profile.every:,} instructions"
        terminal.line(f"-- profile: {self._file.path}: {what}")
        return True

    def close(self) -> None:
        """Remove what was not written."""
        if self._file is not None:
            self._file.close()
