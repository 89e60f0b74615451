"""A profile by samples: where a guest spends its instructions.

errors      the exceptions
profile     stacks, and how often each was found
folded      a profile as folded stacks, for flame graphs
speedscope  a profile as a file of speedscope
sampler     a run that is interrupted for samples
"""

from guestdbg.trace.sampling.errors import SamplingError
from guestdbg.trace.sampling.profile import Profile
from guestdbg.trace.sampling.sampler import Sampler

__all__ = ["Profile", "Sampler", "SamplingError"]
