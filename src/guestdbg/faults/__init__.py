"""Fault injection: what a skipped instruction or a flipped bit leads to, ``guest.fault_campaign``.

site          an instruction, and each time that it is executed
injection     faults as changes of a guest
models        which faults there are at an instruction
selection     which instructions are meant
golden        the run without a fault, and its instructions
space         all faults by number
outcomes      what the outcome of a case is called
model_parser  fault models as they are written on a command line
job           the cases as the job of a campaign
make          ``guest.fault_campaign``
results       the results: by line, by model

``guestdbg.report`` shows them as text and as a page.
"""

from guestdbg.faults.injection import Injection
from guestdbg.faults.make import fault_campaign
from guestdbg.faults.models import (
    FaultModel,
    InstructionFlip,
    InstructionValue,
    LoadFlip,
    LoadValue,
    MemoryFlip,
    RegisterFlip,
    RegisterValue,
    Skip,
    Variant,
)
from guestdbg.faults.results import FaultCampaign, Found, LineOutcomes
from guestdbg.faults.site import Place, Site
from guestdbg.faults.space import Fault, FaultSpace

__all__ = [
    "Fault",
    "FaultCampaign",
    "FaultModel",
    "FaultSpace",
    "Found",
    "Injection",
    "InstructionFlip",
    "InstructionValue",
    "LineOutcomes",
    "LoadFlip",
    "LoadValue",
    "MemoryFlip",
    "Place",
    "RegisterFlip",
    "RegisterValue",
    "Site",
    "Skip",
    "Variant",
    "fault_campaign",
]
