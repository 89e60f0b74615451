"""AFL++ with U-Boot: the parser of its environment, in `env import -t`."""

import tempfile
from pathlib import Path

from bench import afl
from bench.measurement import Measurement
from bench.uboot_example import uboot_example
from bench.uboot_prompt import firmware

BUFFER = 0x4200_0000
SIZE = 256
SEED = b"a=1\nbootdelay=2\n# no variable\n"
TO_COMMAND = 10_000_000_000


def run() -> float:
    uboot = uboot_example()
    path = Path(firmware())
    place = uboot.find_the_way(path, ["env"]).commands["env"]
    line = f"env import -t {BUFFER:x} {SIZE:x}".encode()
    with tempfile.TemporaryDirectory() as name:
        saved = Path(name) / "env-import.guestdbg"
        with uboot.load(path, uboot.terminal(None, [line])) as guest:
            stop = guest.run(until=place, max_instructions=TO_COMMAND)
            if stop.reason != "until":
                raise RuntimeError(f"U-Boot does not come to its command: {stop}")
            guest.save(saved)
        target = [str(saved), "--input", hex(BUFFER), "--max-length", str(SIZE)]
        return afl.executions_per_second(target, SEED)


MEASUREMENT = Measurement(
    "fuzz_uboot_execs_per_second",
    "/s",
    "AFL++ with guestdbg: executions of U-Boot's parser of its environment, both on one core",
    run,
    repeat=3,
)
