"""The experiments of scenarios.py on the host provider, for a machine with an arm64 ``/dev/kvm``.

    python -m tests.kvm.host.experiments [NAME...]

Prints one line of JSON for each, as ``answers/*.json`` have them: [name, what was seen].
"""

import json
import sys

from guestdbg.kvm import open_kvm

from ..scenarios import SCENARIOS
from ..seam_machine import SeamMachine


def main(names: list[str]) -> None:
    with open_kvm("host") as kvm:
        for name in names or SCENARIOS:
            machine = SeamMachine(kvm)
            print(json.dumps([name, SCENARIOS[name](machine)]), flush=True)
            machine.close()


if __name__ == "__main__":
    main(sys.argv[1:])
