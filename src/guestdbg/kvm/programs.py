"""The former name of ``guestdbg.kvm.hit_programs``. The next version will not have it."""

from guestdbg.deprecation import moved_module
from guestdbg.kvm import hit_programs

__getattr__ = moved_module(
    __name__, hit_programs, {"Step": "Operation", "MAX_STEPS": "MAX_OPERATIONS"}
)
