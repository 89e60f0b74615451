# cython: language_level=3
"""The state of a processor field by field, in a form for files.

All fields of struct Cpu are here except those that a snapshot does not keep (state.pyx), and those that
mean nothing between runs. The form is little-endian, as the hosts are that the processor is compiled for:

    u16 version, u16 number of fields; for each: u8 length of its name, the name, u16 size, its bytes

It is of a file that anybody may have made. So every field that is used as an index, a size or a truth
value without a check has a limit here, and what the processor is must be what it is here.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from guestdbg.cpu.core cimport *

cdef enum:
    VERSION = 1
    STATE = 0         # what changes
    IDENTITY = 1      # what the processor is: it must be equal

cdef uint64_t ANY = ~<uint64_t>0

names = ()            # of the fields, in their order: for the tests


cdef void note(list found, const Cpu* c, str name, const void* at, size_t size, int kind, uint64_t most):
    found.append((name.encode(), <uint64_t>(<const char*>at - <const char*>c), size, kind, most))


cdef list fields_of(const Cpu* c):
    """(name, offset, size in bytes, STATE or IDENTITY, the largest value) of each field."""
    found = []
    note(found, c, "x", &c.x[0], sizeof(c.x), STATE, ANY)
    note(found, c, "nf", &c.nf, sizeof(c.nf), STATE, ANY)
    note(found, c, "zf", &c.zf, sizeof(c.zf), STATE, ANY)
    note(found, c, "cf", &c.cf, sizeof(c.cf), STATE, ANY)
    note(found, c, "vf", &c.vf, sizeof(c.vf), STATE, ANY)
    note(found, c, "pc", &c.pc, sizeof(c.pc), STATE, ANY)
    note(found, c, "lo", &c.lo, sizeof(c.lo), STATE, ANY)
    note(found, c, "hi", &c.hi, sizeof(c.hi), STATE, ANY)
    note(found, c, "v", &c.v[0], sizeof(c.v), STATE, ANY)
    note(found, c, "exit", &c.exit, sizeof(c.exit), STATE, ANY)
    note(found, c, "end_count", &c.end_count, sizeof(c.end_count), STATE, ANY)
    note(found, c, "limit", &c.limit, sizeof(c.limit), STATE, ANY)
    note(found, c, "signals", &c.signals, sizeof(c.signals), STATE, ANY)
    note(found, c, "el", &c.el, sizeof(c.el), STATE, 1)
    note(found, c, "spsel", &c.spsel, sizeof(c.spsel), STATE, 1)
    note(found, c, "daif", &c.daif, sizeof(c.daif), STATE, ANY)
    note(found, c, "ss", &c.ss, sizeof(c.ss), STATE, 1)
    note(found, c, "il", &c.il, sizeof(c.il), STATE, 1)
    note(found, c, "pstate", &c.pstate, sizeof(c.pstate), STATE, ANY)
    note(found, c, "btype", &c.btype, sizeof(c.btype), STATE, 3)
    note(found, c, "btype_at", &c.btype_at, sizeof(c.btype_at), STATE, ANY)
    note(found, c, "pstate_mask", &c.pstate_mask, sizeof(c.pstate_mask), IDENTITY, ANY)
    note(found, c, "sp_el", &c.sp_el[0], sizeof(c.sp_el), STATE, ANY)
    note(found, c, "fpcr", &c.fpcr, sizeof(c.fpcr), STATE, ANY)
    note(found, c, "fpsr", &c.fpsr, sizeof(c.fpsr), STATE, ANY)
    note(found, c, "fp_trapped", &c.fp_trapped, sizeof(c.fp_trapped), STATE, 1)
    note(found, c, "ex_open", &c.ex_open, sizeof(c.ex_open), STATE, 1)
    note(found, c, "ex_pa", &c.ex_pa, sizeof(c.ex_pa), STATE, ANY)
    note(found, c, "ex_size", &c.ex_size, sizeof(c.ex_size), STATE, ANY)
    note(found, c, "ex_lo", &c.ex_lo, sizeof(c.ex_lo), STATE, ANY)
    note(found, c, "ex_hi", &c.ex_hi, sizeof(c.ex_hi), STATE, ANY)
    note(found, c, "event", &c.event, sizeof(c.event), STATE, 1)
    note(found, c, "sctlr_el1", &c.sctlr_el1, sizeof(c.sctlr_el1), STATE, ANY)
    note(found, c, "actlr_el1", &c.actlr_el1, sizeof(c.actlr_el1), STATE, ANY)
    note(found, c, "cpacr_el1", &c.cpacr_el1, sizeof(c.cpacr_el1), STATE, ANY)
    note(found, c, "ttbr0_el1", &c.ttbr0_el1, sizeof(c.ttbr0_el1), STATE, ANY)
    note(found, c, "ttbr1_el1", &c.ttbr1_el1, sizeof(c.ttbr1_el1), STATE, ANY)
    note(found, c, "tcr_el1", &c.tcr_el1, sizeof(c.tcr_el1), STATE, ANY)
    note(found, c, "esr_el1", &c.esr_el1, sizeof(c.esr_el1), STATE, ANY)
    note(found, c, "afsr0_el1", &c.afsr0_el1, sizeof(c.afsr0_el1), STATE, ANY)
    note(found, c, "afsr1_el1", &c.afsr1_el1, sizeof(c.afsr1_el1), STATE, ANY)
    note(found, c, "far_el1", &c.far_el1, sizeof(c.far_el1), STATE, ANY)
    note(found, c, "par_el1", &c.par_el1, sizeof(c.par_el1), STATE, ANY)
    note(found, c, "mair_el1", &c.mair_el1, sizeof(c.mair_el1), STATE, ANY)
    note(found, c, "amair_el1", &c.amair_el1, sizeof(c.amair_el1), STATE, ANY)
    note(found, c, "vbar_el1", &c.vbar_el1, sizeof(c.vbar_el1), STATE, ANY)
    note(found, c, "contextidr_el1", &c.contextidr_el1, sizeof(c.contextidr_el1), STATE, ANY)
    note(found, c, "tpidr_el0", &c.tpidr_el0, sizeof(c.tpidr_el0), STATE, ANY)
    note(found, c, "tpidrro_el0", &c.tpidrro_el0, sizeof(c.tpidrro_el0), STATE, ANY)
    note(found, c, "tpidr_el1", &c.tpidr_el1, sizeof(c.tpidr_el1), STATE, ANY)
    note(found, c, "elr_el1", &c.elr_el1, sizeof(c.elr_el1), STATE, ANY)
    note(found, c, "spsr_el1", &c.spsr_el1, sizeof(c.spsr_el1), STATE, ANY)
    note(found, c, "csselr_el1", &c.csselr_el1, sizeof(c.csselr_el1), STATE, ANY)
    note(found, c, "cntkctl_el1", &c.cntkctl_el1, sizeof(c.cntkctl_el1), STATE, ANY)
    note(found, c, "keys", &c.keys[0], sizeof(c.keys), STATE, ANY)
    note(found, c, "disr_el1", &c.disr_el1, sizeof(c.disr_el1), STATE, ANY)
    note(found, c, "errselr_el1", &c.errselr_el1, sizeof(c.errselr_el1), STATE, ANY)
    note(found, c, "vtimer.cval", &c.vtimer.cval, sizeof(c.vtimer.cval), STATE, ANY)
    note(found, c, "vtimer.ctl", &c.vtimer.ctl, sizeof(c.vtimer.ctl), STATE, ANY)
    note(found, c, "ptimer.cval", &c.ptimer.cval, sizeof(c.ptimer.cval), STATE, ANY)
    note(found, c, "ptimer.ctl", &c.ptimer.ctl, sizeof(c.ptimer.ctl), STATE, ANY)
    note(found, c, "pmcr_el0", &c.pmcr_el0, sizeof(c.pmcr_el0), STATE, ANY)
    note(found, c, "pmuserenr_el0", &c.pmuserenr_el0, sizeof(c.pmuserenr_el0), STATE, ANY)
    note(found, c, "mdscr_el1", &c.mdscr_el1, sizeof(c.mdscr_el1), STATE, ANY)
    note(found, c, "dbgbvr", &c.dbgbvr[0], sizeof(c.dbgbvr), STATE, ANY)
    note(found, c, "dbgbcr", &c.dbgbcr[0], sizeof(c.dbgbcr), STATE, ANY)
    note(found, c, "dbgwvr", &c.dbgwvr[0], sizeof(c.dbgwvr), STATE, ANY)
    note(found, c, "dbgwcr", &c.dbgwcr[0], sizeof(c.dbgwcr), STATE, ANY)
    note(found, c, "oslk", &c.oslk, sizeof(c.oslk), STATE, 1)
    note(found, c, "osdlr_el1", &c.osdlr_el1, sizeof(c.osdlr_el1), STATE, ANY)
    note(found, c, "dbgclaim", &c.dbgclaim, sizeof(c.dbgclaim), STATE, ANY)
    note(found, c, "dbgprcr_el1", &c.dbgprcr_el1, sizeof(c.dbgprcr_el1), STATE, ANY)
    note(found, c, "osdtrrx_el1", &c.osdtrrx_el1, sizeof(c.osdtrrx_el1), STATE, ANY)
    note(found, c, "osdtrtx_el1", &c.osdtrtx_el1, sizeof(c.osdtrtx_el1), STATE, ANY)
    note(found, c, "oseccr_el1", &c.oseccr_el1, sizeof(c.oseccr_el1), STATE, ANY)
    note(found, c, "mdccint_el1", &c.mdccint_el1, sizeof(c.mdccint_el1), STATE, ANY)
    note(found, c, "hcr_el2", &c.hcr_el2, sizeof(c.hcr_el2), STATE, ANY)
    note(found, c, "mdcr_el2", &c.mdcr_el2, sizeof(c.mdcr_el2), STATE, ANY)
    note(found, c, "cptr_el2", &c.cptr_el2, sizeof(c.cptr_el2), STATE, ANY)
    note(found, c, "cnthctl_el2", &c.cnthctl_el2, sizeof(c.cnthctl_el2), STATE, ANY)
    note(found, c, "cntvoff_el2", &c.cntvoff_el2, sizeof(c.cntvoff_el2), STATE, ANY)
    note(found, c, "vttbr_el2", &c.vttbr_el2, sizeof(c.vttbr_el2), STATE, ANY)
    note(found, c, "vpidr_el2", &c.vpidr_el2, sizeof(c.vpidr_el2), STATE, ANY)
    note(found, c, "vmpidr_el2", &c.vmpidr_el2, sizeof(c.vmpidr_el2), STATE, ANY)
    note(found, c, "hstr_el2", &c.hstr_el2, sizeof(c.hstr_el2), STATE, ANY)
    note(found, c, "esr_el2", &c.esr_el2, sizeof(c.esr_el2), STATE, ANY)
    note(found, c, "far_el2", &c.far_el2, sizeof(c.far_el2), STATE, ANY)
    note(found, c, "hpfar_el2", &c.hpfar_el2, sizeof(c.hpfar_el2), STATE, ANY)
    note(found, c, "vsesr_el2", &c.vsesr_el2, sizeof(c.vsesr_el2), STATE, ANY)
    note(found, c, "vdisr_el2", &c.vdisr_el2, sizeof(c.vdisr_el2), STATE, ANY)
    note(found, c, "gic.version", &c.gic.version, sizeof(c.gic.version), IDENTITY, ANY)
    note(found, c, "gic.list_registers", &c.gic.list_registers, sizeof(c.gic.list_registers), IDENTITY, ANY)
    note(found, c, "gic.hcr", &c.gic.hcr, sizeof(c.gic.hcr), STATE, ANY)
    note(found, c, "gic.vmcr", &c.gic.vmcr, sizeof(c.gic.vmcr), STATE, ANY)
    note(found, c, "gic.apr", &c.gic.apr[0], sizeof(c.gic.apr), STATE, ANY)
    note(found, c, "gic.lr", &c.gic.lr[0], sizeof(c.gic.lr), STATE, ANY)
    note(found, c, "gic.frame", &c.gic.frame, sizeof(c.gic.frame), STATE, ANY)
    note(found, c, "gic.frame_size", &c.gic.frame_size, sizeof(c.gic.frame_size), STATE, ANY)
    note(found, c, "gic.data", &c.gic.data[0], sizeof(c.gic.data), STATE, ANY)
    note(found, c, "first_elr", &c.first_elr, sizeof(c.first_elr), STATE, ANY)
    note(found, c, "first_spsr", &c.first_spsr, sizeof(c.first_spsr), STATE, ANY)
    note(found, c, "first_esr", &c.first_esr, sizeof(c.first_esr), STATE, ANY)
    note(found, c, "first_far", &c.first_far, sizeof(c.first_far), STATE, ANY)
    note(found, c, "first_vector", &c.first_vector, sizeof(c.first_vector), STATE, ANY)
    note(found, c, "first_has_far", &c.first_has_far, sizeof(c.first_has_far), STATE, 1)
    note(found, c, "nested", &c.nested, sizeof(c.nested), STATE, ANY)
    note(found, c, "nested_at", &c.nested_at, sizeof(c.nested_at), STATE, ANY)
    note(found, c, "midr_el1", &c.midr_el1, sizeof(c.midr_el1), IDENTITY, ANY)
    note(found, c, "mpidr_el1", &c.mpidr_el1, sizeof(c.mpidr_el1), IDENTITY, ANY)
    note(found, c, "revidr_el1", &c.revidr_el1, sizeof(c.revidr_el1), IDENTITY, ANY)
    note(found, c, "id_aa64pfr0", &c.id_aa64pfr0, sizeof(c.id_aa64pfr0), IDENTITY, ANY)
    note(found, c, "id_aa64pfr1", &c.id_aa64pfr1, sizeof(c.id_aa64pfr1), IDENTITY, ANY)
    note(found, c, "id_aa64dfr0", &c.id_aa64dfr0, sizeof(c.id_aa64dfr0), IDENTITY, ANY)
    note(found, c, "id_aa64dfr1", &c.id_aa64dfr1, sizeof(c.id_aa64dfr1), IDENTITY, ANY)
    note(found, c, "id_aa64isar0", &c.id_aa64isar0, sizeof(c.id_aa64isar0), IDENTITY, ANY)
    note(found, c, "id_aa64isar1", &c.id_aa64isar1, sizeof(c.id_aa64isar1), IDENTITY, ANY)
    note(found, c, "id_aa64mmfr0", &c.id_aa64mmfr0, sizeof(c.id_aa64mmfr0), IDENTITY, ANY)
    note(found, c, "id_aa64mmfr1", &c.id_aa64mmfr1, sizeof(c.id_aa64mmfr1), IDENTITY, ANY)
    note(found, c, "id_aa64mmfr2", &c.id_aa64mmfr2, sizeof(c.id_aa64mmfr2), IDENTITY, ANY)
    note(found, c, "ctr_el0", &c.ctr_el0, sizeof(c.ctr_el0), IDENTITY, ANY)
    note(found, c, "dczid_el0", &c.dczid_el0, sizeof(c.dczid_el0), IDENTITY, ANY)
    note(found, c, "clidr_el1", &c.clidr_el1, sizeof(c.clidr_el1), IDENTITY, ANY)
    note(found, c, "cntfrq_el0", &c.cntfrq_el0, sizeof(c.cntfrq_el0), IDENTITY, ANY)
    note(found, c, "nbrp", &c.nbrp, sizeof(c.nbrp), IDENTITY, ANY)
    note(found, c, "nwrp", &c.nwrp, sizeof(c.nwrp), IDENTITY, ANY)
    note(found, c, "nctx", &c.nctx, sizeof(c.nctx), IDENTITY, ANY)
    note(found, c, "bp_live", &c.bp_live, sizeof(c.bp_live), STATE, ANY)
    note(found, c, "wp_live", &c.wp_live, sizeof(c.wp_live), STATE, ANY)
    note(found, c, "bp_everywhere", &c.bp_everywhere, sizeof(c.bp_everywhere), STATE, 1)
    note(found, c, "step_enabled", &c.step_enabled, sizeof(c.step_enabled), STATE, 1)
    note(found, c, "step_exclusive", &c.step_exclusive, sizeof(c.step_exclusive), STATE, 1)
    note(found, c, "wp_far", &c.wp_far, sizeof(c.wp_far), STATE, ANY)
    note(found, c, "wp_read", &c.wp_read, sizeof(c.wp_read), STATE, 1)
    note(found, c, "did_step", &c.did_step, sizeof(c.did_step), STATE, 1)
    note(found, c, "suspended", &c.suspended, sizeof(c.suspended), STATE, 1)
    note(found, c, "skip_bp_once", &c.skip_bp_once, sizeof(c.skip_bp_once), STATE, 1)
    note(found, c, "pr_va", &c.pr_va, sizeof(c.pr_va), STATE, ANY)
    note(found, c, "pr_size", &c.pr_size, sizeof(c.pr_size), STATE, ANY)
    note(found, c, "pr_flags", &c.pr_flags, sizeof(c.pr_flags), STATE, ANY)
    note(found, c, "tr_pa", &c.tr_pa, sizeof(c.tr_pa), STATE, ANY)
    note(found, c, "tr_prot", &c.tr_prot, sizeof(c.tr_prot), STATE, ANY)
    note(found, c, "tr_device", &c.tr_device, sizeof(c.tr_device), STATE, ANY)
    note(found, c, "tr_readonly", &c.tr_readonly, sizeof(c.tr_readonly), STATE, ANY)
    note(found, c, "tr_attr", &c.tr_attr, sizeof(c.tr_attr), STATE, ANY)
    note(found, c, "tr_sh", &c.tr_sh, sizeof(c.tr_sh), STATE, ANY)
    note(found, c, "tr_fsc", &c.tr_fsc, sizeof(c.tr_fsc), STATE, ANY)
    note(found, c, "tr_s1ptw", &c.tr_s1ptw, sizeof(c.tr_s1ptw), STATE, ANY)
    note(found, c, "tr_ipa", &c.tr_ipa, sizeof(c.tr_ipa), STATE, ANY)
    note(found, c, "tr_ns", &c.tr_ns, sizeof(c.tr_ns), STATE, ANY)
    note(found, c, "tr_origin", &c.tr_origin, sizeof(c.tr_origin), STATE, ANY)
    note(found, c, "tr_guarded", &c.tr_guarded, sizeof(c.tr_guarded), STATE, 1)
    note(found, c, "fetch_guarded", &c.fetch_guarded, sizeof(c.fetch_guarded), STATE, 1)
    note(found, c, "time_offset", &c.time_offset, sizeof(c.time_offset), STATE, ANY)
    note(found, c, "vtimer_was", &c.vtimer_was, sizeof(c.vtimer_was), STATE, 1)
    note(found, c, "ptimer_was", &c.ptimer_was, sizeof(c.ptimer_was), STATE, 1)
    note(found, c, "undef_raw", &c.undef_raw[0], sizeof(c.undef_raw), STATE, ANY)
    note(found, c, "undef_pc", &c.undef_pc[0], sizeof(c.undef_pc), STATE, ANY)
    note(found, c, "undef_count", &c.undef_count, sizeof(c.undef_count), STATE, 32)
    return found


cdef Cpu somewhere    # only for the offsets
cdef list FIELDS = fields_of(&somewhere)
names = tuple(name.decode() for name, _, _, _, _ in FIELDS)


cdef bytes serialized(const Cpu* c):
    cdef uint64_t offset, size
    parts = [VERSION.to_bytes(2, "little"), len(FIELDS).to_bytes(2, "little")]
    for name, offset, size, _, _ in FIELDS:
        parts.append(bytes((len(name),)) + name + int(size).to_bytes(2, "little"))
        parts.append(PyBytes_FromStringAndSize(<const char*>c + offset, <Py_ssize_t>size))
    return b"".join(parts)


cdef int parse_into(Cpu* c, const Cpu* own, bytes data) except -1:
    cdef uint64_t offset, size
    values = parsed(data)
    known = {name for name, _, _, _, _ in FIELDS}
    for name in values:
        if name not in known:
            raise ValueError(f"a processor has no field {name.decode('ascii', 'backslashreplace')}")
    for name, offset, size, kind, most in FIELDS:
        value = values.get(name)
        text = name.decode()
        if value is None:
            raise ValueError(f"the field {text} of the processor is missing")
        if len(value) != size:
            raise ValueError(f"the field {text} of the processor has {len(value)} bytes, not {size}")
        if kind == IDENTITY and memcmp(<const char*>own + offset, PyBytes_AS_STRING(value), size):
            here = PyBytes_FromStringAndSize(<const char*>own + offset, <Py_ssize_t>size)
            raise ValueError(
                f"it is of another processor: {text} is {int.from_bytes(value, 'little'):#x} there, and "
                f"{int.from_bytes(here, 'little'):#x} here"
            )
        if most != ANY and int.from_bytes(value, "little") > most:
            raise ValueError(
                f"the field {text} of the processor is {int.from_bytes(value, 'little'):#x}; it is {most} at most"
            )
    for name, offset, size, _, _ in FIELDS:
        memcpy(<char*>c + offset, PyBytes_AS_STRING(values[name]), size)
    return 0


cdef dict parsed(bytes data):
    """The fields' bytes by their names."""
    if len(data) < 4:
        raise ValueError("the state of the processor is truncated")
    version = int.from_bytes(data[:2], "little")
    if version != VERSION:
        raise ValueError(f"the state of the processor has version {version}; {VERSION} is known")
    values = {}
    at = 4
    for _ in range(int.from_bytes(data[2:4], "little")):
        length = data[at] if at < len(data) else 0
        name = data[at + 1 : at + 1 + length]
        at += 1 + length
        size = int.from_bytes(data[at : at + 2], "little")
        if at + 2 + size > len(data):
            raise ValueError("the state of the processor is truncated")
        if name in values:
            raise ValueError("the state of the processor has a field twice")
        values[name] = data[at + 2 : at + 2 + size]
        at += 2 + size
    if at != len(data):
        raise ValueError("the state of the processor has more bytes than its fields")
    return values
