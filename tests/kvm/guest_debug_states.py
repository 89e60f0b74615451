"""The states that the properties of guest debug are about, for both kernel versions."""

from hypothesis import strategies as st

from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_USE_SW_BP,
)

from .support import MDSCR_KDE, MDSCR_MDE, MDSCR_SS

#: MDCR_EL2: what an entry traps.
TPMCR, TPM, TDE, TDA, TDOSA, TDRA = (1 << n for n in (5, 6, 8, 9, 10, 11))
ALWAYS = TPM | TPMCR | TDRA | TDOSA

#: Control words of KVM_SET_GUEST_DEBUG.
controls = st.one_of(
    st.just(0),
    st.lists(
        st.sampled_from((KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_SW_BP, KVM_GUESTDBG_USE_HW))
    ).map(lambda flags: sum(set(flags)) | KVM_GUESTDBG_ENABLE),
)


def mdscrs(*more: int) -> st.SearchStrategy[int]:
    """Values of MDSCR_EL1, of the bits that guest debug is about and ``more``."""
    bits = (MDSCR_SS, MDSCR_KDE, MDSCR_MDE, 1 << 12, *more)
    return st.lists(st.sampled_from(bits)).map(lambda chosen: sum(set(chosen)))
