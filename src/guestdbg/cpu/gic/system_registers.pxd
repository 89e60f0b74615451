# cython: language_level=3
"""Read and Write functions for the table of sysreg.pyx. number is the group, or that of the list register."""
from libc.stdint cimport uint64_t
from guestdbg.cpu.core cimport Cpu
from guestdbg.cpu.sysreg cimport Reg

cdef uint64_t read_icc_pmr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef void write_icc_pmr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil
cdef uint64_t read_icc_iar(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef void write_icc_eoir(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil
cdef uint64_t read_icc_hppir(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef uint64_t read_icc_bpr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef void write_icc_bpr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil
cdef void write_icc_dir(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil
cdef uint64_t read_icc_rpr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef uint64_t read_icc_ctlr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef void write_icc_ctlr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil
cdef uint64_t read_icc_sre(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef uint64_t read_icc_igrpen(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef void write_icc_igrpen(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil

cdef uint64_t read_apr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
"""ICC_APnR0_EL1 and ICH_APnR0_EL2: the same registers."""
cdef void write_apr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil

cdef uint64_t read_ich_hcr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef void write_ich_hcr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil
cdef uint64_t read_ich_vtr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef uint64_t read_ich_misr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef uint64_t read_ich_eisr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef uint64_t read_ich_elrsr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef uint64_t read_ich_vmcr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef void write_ich_vmcr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil
cdef uint64_t read_ich_lr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef void write_ich_lr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil
