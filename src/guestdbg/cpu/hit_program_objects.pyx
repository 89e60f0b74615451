# cython: language_level=3
"""Hit programs as Python objects: checked, and prepared for hit_programs.pyx."""
from libc.stdlib cimport free
from cpython.buffer cimport PyObject_GetBuffer, PyBuffer_Release, PyBUF_WRITABLE, PyBUF_SIMPLE
from cpython.bytes cimport PyBytes_FromStringAndSize
from guestdbg.cpu.hit_programs cimport *


cdef inline uint64_t record_size(const Program* p) noexcept nogil:
    return (RECORD_WORDS + p.nregisters + p.nfields) * 8


cdef class HitPrograms:
    """Programs for hits, checked and prepared; see Processor.set_programs()."""

    def __cinit__(self, programs, plain=(), hidden=()):
        cdef Program* p
        cdef uint32_t n
        if len(programs) > MAX_PROGRAMS:
            raise ValueError(f"{len(programs)} hit programs: there can be {MAX_PROGRAMS}")
        if len(plain) > MAX_PLAIN:
            raise ValueError(f"{len(plain)} ranges without a program: there can be {MAX_PLAIN}")
        if len(hidden) > MAX_HIDDEN:
            raise ValueError(f"{len(hidden)} hidden words: there can be {MAX_HIDDEN}")
        for n, address in enumerate(hidden):
            self.k.hidden.address[n] = address
        self.k.hidden.count = len(hidden)
        for n, (address, end) in enumerate(plain):
            self.k.plain_address[n] = address
            self.k.plain_end[n] = end & 0xFFFFFFFFFFFFFFFF     # 0: the end of the address space
        self.k.plain_count = len(plain)
        for kind, address, length, access, code, buffer, registers, *more in programs:
            fields, vcpu = more or ((), 0)
            p = &self.k.program[self.k.count]
            if kind not in (KIND_WATCH, KIND_BREAK) or length < (1 if kind == KIND_WATCH else 0):
                raise ValueError(f"a hit program of kind {kind} for {length} bytes")
            p.kind = kind
            p.hidden = &self.k.hidden
            p.address = address
            p.length = length
            p.access = access
            p.scalar = kind == KIND_WATCH and length in (1, 2, 4, 8)
            if len(registers) > 16 or not all(0 <= r <= 30 for r in registers):
                raise ValueError("a record holds at most 16 of x0 to x30")
            p.nregisters = len(registers)
            for n, r in enumerate(registers):
                p.registers[n] = r
            if code is not None:
                load_condition(p, code)
            self.k.count += 1
            if not 0 <= vcpu < 1 << 16:
                raise ValueError(f"vCPU {vcpu} in a record: must have 16 bits")
            p.vcpu = vcpu
            for code in fields:
                load_field(p, code)
            if buffer is not None:
                p.action = ACTION_RECORD
                PyObject_GetBuffer(buffer, &self.buffers[self.k.count - 1], PyBUF_SIMPLE | PyBUF_WRITABLE)
                p.buffer = <uint8_t*>self.buffers[self.k.count - 1].buf
                p.capacity = <uint64_t>self.buffers[self.k.count - 1].len // record_size(p)
                if p.capacity == 0:
                    raise ValueError("the buffer is too small for one record")

    def __dealloc__(self):
        cdef uint32_t n, m
        for n in range(MAX_PROGRAMS):
            free(self.k.program[n].code)
            for m in range(MAX_FIELDS):
                free(self.k.program[n].field[m])
            if self.k.program[n].buffer != NULL:
                PyBuffer_Release(&self.buffers[n])

    def __len__(self):
        return self.k.count

    def counts(self, uint32_t n):
        """(hits, hits whose condition was true) of program n so far."""
        if n >= self.k.count:
            raise IndexError(f"program {n} of {self.k.count}")
        return self.k.program[n].seen, self.k.program[n].passed

    def set_counts(self, uint32_t n, uint64_t seen, uint64_t passed):
        if n >= self.k.count:
            raise IndexError(f"program {n} of {self.k.count}")
        self.k.program[n].seen = seen
        self.k.program[n].passed = passed

    def recorded(self, uint32_t n):
        """How many records of program n are in its buffer."""
        if n >= self.k.count:
            raise IndexError(f"program {n} of {self.k.count}")
        return self.k.program[n].used

    def clear(self, uint32_t n, uint64_t room=0):
        """The records of program n have been read: its buffer is empty again, and full after room more, or
        with room 0 when it has as many as it can hold."""
        cdef Program* p
        if n >= self.k.count:
            raise IndexError(f"program {n} of {self.k.count}")
        p = &self.k.program[n]
        p.used = 0
        if p.buffer != NULL:
            p.capacity = <uint64_t>self.buffers[n].len // record_size(p)
            if room:
                p.capacity = min(p.capacity, room)

    def full(self):
        """Programs, as a mask, whose buffer is full: at EXIT_HIT."""
        return self.k.full

    def hit(self):
        """What stopped the run with EXIT_HIT: (pc, address, size, access, hits); a hit is (program,
        decided, old bytes, new bytes or None). A recording program whose buffer is full is among them with its
        last hit."""
        cdef uint32_t n
        cdef Program* p
        found = []
        for n in range(self.k.count):
            if ((self.k.stopped | self.k.full) >> n) & 1:
                p = &self.k.program[n]
                found.append((n, bool(p.decided), PyBytes_FromStringAndSize(<char*>p.old, p.size),
                              PyBytes_FromStringAndSize(<char*>p.new, p.size) if p.written else None))
        return self.k.pc, self.k.address, self.k.size, self.k.access, found
