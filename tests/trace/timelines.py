"""What viewers read from a trace: Perfetto's own classes, and JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as perfetto


@dataclass
class Track:
    """A track: what was begun and ended on it, in order."""

    name: str
    parent: str | None = None
    open: list[tuple[str, int]] = field(default_factory=list)
    #: Name, begin, end, how deep it lies.
    slices: list[tuple[str, int, int, int]] = field(default_factory=list)
    instants: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    counters: list[tuple[int, int]] = field(default_factory=list)
    last: int = 0

    def at(self, time: int) -> None:
        assert time >= self.last, "viewers drop what comes late"
        self.last = time

    def end(self, time: int) -> None:
        self.at(time)
        name, since = self.open.pop()
        self.slices.append((name, since, time, len(self.open)))


def read_perfetto(data: bytes) -> dict[str, Track]:
    """The tracks by their names, as Perfetto's classes read the file."""
    tracks: dict[int, Track] = {}
    names: dict[int, str] = {}
    for packet in perfetto.Trace.FromString(data).packet:
        assert packet.trusted_packet_sequence_id == 1
        if packet.HasField("track_descriptor"):
            found = packet.track_descriptor
            track = tracks.setdefault(found.uuid, Track(""))
            track.name = found.name
            if found.HasField("parent_uuid"):
                track.parent = tracks[found.parent_uuid].name
        if packet.HasField("interned_data"):
            if packet.sequence_flags & perfetto.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED:
                names.clear()
            names |= {entry.iid: entry.name for entry in packet.interned_data.event_names}
        if packet.HasField("track_event"):
            _perfetto_event(tracks[packet.track_event.track_uuid], packet, names)
    return {track.name: track for track in tracks.values()}


def _perfetto_event(track: Track, packet: Any, names: dict[int, str]) -> None:
    event, time = packet.track_event, packet.timestamp
    name = names[event.name_iid] if event.HasField("name_iid") else event.name
    track.at(time)
    match event.type:
        case perfetto.TrackEvent.TYPE_SLICE_BEGIN:
            track.open.append((name, time))
        case perfetto.TrackEvent.TYPE_SLICE_END:
            track.end(time)
        case perfetto.TrackEvent.TYPE_INSTANT:
            details = {
                each.name: getattr(each, each.WhichOneof("value"))
                for each in event.debug_annotations
            }
            track.instants.append((name, time, details))
        case perfetto.TrackEvent.TYPE_COUNTER:
            track.counters.append((time, event.counter_value))


def read_chrome(data: bytes) -> dict[str, Track]:
    """The tracks by their names."""
    tracks: dict[int, Track] = {}
    clock = Track("guest time (ns)")
    for event in json.loads(data):
        assert event["pid"] == 1
        track = tracks.setdefault(event["tid"], Track("")) if "tid" in event else clock
        time = round(event.get("ts", 0) * 1000)
        match event["ph"]:
            case "M":
                if event["name"] == "thread_name":
                    track.name = event["args"]["name"]
            case "B":
                track.at(time)
                track.open.append((event["name"], time))
            case "E":
                track.end(time)
            case "i":
                track.at(time)
                track.instants.append((event["name"], time, event.get("args", {})))
            case "C":
                clock.counters.append((time, event["args"]["ns"]))
            case other:
                raise AssertionError(other)
    return {track.name: track for track in (*tracks.values(), clock)}


def read(path: Path) -> dict[str, Track]:
    """The tracks of a file of either form, complete: nothing is open."""
    data = path.read_bytes()
    tracks = read_chrome(data) if path.suffix == ".json" else read_perfetto(data)
    assert not any(track.open for track in tracks.values())
    return tracks
