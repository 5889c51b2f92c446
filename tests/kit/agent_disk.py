"""A disk that tears: what was not synced is lost, kept or half written when the power goes."""

from __future__ import annotations


class Disk:
    """Files: what is durable, and what was written and not synced."""

    def __init__(self) -> None:
        self.durable: dict[str, bytearray] = {}
        self.unsynced: list[tuple[str, int, bytes]] = []

    def copy(self) -> Disk:
        other = Disk()
        other.durable = {name: bytearray(data) for name, data in self.durable.items()}
        other.unsynced = list(self.unsynced)
        return other

    def write(self, file: str, offset: int, data: bytes | memoryview) -> None:
        self.unsynced.append((file, offset, bytes(data)))

    def sync(self, file: str) -> None:
        for name, offset, data in self.unsynced:
            if name == file:
                _put(self.durable.setdefault(file, bytearray()), offset, data)
        self.unsynced = [entry for entry in self.unsynced if entry[0] != file]

    def save(self, file: str, data: bytes) -> None:
        self.delete(file)
        self.durable[file] = bytearray(data)

    def delete(self, file: str) -> None:
        self.durable.pop(file, None)
        self.unsynced = [entry for entry in self.unsynced if entry[0] != file]

    def read(self, file: str) -> bytes | None:
        data = self.durable.get(file)
        view = bytearray() if data is None else bytearray(data)
        found = data is not None
        for name, offset, part in self.unsynced:
            if name == file:
                _put(view, offset, part)
                found = True
        return bytes(view) if found else None

    def cut(self, tear: str) -> None:
        """Power went. `tear`: unsynced writes are lost (none), torn in the middle (half), kept (all),
        or kept but for the first one (late: the disk reordered them)."""
        for place, (name, offset, data) in enumerate(self.unsynced):
            kept = {"none": 0, "half": len(data) // 2, "all": len(data)}.get(tear)
            if kept is None:
                kept = len(data) if place else 0
            if kept:
                file = self.durable.setdefault(name, bytearray())
                _put(file, offset, data[:kept])
        self.unsynced = []


def _put(file: bytearray, offset: int, data: bytes) -> None:
    if len(file) < offset:
        file.extend(b"\xff" * (offset - len(file)))
    file[offset : offset + len(data)] = data
