"""Runs cases in this process, and says which, so that whoever started it knows where it died.

    fuzz_worker.py KIND FIRST COUNT [ACTIONS [LEFT-OUT,...]]

Prints a line when a case begins ("case KIND SEED"), one when it is over ("done KIND SEED
INSTRUCTIONS"), and "fail KIND SEED" with a traceback where it is not as it must be; then it ends.
What does not come to its end in time dies with a traceback (exit status 1); crashes leave one too.
"""

from __future__ import annotations

import faulthandler
import sys
import traceback

import fuzz_cpu
import fuzz_soft
from fuzz_case import Case

KINDS: dict[str, type[Case]] = {"cpu": fuzz_cpu.CpuCase, "soft": fuzz_soft.SoftCase}
ACTIONS = 24
SECONDS = 60  # for one case: hundreds of times what it takes


def main(arguments: list[str]) -> int:
    kind, first, count = arguments[0], int(arguments[1]), int(arguments[2])
    actions = int(arguments[3]) if len(arguments) > 3 else ACTIONS
    leave_out = {int(n) for n in arguments[4].split(",")} if len(arguments) > 4 else set()
    faulthandler.enable()
    alone = len(arguments) > 3

    def tell(what: str) -> None:
        if alone:
            print(f"  {what}", flush=True)

    for seed in range(first, first + count):
        print(f"case {kind} {seed}", flush=True)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            instructions = KINDS[kind](seed).run(actions, leave_out, tell)
        except Exception:
            print(f"fail {kind} {seed}", flush=True)
            traceback.print_exc()
            return 2
        finally:
            faulthandler.cancel_dump_traceback_later()
        print(f"done {kind} {seed} {instructions}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
