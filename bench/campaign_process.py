"""A process that runs cases of a campaign one after the other, and keeps no results.

python -m bench.campaign_process DIRECTORY FIRST END
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Self

from bench.process import environment
from guestdbg.campaign import Campaign


class Process:
    """One such process. It is ready once it is made."""

    def __init__(self, campaign: Campaign, first: int, end: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.campaign_process", str(campaign.directory)]
            + [str(first), str(end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process has ended with the status {self._process.wait()}")
        return line

    def go(self) -> None:
        """Run the cases."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def outcomes(self) -> Counter[str]:
        """Wait for it; how often each outcome was there."""
        return Counter(json.loads(self._read()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def main(directory: str, first: int, end: int) -> None:
    import guestdbg.guest_campaign.runner  # noqa: F401 - the time does not have the imports

    campaign = Campaign(directory)
    campaign.play(0)
    print("ready", flush=True)
    sys.stdin.readline()
    job = campaign.job
    with job.runner(job.load(campaign.contents)) as runner:
        outcomes = Counter(runner.run(campaign.case(n)).outcome for n in range(first, end))
    print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
