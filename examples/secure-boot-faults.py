"""Fault injection: which skipped instruction defeats a signature check?

    python examples/secure-boot-faults.py [DIRECTORY]

The firmware of secure-boot.elf must not start an image whose signature is wrong. Every instruction
of the check is skipped once, each in a run of its own. In secure-boot-hardened.elf the same check
is written so that no single skip defeats it. With a directory, the results stay there.
"""

import sys
import tempfile
from pathlib import Path

import guestdbg
from guestdbg.faults import FaultCampaign, Skip

EXAMPLES = Path(__file__).resolve().parent
FUNCTIONS = {
    "secure-boot": ["main", "boot", "check_signature"],
    "secure-boot-hardened": ["main", "boot", "check_signature", "start"],
}


def skips(name: str, directory: Path) -> FaultCampaign:
    """Skip each instruction of the check of a firmware once."""
    with guestdbg.load(EXAMPLES / f"{name}.elf", provider="soft", console=None) as guest:
        guest.run(until="main")
        campaign: FaultCampaign = guest.fault_campaign(
            directory / name,
            Skip(),
            function=FUNCTIONS[name],
            success="start_image",  # the attack has succeeded
            detected="fault_detected",
            ends="reject",  # what a wrong signature leads to without a fault
            title=f"skipped instructions in {name}.elf",
        )
    campaign.run(workers=0)
    return campaign


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        defeated = {}
        for name in FUNCTIONS:
            campaign = skips(name, directory)
            print(campaign.text(sources=[EXAMPLES]), end="\n\n")
            defeated[name] = campaign.outcomes()["success"]
            if directory != Path(temporary):
                campaign.report(directory / f"{name}.html", sources=[EXAMPLES])
    for name, count in defeated.items():
        print(f"{name}: {count} skipped instructions defeat the check")
    return 0


if __name__ == "__main__":
    sys.exit(main())
