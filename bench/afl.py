"""AFL++ with a target of `guestdbg fuzz`, both on one core."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from bench import process
from bench.measurement import Unavailable

SECONDS = 10
LIMIT_SECONDS = 120


def executions_per_second(target: list[str], seed: bytes) -> float:
    """What AFL++ says of a target, given the arguments of `guestdbg fuzz`.

    Raises Unavailable without AFL++, and RuntimeError if it has failed or has learned nothing.
    """
    if shutil.which("afl-fuzz") is None:
        raise Unavailable("no afl-fuzz (Debian's afl++)")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "in").mkdir()
        (directory / "in" / "seed").write_bytes(seed)
        # AFL++ binds itself to a core, and so what it starts.
        done = subprocess.run(
            [
                *("afl-fuzz", "-U", "-s", "1", "-V", str(SECONDS), "-i", str(directory / "in")),
                *("-o", str(directory / "out"), "--", *process.GUESTDBG, "fuzz", *target),
            ],
            env={**process.environment(), "AFL_NO_UI": "1", "AFL_SKIP_CPUFREQ": "1"}
            | {"AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        if done.returncode != 0:
            raise RuntimeError(f"afl-fuzz has failed: {done.stdout[-500:]}")
        statistics = dict(
            line.split(":", 1)
            for line in (directory / "out/default/fuzzer_stats").read_text().splitlines()
        )
    found = {key.strip(): value.strip() for key, value in statistics.items()}
    if int(found["corpus_found"]) < 3:
        raise RuntimeError(f"afl-fuzz has learned nothing: {found}")
    return float(found["execs_per_sec"])
