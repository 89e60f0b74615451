# cython: language_level=3
"""The contents of guest memory, stored page by page: the pages that are not zero, each of them once.

Consecutive snapshots share the pages that did not change between them.
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport malloc, realloc, free
from libc.string cimport memcmp, memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.buffer cimport PyObject_GetBuffer, PyBuffer_Release, PyBUF_WRITABLE, PyBUF_SIMPLE
from guestdbg.cpu.core cimport CHUNK, code_written, Phys, Region
from guestdbg.cpu.dirty_pages cimport DirtyPages
from guestdbg.cpu.page_tables cimport memory_written

cdef extern from *:
    """
    #include <unistd.h>
    #include <sys/mman.h>
    /* Did the host take the pages back? Then they read as zero. On Linux only, where MADV_DONTNEED does
       this for private anonymous memory. */
    static int guestdbg_drop_pages(void *start, size_t length)
    {
    #ifdef __linux__
        return madvise(start, length, MADV_DONTNEED) == 0;
    #else
        return 0;
    #endif
    }
    """
    bint guestdbg_drop_pages(void* start, size_t length) nogil

cdef enum:
    PAGE = 4096
    LINE = 64              # what a bit of Region.code is for
    DROPPED = 64           # so many zero pages in succession are given back to the host

cdef uint8_t[4096] zeros
memset(zeros, 0, PAGE)

cdef struct Page:
    int64_t users          # that hold it; only accessed under the GIL
    const uint8_t* data    # 4096 bytes, which follow this struct if nobody else owns them
    void* owner            # the object that they belong to, referenced; NULL: nobody else

cdef struct Kept:
    uint64_t number        # of the page, counted from the start of the buffer
    Page* page


#: Bytes that a page takes in memory, with what malloc() adds.
PAGE_COST = sizeof(Page) + PAGE + 8
#: Bytes of it in the list of each snapshot that has it.
PAGE_ENTRY = sizeof(Kept)


cdef class Pages:
    """The pages of a buffer that are not zero.

    buffer: its length a multiple of 4096. touched: (first page, pages) in ascending order; all other
    pages are zero. before: Pages of the same buffer, with which unchanged pages are shared; or None.
    only: all other pages are as in `before` instead.
    """
    cdef Kept* kept                    # in the order of their numbers
    cdef uint64_t count
    cdef uint64_t room
    cdef readonly uint64_t length      # of the buffer, in pages

    def __cinit__(self, buffer, touched, Pages before=None, bint only=False):
        cdef Py_buffer view
        cdef const uint8_t* at
        cdef uint64_t n, first, pages, k = 0
        cdef Page* page
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
        try:
            self.length = self.whole_pages(view.len)
            if only and (before is None or before.length != self.length):
                raise ValueError("there are no pages before, or of another buffer")
            for first, pages in checked(touched, self.length):
                while only and k < before.count and before.kept[k].number < first:
                    self.add(before.kept[k].number, NULL, before.kept[k].page)
                    k += 1
                for n in range(first, first + pages):
                    at = <const uint8_t*>view.buf + n * PAGE
                    if memcmp(at, zeros, PAGE) == 0:
                        continue
                    page = NULL
                    if before is not None:
                        while k < before.count and before.kept[k].number < n:
                            k += 1
                        if (k < before.count and before.kept[k].number == n
                                and memcmp(at, before.kept[k].page.data, PAGE) == 0):
                            page = before.kept[k].page
                    self.add(n, at, page)
                while only and k < before.count and before.kept[k].number < first + pages:
                    k += 1
            while only and k < before.count:
                self.add(before.kept[k].number, NULL, before.kept[k].page)
                k += 1
            self.trim()
        finally:
            PyBuffer_Release(&view)

    cdef void trim(self) noexcept:
        """Give back the room for more entries, of which there will be none."""
        cdef Kept* less
        if self.count < self.room and self.count:
            less = <Kept*>realloc(self.kept, self.count * sizeof(Kept))
            if less != NULL:
                self.kept = less
                self.room = self.count

    cdef uint64_t whole_pages(self, Py_ssize_t size) except? 0:
        if size % PAGE:
            raise ValueError(f"{size} bytes: must be a multiple of {PAGE}")
        return <uint64_t>size // PAGE

    cdef int add(self, uint64_t number, const uint8_t* at, Page* shared) except -1:
        cdef Kept* more
        if self.count == self.room:
            more = <Kept*>realloc(self.kept, (2 * self.room + 64) * sizeof(Kept))
            if more == NULL:
                raise MemoryError
            self.kept = more
            self.room = 2 * self.room + 64
        if shared == NULL:
            shared = <Page*>malloc(sizeof(Page) + PAGE)
            if shared == NULL:
                raise MemoryError
            shared.users = 0
            shared.owner = NULL
            shared.data = <const uint8_t*>shared + sizeof(Page)
            memcpy(<uint8_t*>shared + sizeof(Page), at, PAGE)
        shared.users += 1
        self.kept[self.count].number = number
        self.kept[self.count].page = shared
        self.count += 1
        return 0

    def __dealloc__(self):
        cdef uint64_t k
        for k in range(self.count):
            self.kept[k].page.users -= 1
            if self.kept[k].page.users == 0:
                if self.kept[k].page.owner != NULL:
                    Py_DECREF(<object>self.kept[k].page.owner)
                free(self.kept[k].page)
        free(self.kept)

    @staticmethod
    def over(buffer, runs):
        """Pages that are not copied: these pages of a buffer, whose contents never change from now on."""
        cdef Pages pages = Pages.__new__(Pages, b"", ())
        cdef object owner = memoryview(buffer)     # while it exists, the buffer stays where it is
        cdef Py_buffer view
        cdef const uint8_t* start
        cdef uint64_t n, first, count
        cdef Page* page
        PyObject_GetBuffer(owner, &view, PyBUF_SIMPLE)
        start = <const uint8_t*>view.buf
        PyBuffer_Release(&view)
        pages.length = pages.whole_pages(owner.nbytes)
        for first, count in checked(runs, pages.length):
            for n in range(first, first + count):
                page = <Page*>malloc(sizeof(Page))
                if page == NULL:
                    raise MemoryError
                page.users = 0
                page.data = start + n * PAGE
                page.owner = <void*>owner
                Py_INCREF(owner)
                try:
                    pages.add(n, NULL, page)
                except MemoryError:
                    Py_DECREF(owner)
                    free(page)
                    raise
        return pages

    def numbers(self):
        """[(first page, pages)] that are kept."""
        cdef uint64_t k
        runs = []
        for k in range(self.count):
            note(runs, self.kept[k].number)
        return runs

    def contents(self, uint64_t start, uint64_t count):
        """The bytes of `count` kept pages, from the one in place `start` on."""
        cdef uint64_t k
        if start > self.count or count > self.count - start:
            raise ValueError(f"{count} pages from place {start} on: there are {self.count}")
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(count * PAGE))
        for k in range(count):
            memcpy(PyBytes_AS_STRING(data) + k * PAGE, self.kept[start + k].page.data, PAGE)
        return data

    def __len__(self):
        """How many pages are kept."""
        return self.count

    @property
    def index_size(self):
        """Bytes that the list of them takes, which is not shared."""
        return self.room * sizeof(Kept)

    def owned(self):
        """How many of them no other snapshot shares."""
        cdef uint64_t k, own = 0
        for k in range(self.count):
            own += self.kept[k].page.users == 1
        return own

    def count_beside(self, Pages other not None):
        """How many of them `other`, of the same buffer, does not share."""
        cdef uint64_t k, n = 0, own = 0
        if self.length != other.length:
            raise ValueError(f"{other.length} pages: there are {self.length}")
        for k in range(self.count):
            while n < other.count and other.kept[n].number < self.kept[k].number:
                n += 1
            own += not (n < other.count and other.kept[n].page == self.kept[k].page)
        return own

    def unlike(self, Pages other not None):
        """[(first page, pages)] that may differ between the two: they are not shared."""
        cdef uint64_t k = 0, n = 0
        runs = []
        if self.length != other.length:
            raise ValueError(f"{other.length} pages: there are {self.length}")
        while k < self.count or n < other.count:
            if n == other.count or (k < self.count and self.kept[k].number < other.kept[n].number):
                note(runs, self.kept[k].number)
                k += 1
            elif k == self.count or self.kept[k].number > other.kept[n].number:
                note(runs, other.kept[n].number)
                n += 1
            else:
                if self.kept[k].page != other.kept[n].page:
                    note(runs, self.kept[k].number)
                k += 1
                n += 1
        return runs

    def differing_in(self, buffer, runs):
        """[(first page, pages)] among these where the buffer has changed."""
        cdef Py_buffer view
        cdef const uint8_t* at
        cdef const uint8_t* kept
        cdef uint64_t n, first, pages, k = 0
        found = []
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
        try:
            if self.whole_pages(view.len) != self.length:
                raise ValueError(f"{view.len} bytes: there were {self.length * PAGE}")
            for first, pages in checked(runs, self.length):
                for n in range(first, first + pages):
                    while k < self.count and self.kept[k].number < n:
                        k += 1
                    at = <const uint8_t*>view.buf + n * PAGE
                    kept = &zeros[0]
                    if k < self.count and self.kept[k].number == n:
                        kept = &self.kept[k].page.data[0]
                    if memcmp(at, kept, PAGE) != 0:
                        note(found, n)
        finally:
            PyBuffer_Release(&view)
        return found

    def differing(self, buffer, touched):
        """[(first page, pages)] where the buffer has changed; touched as above."""
        cdef Py_buffer view
        cdef const uint8_t* at
        cdef uint64_t n, first, pages, k = 0
        runs = []
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
        try:
            if self.whole_pages(view.len) != self.length:
                raise ValueError(f"{view.len} bytes: there were {self.length * PAGE}")
            for first, pages in checked(touched, self.length):
                for n in range(first, first + pages):
                    while k < self.count and self.kept[k].number < n:
                        note(runs, self.kept[k].number)       # not touched: the page is zero now
                        k += 1
                    at = <const uint8_t*>view.buf + n * PAGE
                    if k < self.count and self.kept[k].number == n:
                        if memcmp(at, self.kept[k].page.data, PAGE) != 0:
                            note(runs, n)
                        k += 1
                    elif memcmp(at, zeros, PAGE) != 0:
                        note(runs, n)
            while k < self.count:
                note(runs, self.kept[k].number)
                k += 1
        finally:
            PyBuffer_Release(&view)
        return runs

    def put_back(self, buffer, runs, bint drop):
        """Restore pages of the buffer. drop: give those that were zero back to the host, which only works
        for private anonymous memory."""
        cdef Py_buffer view
        cdef uint8_t* start
        cdef uint64_t n, end, first, pages, k = 0, zero_from
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        try:
            start = <uint8_t*>view.buf
            if self.whole_pages(view.len) != self.length:
                raise ValueError(f"{view.len} bytes: there were {self.length * PAGE}")
            # Only whole host pages can be given back.
            drop = drop and <uint64_t>start % PAGE == 0 and host_page_size == PAGE
            for first, pages in checked(runs, self.length):
                n = first
                end = first + pages
                while n < end:
                    while k < self.count and self.kept[k].number < n:
                        k += 1
                    if k < self.count and self.kept[k].number == n:
                        memcpy(start + n * PAGE, self.kept[k].page.data, PAGE)
                        n += 1
                        continue
                    zero_from = n
                    n = end if k == self.count else min(end, self.kept[k].number)
                    if not (drop and guestdbg_drop_pages(start + zero_from * PAGE, (n - zero_from) * PAGE)):
                        memset(start + zero_from * PAGE, 0, (n - zero_from) * PAGE)
        finally:
            PyBuffer_Release(&view)

    def put_back_written(self, DirtyPages reader not None, bint drop):
        """Restore what was written since the reader began, and begin it anew.

        The slot's contents were these pages then, and it shares no memory with another slot. Decoded code
        stays where the bytes that it comes from have not changed. drop: as in put_back(); but fewer zero
        pages than DROPPED in succession stay with the slot: a system call and the host's page faults cost
        more than writing them, and the guest that has touched them will often do so again.

        Raises ValueError if the reader is not open, or its slot has another size. No processor of the memory
        may run.
        """
        cdef Region* r = reader.region()
        cdef Phys* p
        cdef uint64_t chunk, page, end, k = 0, zero_from = 0, zeros_pending = 0
        cdef uint8_t* at
        cdef const uint8_t* kept
        if r == NULL:
            raise ValueError(f"the reader of slot {reader.slot} is closed, or the slot was removed")
        if r.size != self.length * PAGE:
            raise ValueError(f"slot {reader.slot} has {r.size} bytes: there were {self.length * PAGE}")
        p = &reader.memory.p
        drop = drop and <uint64_t>r.host % PAGE == 0 and host_page_size == PAGE
        for chunk in range(((self.length - 1) >> CHUNK) + 1):
            if r.chunks[chunk] < reader.since:
                continue
            end = min((chunk + 1) << CHUNK, self.length)
            for page in range(chunk << CHUNK, end):
                if r.written[page] < reader.since and (reader.guest_only or r.touched[page] < reader.since):
                    continue
                at = r.host + page * PAGE
                k = self.place_of(page, k)
                kept = self.kept[k].page.data if k < self.count and self.kept[k].number == page else &zeros[0]
                if memcmp(at, kept, PAGE) == 0:
                    continue
                if r.code[page] and r.code[page] & unlike_lines(at, kept):
                    code_written(p.cpus[0], r, page * PAGE, PAGE)
                if kept != &zeros[0]:
                    memcpy(at, kept, PAGE)
                else:
                    if zeros_pending and zero_from + zeros_pending != page:
                        zero(r.host + zero_from * PAGE, zeros_pending, drop)
                        zeros_pending = 0
                    if not zeros_pending:
                        zero_from = page
                    zeros_pending += 1
                # Other readers are to see it, too.
                r.touched[page] = p.epoch
                r.chunks[chunk] = p.epoch
                p.noted = p.epoch
                if p.ncpus:
                    memory_written(p.cpus[0], r.gpa + page * PAGE, PAGE)
        if zeros_pending:
            zero(r.host + zero_from * PAGE, zeros_pending, drop)
        reader.begin()

    cdef uint64_t place_of(self, uint64_t number, uint64_t low) noexcept:
        """The place of the first kept page from `number` on, which is not before `low`."""
        cdef uint64_t high = self.count, middle
        while low < high:
            middle = (low + high) >> 1
            if self.kept[middle].number < number:
                low = middle + 1
            else:
                high = middle
        return low


cdef uint64_t unlike_lines(const uint8_t* one, const uint8_t* other) noexcept nogil:
    """A bit for each 64 bytes of a page that differ."""
    cdef uint64_t lines = 0
    cdef int n
    for n in range(PAGE // LINE):
        if memcmp(one + n * LINE, other + n * LINE, LINE) != 0:
            lines |= <uint64_t>1 << n
    return lines


cdef void zero(uint8_t* start, uint64_t pages, bint drop) noexcept nogil:
    if not (drop and pages >= DROPPED and guestdbg_drop_pages(start, pages * PAGE)):
        memset(start, 0, pages * PAGE)


cdef extern from "unistd.h":
    long sysconf(int name)
    int _SC_PAGESIZE


cdef long host_page_size = sysconf(_SC_PAGESIZE)


cdef list checked(ranges, uint64_t length):
    """Check that the ranges ascend and lie in the buffer: only then may they be accessed."""
    cdef uint64_t at = 0, first, pages
    found = []
    for first, pages in ranges:
        if first < at or pages > length or first > length - pages:
            raise ValueError(f"{pages} pages from {first} on, after {at}, of {length}")
        at = first + pages
        found.append((first, pages))
    return found


cdef int note(list runs, uint64_t number) except -1:
    if runs and runs[-1][0] + runs[-1][1] == number:
        runs[-1] = (runs[-1][0], runs[-1][1] + 1)
    else:
        runs.append((number, 1))
    return 0


def address_of(buffer):
    """The host address of a buffer, and its length in bytes."""
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        return <uint64_t>view.buf, view.len
    finally:
        PyBuffer_Release(&view)
