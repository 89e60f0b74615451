"""Processors and their memory under the garbage collector, which may take them in any order."""

import gc

import pytest

from guestdbg.cpu.processor import PhysicalMemory, Processor


@pytest.mark.parametrize("ring_first", [False, True])
@pytest.mark.parametrize("memory_in_ring", [False, True])
def test_a_cycle_may_be_cleared_before_its_processors(
    ring_first: bool, memory_in_ring: bool
) -> None:
    """The collector empties members of a cycle in the order of their age; a processor emptied
    before the last reference to it is gone must still find the memory that it belongs to."""
    buffer = bytearray(4096)
    ring: list[object] = []
    for _ in range(10):
        if ring_first:
            ring = []
        memory = PhysicalMemory()
        memory.map(0, 0x40000000, buffer)
        processors = [Processor(memory), Processor(memory)]
        if not ring_first:
            ring = []
        ring += processors
        ring.append(ring)
        if memory_in_ring:
            ring.append(memory)
        del memory, processors
        ring = []
        gc.collect()
    buffer.clear()  # raises BufferError if a memory still holds it
