# cython: language_level=3
from guestdbg.cpu.hit_programs cimport Programs

cdef class HitPrograms:
    cdef Programs k
    cdef Py_buffer buffers[32]
