# cython: language_level=3
"""The physical memory of a VM: the caller's buffers, which the processors read and write in place."""
from libc.stdlib cimport calloc, free
from cpython.buffer cimport PyObject_GetBuffer, PyBuffer_Release, PyBUF_WRITABLE, PyBUF_SIMPLE
from guestdbg.cpu.core cimport *
from guestdbg.cpu.dirty_pages cimport free_notes, note_touched
from guestdbg.cpu.page_tables cimport memory_written, tables_follow, WalkedPage
from guestdbg.cpu.tlb cimport tlb_flush


cdef class PhysicalMemory:
    """The physical address space of a VM: at most 64 regions, shared by its processors."""

    def __dealloc__(self):
        cdef int k
        for k in range(self.p.count):
            self.release(k)

    cdef Region* region(self, int slot) noexcept:
        cdef int k
        for k in range(self.p.count):
            if self.p.regions[k].slot == slot:
                return &self.p.regions[k]
        return NULL

    cdef void release(self, int k) noexcept:
        free(self.p.regions[k].code)
        free(self.p.regions[k].fast)
        free_notes(&self.p.regions[k])
        free(self.tables.pages[k])
        self.tables.pages[k] = NULL
        self.p.readers -= self.readers[k]
        PyBuffer_Release(&self.views[k])

    def map(self, int slot, uint64_t gpa, buffer, bint readonly=False):
        """Put a buffer (page-aligned length) at gpa, in place of what the slot held before.

        Raises ValueError for an address or a length that is not a multiple of 4096, an empty buffer,
        a range beyond 48 bits, an overlap with another slot, or a 65th region.
        """
        cdef Py_buffer view
        cdef int k
        cdef Region* r
        cdef WalkedPage* walked = NULL
        if gpa & 0xFFF:
            raise ValueError(f"guest address {gpa:#x} is not a multiple of 4096")
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        try:
            if view.len == 0 or view.len & 0xFFF:
                raise ValueError(f"{view.len} bytes of memory: must be a multiple of 4096 and not 0")
            if gpa >> 48 or (gpa + <uint64_t>view.len - 1) >> 48:
                raise ValueError(f"memory at {gpa:#x} reaches beyond 48 bits")
            for k in range(self.p.count):
                r = &self.p.regions[k]
                if r.slot != slot and gpa < r.gpa + r.size and r.gpa < gpa + <uint64_t>view.len:
                    raise ValueError(f"{gpa:#x} + {view.len:#x} overlaps slot {r.slot} at {r.gpa:#x} + {r.size:#x}")
            self.unmap(slot)
            if self.p.count == 64:
                raise ValueError("there are 64 regions already")
            r = &self.p.regions[self.p.count]
            r.code = <uint64_t*>calloc(<size_t>(view.len >> 12), 8)
            r.fast = <uint8_t*>calloc(<size_t>(view.len >> 12), 1)
            if self.follows_tables:
                walked = <WalkedPage*>calloc(<size_t>(view.len >> 12), sizeof(WalkedPage))
            if r.code == NULL or r.fast == NULL or (walked == NULL and self.follows_tables):
                free(r.code)
                free(r.fast)
                free(walked)
                raise MemoryError
        except BaseException:
            PyBuffer_Release(&view)
            raise
        self.maps += 1
        self.serials[self.p.count] = self.maps
        self.readers[self.p.count] = 0
        r.written = NULL
        r.touched = NULL
        r.chunks = NULL
        r.gpa = gpa
        r.size = <uint64_t>view.len
        r.host = <uint8_t*>view.buf
        r.readonly = readonly
        r.slot = slot
        self.views[self.p.count] = view
        self.tables.pages[self.p.count] = walked
        self.p.count += 1
        self.forget()

    def unmap(self, int slot):
        """Remove a slot; nothing happens if it is empty."""
        cdef int k
        for k in range(self.p.count):
            if self.p.regions[k].slot == slot:
                self.release(k)
                self.p.count -= 1
                self.p.regions[k] = self.p.regions[self.p.count]
                self.views[k] = self.views[self.p.count]
                self.tables.pages[k] = self.tables.pages[self.p.count]
                self.tables.pages[self.p.count] = NULL
                self.serials[k] = self.serials[self.p.count]
                self.readers[k] = self.readers[self.p.count]
                self.forget()
                return

    cdef void forget(self) noexcept:
        cdef int k, n
        cdef Region* a
        cdef Region* b
        self.p.shared = False
        for k in range(self.p.count):
            a = &self.p.regions[k]
            for n in range(k):
                b = &self.p.regions[n]
                if <uint64_t>a.host < <uint64_t>b.host + b.size and <uint64_t>b.host < <uint64_t>a.host + a.size:
                    self.p.shared = True
        for k in range(self.p.ncpus):
            tlb_flush(self.p.cpus[k])
            drop_all_code(self.p.cpus[k])
            self.p.cpus[k].ex_open = 0

    def code_changed(self, uint64_t gpa, uint64_t length):
        """The caller wrote code into the memory: decoded instructions there are dropped."""
        cdef int k
        cdef Region* r
        cdef uint64_t low, high, end
        if self.p.ncpus == 0:
            return
        end = ~<uint64_t>0 if length > ~<uint64_t>0 - gpa else gpa + length
        for k in range(self.p.count):
            r = &self.p.regions[k]
            low = max(gpa, r.gpa)
            high = min(end, r.gpa + r.size)
            if low < high:
                code_written(self.p.cpus[0], r, low - r.gpa, high - low)
        memory_written(self.p.cpus[0], gpa, length)

    def written(self, uint64_t gpa, uint64_t length):
        """The caller, or a device, has written to the memory: its pages are dirty. Parts that are no memory
        do not matter."""
        note_touched(&self.p, gpa, length)
        if self.p.ncpus:
            memory_written(self.p.cpus[0], gpa, length)

    def follow_tables(self, bint value):
        """Have the TLBs never hold what the tables do not: for runs that are to be repeated (page_tables.pyx).

        False: an entry is kept until a TLBI. No processor of the memory may run. Raises MemoryError.
        """
        cdef int k
        if value == self.follows_tables:
            return
        if value:
            for k in range(self.p.count):
                self.tables.pages[k] = <WalkedPage*>calloc(<size_t>(self.p.regions[k].size >> 12), sizeof(WalkedPage))
                if self.tables.pages[k] == NULL:
                    self.forget_tables()
                    raise MemoryError
        tables_follow(&self.p, &self.tables if value else NULL)
        self.follows_tables = value
        if not value:
            self.forget_tables()

    cdef void forget_tables(self) noexcept:
        cdef int k
        for k in range(self.p.count):
            free(self.tables.pages[k])
            self.tables.pages[k] = NULL

    @property
    def shares_memory(self):
        """Do two slots have the same host memory?"""
        return self.p.shared

    @property
    def has_readers(self):
        """Does anybody read dirty pages?"""
        return self.p.readers != 0
