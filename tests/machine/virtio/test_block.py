"""The block device, against a file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.machine.virtio import DriveError
from guestdbg.machine.virtio.block import _F_FLUSH, _F_RO, _F_WRITE_ZEROES
from guestdbg.machine.virtio.constants import Feature, Status
from tests.machine.virtio.disks import (
    DATA_AT,
    FLUSH,
    GET_ID,
    IN,
    IOERR,
    OK,
    OUT,
    SECTORS,
    STATUS_AT,
    UNSUPPORTED,
    WRITE_ZEROES,
    disk,
    driving,
    request,
)
from tests.machine.virtio.driver import RAM, RAM_SIZE, Segment


def split(length: int, pieces: list[int], writes: bool) -> list[Segment]:
    """``length`` bytes at DATA_AT as segments, with gaps between them."""
    segments, at = [], DATA_AT
    for piece in pieces:
        count = min(piece, length)
        if count:
            segments.append((at, count, writes))
        at += count + 8
        length -= count
    if length:
        segments.append((at, length, writes))
    return segments


def gathered(driver_memory: object, segments: list[Segment]) -> bytes:
    read = driver_memory.read  # type: ignore[attr-defined]
    return b"".join(read(address, length) for address, length, _ in segments)


@pytest.mark.parametrize("options", ["", ",readonly", ",overlay"])
def test_reads(tmp_path: Path, options: str) -> None:
    contents = disk(tmp_path / "a.img")
    with driving(f"{tmp_path}/a.img{options}") as driver:
        ring = driver.start()
        assert bool(driver.offered & _F_RO) is (options == ",readonly")
        for sector, count in ((0, 1), (7, 16), (SECTORS - 1, 1), (0, SECTORS)):
            for indirect in (False, True):
                segments = split(512 * count, [100, 412, 4096], True)
                driver.memory.write(DATA_AT, bytes(0x30000))
                driver.dma.clear()
                assert request(ring, IN, sector, segments, indirect=indirect) == OK
                assert (
                    gathered(driver.memory, segments)
                    == contents[512 * sector : 512 * (sector + count)]
                )
                assert [(a, n) for a, n, _ in segments] == driver.dma[: len(segments)]
                assert (STATUS_AT, 1) in driver.dma


def test_neighbouring_segments_are_reported_as_one(tmp_path: Path) -> None:
    disk(tmp_path / "a.img")
    with driving(f"{tmp_path}/a.img,readonly") as driver:
        ring = driver.start()
        segments = [(DATA_AT + 512 * n, 512, True) for n in range(8)]
        assert request(ring, IN, 0, segments) == OK
        assert driver.dma[0] == (DATA_AT, 4096)


def test_the_used_length_is_what_was_written(tmp_path: Path) -> None:
    disk(tmp_path / "a.img")
    with driving(f"{tmp_path}/a.img,readonly") as driver:
        ring = driver.start()
        request(ring, IN, 0, [(DATA_AT, 1024, True)])
        used = ring.used + 4
        assert struct.unpack("<II", driver.memory.read(used, 8))[1] == 1025
        request(ring, IN, SECTORS, [(DATA_AT, 1024, True)])
        assert struct.unpack("<II", driver.memory.read(used + 8, 8))[1] == 1


def test_writes_go_to_the_file(tmp_path: Path) -> None:
    contents = bytearray(disk(tmp_path / "a.img"))
    with driving(f"{tmp_path}/a.img") as driver:
        ring = driver.start()
        driver.memory.write(DATA_AT, bytes(range(256)) * 8)
        segments = split(1024, [1, 511], False)
        assert request(ring, OUT, 9, segments, indirect=True) == OK
        assert request(ring, FLUSH, 0) == OK
        contents[9 * 512 : 11 * 512] = gathered(driver.memory, segments)
        assert (tmp_path / "a.img").read_bytes() == contents
        with pytest.raises(
            DriveError, match=r"a snapshot does not have what is in a file.*overlay"
        ):
            driver.device.snapshot()


def test_without_the_flush_feature_a_write_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(tmp_path / "a.img")
    with driving(f"{tmp_path}/a.img") as driver:
        flushed: list[int] = []
        monkeypatch.setattr(driver.device.backend.image, "flush", lambda: flushed.append(1))
        for features, count in ((Feature.VERSION_1, 1), (Feature.VERSION_1 | _F_FLUSH, 0)):
            ring = driver.start(features)
            flushed.clear()
            assert request(ring, OUT, 0, [(DATA_AT, 512, False)]) == OK
            assert len(flushed) == count


def test_a_read_only_disk_is_not_written(tmp_path: Path) -> None:
    contents = disk(tmp_path / "a.img")
    with driving(f"{tmp_path}/a.img,readonly") as driver:
        ring = driver.start()
        assert not driver.offered & _F_WRITE_ZEROES
        assert request(ring, OUT, 0, [(DATA_AT, 512, False)]) == IOERR
        zeroes = struct.pack("<QII", 0, 1, 0)
        driver.memory.write(DATA_AT, zeroes)
        assert request(ring, WRITE_ZEROES, 0, [(DATA_AT, 16, False)]) == UNSUPPORTED
    assert (tmp_path / "a.img").read_bytes() == contents


def test_it_has_a_name(tmp_path: Path) -> None:
    disk(tmp_path / "a.img")
    with driving(f"{tmp_path}/a.img,readonly") as driver:
        ring = driver.start()
        assert request(ring, GET_ID, 0, [(DATA_AT, 20, True)]) == OK
        assert driver.memory.read(DATA_AT, 20) == b"serial of the disk, "
        driver.memory.write(DATA_AT, b"." * 20)
        assert request(ring, GET_ID, 0, [(DATA_AT, 3, True), (DATA_AT + 8, 4, True)]) == OK
        assert driver.memory.read(DATA_AT, 20) == b"ser.....ial ........"


@pytest.mark.parametrize("options", ["", ",overlay"])
def test_zeroes(tmp_path: Path, options: str) -> None:
    contents = bytearray(disk(tmp_path / "a.img"))
    with driving(f"{tmp_path}/a.img{options}") as driver:
        ring = driver.start()

        def zero(sector: int, count: int, flags: int = 0) -> int | None:
            driver.memory.write(DATA_AT, struct.pack("<QII", sector, count, flags))
            return request(ring, WRITE_ZEROES, 0, [(DATA_AT, 16, False)])

        assert zero(3, 30) == OK
        assert zero(64, 8, 1) == OK
        assert zero(0, 1, 2) == UNSUPPORTED
        assert zero(SECTORS - 1, 2) == IOERR
        assert zero(0, 0xFFFF_FFFF) == IOERR
        assert zero((1 << 64) - 1, 1) == IOERR
        assert request(ring, WRITE_ZEROES, 0, [(DATA_AT, 15, False)]) == UNSUPPORTED
        contents[3 * 512 : 33 * 512] = bytes(30 * 512)
        contents[64 * 512 : 72 * 512] = bytes(8 * 512)
        assert request(ring, IN, 0, [(DATA_AT, 512 * SECTORS, True)]) == OK
        assert driver.memory.read(DATA_AT, 512 * SECTORS) == contents


@pytest.mark.parametrize(
    ("kind", "sector", "length", "status"),
    [
        (IN, SECTORS, 512, IOERR),
        (IN, SECTORS - 1, 1024, IOERR),
        (IN, (1 << 64) - 1, 512, IOERR),
        (IN, 0, 511, IOERR),
        (OUT, SECTORS, 512, IOERR),
        (OUT, 0, 100, IOERR),
        (99, 0, 512, UNSUPPORTED),
        (2, 0, 512, UNSUPPORTED),
    ],
)
def test_requests_that_cannot_be(
    tmp_path: Path, kind: int, sector: int, length: int, status: int
) -> None:
    contents = disk(tmp_path / "a.img")
    with driving(f"{tmp_path}/a.img") as driver:
        ring = driver.start()
        driver.memory.write(DATA_AT, b"#" * 2048)
        assert request(ring, kind, sector, [(DATA_AT, length, kind != OUT)]) == status
        assert driver.memory.read(DATA_AT, 2048) == b"#" * 2048
        assert not driver.status & Status.DEVICE_NEEDS_RESET
    assert (tmp_path / "a.img").read_bytes() == contents


def test_a_file_that_became_shorter_is_an_io_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk(tmp_path / "a.img")
    with driving(f"{tmp_path}/a.img") as driver:
        ring = driver.start()
        with open(tmp_path / "a.img", "r+b") as file:
            file.truncate(512)
        for _ in range(3):
            assert request(ring, IN, 0, [(DATA_AT, 1024, True)]) == IOERR
        assert request(ring, IN, 0, [(DATA_AT, 512, True)]) == OK
    assert caplog.text.count("is shorter than when it was opened") == 1


def test_an_overlay_is_in_the_snapshot(tmp_path: Path) -> None:
    contents = disk(tmp_path / "a.img", 20)  # the last cluster is half one
    with driving(f"{tmp_path}/a.img,overlay") as driver:
        ring = driver.start()

        def put(sector: int, byte: bytes) -> None:
            driver.memory.write(DATA_AT, byte * 512)
            assert request(ring, OUT, sector, [(DATA_AT, 512, False)]) == OK

        def get(sector: int) -> bytes:
            assert request(ring, IN, sector, [(DATA_AT, 512, True)]) == OK
            return driver.memory.read(DATA_AT, 512)

        put(1, b"a")
        image = driver.device.backend.image  # type: ignore[attr-defined]
        before = image.snapshot()
        put(1, b"b")
        put(19, b"c")
        assert (get(1), get(19)) == (b"b" * 512, b"c" * 512)
        assert image.memory_size == 8192
        image.restore(before)
        assert get(1) == b"a" * 512
        assert get(19) == contents[19 * 512 :]
        image.restore(before)
        put(2, b"d")
        image.restore(before)
        assert get(2) == contents[2 * 512 : 3 * 512]
    assert (tmp_path / "a.img").read_bytes() == contents


def test_a_full_overlay_is_an_io_error(tmp_path: Path) -> None:
    disk(tmp_path / "a.img")
    with driving(f"{tmp_path}/a.img,overlay") as driver:
        ring = driver.start()
        driver.device.backend.image._limit = 2  # type: ignore[attr-defined]
        for sector, status in ((0, OK), (8, OK), (1, OK), (16, IOERR), (15, OK)):
            assert request(ring, OUT, sector, [(DATA_AT, 512, False)]) == status


operations = st.tuples(
    st.sampled_from((IN, OUT)),
    st.integers(0, SECTORS - 1),
    st.integers(1, 24),
    st.lists(st.integers(1, 5000), max_size=6),
    st.booleans(),
    st.integers(0, 255),
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(("", ",overlay")), st.lists(operations, max_size=12))
def test_any_requests_are_as_on_an_array(
    tmp_path_factory: pytest.TempPathFactory,
    options: str,
    todo: list[tuple[int, int, int, list[int], bool, int]],
) -> None:
    path = tmp_path_factory.mktemp("disks") / "a.img"
    model = bytearray(disk(path))
    with driving(f"{path}{options}") as driver:
        ring = driver.start()
        for kind, sector, count, pieces, indirect, byte in todo:
            count = min(count, SECTORS - sector)
            segments = split(512 * count, pieces, kind == IN)
            driver.memory.write(DATA_AT, bytes((byte + n) % 256 for n in range(512 * count + 64)))
            assert request(ring, kind, sector, segments, indirect=indirect) == OK
            data = gathered(driver.memory, segments)
            if kind == OUT:
                model[512 * sector : 512 * (sector + count)] = data
            else:
                assert data == model[512 * sector : 512 * (sector + count)]
        assert request(ring, IN, 0, [(DATA_AT, 512 * SECTORS, True)]) == OK
        assert driver.memory.read(DATA_AT, 512 * SECTORS) == model


def test_memory_has_its_place() -> None:
    assert DATA_AT + 512 * SECTORS < RAM + RAM_SIZE
