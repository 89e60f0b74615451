# cython: language_level=3
"""Which pages of memory were written since a reader looked last.

Time is divided into epochs. The first store to a page in an epoch takes the slow path, which notes the
epoch for the page; until the epoch ends further stores are fast. An epoch ends when a reader looks, if
anything was noted in it: then no TLB entry may write without the slow path any more. Each reader keeps
the epoch in which it looked last, so there can be any number of them. Without readers nothing is noted.
"""
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from guestdbg.cpu.core cimport CHUNK, Phys, Region
from guestdbg.cpu.memory cimport PhysicalMemory
from guestdbg.cpu.tlb cimport write_everything_slowly


cdef void note_written(Phys* p, Region* r, uint64_t page) noexcept nogil:
    cdef int k
    cdef Region* o
    cdef int64_t offset
    r.written[page] = p.epoch
    r.chunks[page >> CHUNK] = p.epoch
    p.noted = p.epoch
    if not p.shared:
        return
    # To another slot with the same host memory it is a write from outside.
    for k in range(p.count):
        o = &p.regions[k]
        if o == r:
            continue
        offset = <int64_t>(<uint64_t>r.host + (page << 12) - <uint64_t>o.host)
        note_range(p, o, offset, 4096)


cdef void note_range(Phys* p, Region* r, int64_t offset, uint64_t length) noexcept nogil:
    """offset: of the first byte in the slot; the range may begin before it and end after it."""
    cdef uint64_t page, end
    if r.touched == NULL:
        return
    if offset < 0:
        if length <= <uint64_t>-offset:
            return
        length -= <uint64_t>-offset
        offset = 0
    if length == 0 or <uint64_t>offset >= r.size:
        return
    if length > r.size - <uint64_t>offset:
        length = r.size - <uint64_t>offset
    end = (<uint64_t>offset + length - 1) >> 12
    for page in range(<uint64_t>offset >> 12, end + 1):
        r.touched[page] = p.epoch
        r.chunks[page >> CHUNK] = p.epoch
    p.noted = p.epoch


cdef void note_touched(Phys* p, uint64_t gpa, uint64_t length) noexcept nogil:
    cdef int k, n
    cdef Region* r
    cdef Region* o
    cdef uint64_t low, high, end
    if not p.readers:
        return
    end = ~<uint64_t>0 if length > ~<uint64_t>0 - gpa else gpa + length
    for k in range(p.count):
        r = &p.regions[k]
        low = gpa if gpa > r.gpa else r.gpa
        high = end if end < r.gpa + r.size else r.gpa + r.size
        if low >= high:
            continue
        note_range(p, r, <int64_t>(low - r.gpa), high - low)
        if p.shared:
            for n in range(p.count):
                o = &p.regions[n]
                if o != r:
                    note_range(p, o, <int64_t>(<uint64_t>r.host + (low - r.gpa) - <uint64_t>o.host), high - low)


cdef void free_notes(Region* r) noexcept nogil:
    free(r.written)
    free(r.touched)
    free(r.chunks)
    r.written = NULL
    r.touched = NULL
    r.chunks = NULL


cdef class DirtyPages:
    """A reader: which pages of a slot were written since it was opened, or since its last pages().

    guest_only: only by the guest; otherwise also by userspace and devices, as far as they say so
    (PhysicalMemory.written()). Raises ValueError for a slot that is not in use.

    No processor of the memory may run during any of its calls.
    """
    def __cinit__(self, PhysicalMemory memory not None, int slot, bint guest_only=False):
        cdef Region* r = memory.region(slot)
        cdef uint64_t pages
        if r == NULL:
            raise ValueError(f"slot {slot} is not in use")
        self.memory = memory
        self.slot = slot
        self.guest_only = guest_only
        if r.written == NULL:
            pages = r.size >> 12
            r.written = <uint64_t*>calloc(pages, 8)
            r.touched = <uint64_t*>calloc(pages, 8)
            r.chunks = <uint64_t*>calloc((pages >> CHUNK) + 1, 8)
            if r.written == NULL or r.touched == NULL or r.chunks == NULL:
                free_notes(r)
                raise MemoryError
            memory.p.noted = memory.p.epoch        # stores to it were not noted so far: they are fast
        self.serial = memory.serials[r - memory.p.regions]
        memory.readers[r - memory.p.regions] += 1
        memory.p.readers += 1
        self.begin()

    cdef void begin(self) noexcept:
        cdef Phys* p = &self.memory.p
        if p.noted == p.epoch:
            p.epoch += 1
            write_everything_slowly(p)
        self.since = p.epoch

    cdef Region* region(self) noexcept:
        cdef Region* r = self.memory.region(self.slot)
        if r == NULL or not self.serial or self.memory.serials[r - self.memory.p.regions] != self.serial:
            return NULL
        return r

    @property
    def is_open(self):
        """False after close(), and when its slot was removed or replaced."""
        return self.region() != NULL

    def pages(self):
        """[(first page, pages)] of the slot, in ascending order, and the next call begins after them.

        Raises ValueError if it is not open.
        """
        found = self.peek()
        self.begin()
        return found

    def peek(self):
        """The same, and the next call returns them again.

        Raises ValueError if it is not open.
        """
        cdef Region* r = self.region()
        cdef uint64_t chunk, page, end, first = 0, count = 0, total
        if r == NULL:
            raise ValueError(f"the reader of slot {self.slot} is closed, or the slot was removed")
        found = []
        total = r.size >> 12
        for chunk in range(((total - 1) >> CHUNK) + 1):
            if r.chunks[chunk] < self.since:
                continue
            end = min((chunk + 1) << CHUNK, total)
            for page in range(chunk << CHUNK, end):
                if r.written[page] < self.since and (self.guest_only or r.touched[page] < self.since):
                    continue
                if count and first + count == page:
                    count += 1
                    continue
                if count:
                    found.append((first, count))
                first = page
                count = 1
        if count:
            found.append((first, count))
        return found

    def close(self):
        """Note nothing for this reader any more."""
        cdef Region* r = self.region()
        self.serial = 0
        if r == NULL:
            return
        self.memory.p.readers -= 1
        self.memory.readers[r - self.memory.p.regions] -= 1
        if not self.memory.readers[r - self.memory.p.regions]:
            free_notes(r)

    def __dealloc__(self):
        if self.memory is not None and self.serial:
            self.close()
