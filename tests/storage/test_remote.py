"""A place in a store answers as a folder does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bench.core.errors import BenchError
from bench.storage.atomic_write import write_durably
from bench.storage.path import Place, place
from bench.storage.remote import filesystem

_FILES = ("header.json", "clean/0.json", "clean/1.json", "clean/.hidden.json", "a[b]/x.npz", "a[b]/deep/er/y.json")


def _answers(root: Place) -> dict[str, object]:
    """What a place says about itself and about what is in it."""
    one, folder = root / "clean" / "0.json", root / "a[b]"
    return {
        "exists": [each.exists() for each in (one, folder, root, root / "absent", root / "clea")],
        "file": [each.is_file() for each in (one, folder, root / "absent")],
        "folder": [each.is_dir() for each in (one, folder, root, root / "absent")],
        "link": one.is_symlink(),
        "names": sorted(each.name for each in root.iterdir()),
        "globs": [
            sorted(each.relative_to(root).as_posix() for each in root.glob(pattern))
            for pattern in ("*/*.json", "*.json", "clean/*", "*/*/*/*.json", "*/0.*", "none/*")
        ],
        "glob inside": sorted(each.name for each in folder.glob("*.npz")),
        "size": one.stat().st_size,
        "content": one.read_bytes(),
        "name": (one.name, one.stem, one.suffix, one.parts[-2:]),
        "around": (
            one.parent == root / "clean",
            one.parents[1] == root,
            one.with_name("7.json") == one.parent / "7.json",
        ),
        "order": (root / "a" < root / "b", hash(one) == hash(root / "clean/0.json")),
    }


def test_a_store_answers_as_a_folder_does(store: str, tmp_path: Path) -> None:
    """The same files in a folder of this machine and in a store, the same answers."""
    remote = place(store) / "board"
    for root in (tmp_path, remote):
        for name in _FILES:
            write_durably(root / name, name.encode())
    assert _answers(remote) == _answers(tmp_path)


def test_what_is_not_there(store: str) -> None:
    """Reading and measuring say so; listing an absent folder gives nothing; removing may be told not to mind."""
    absent = place(store) / "absent"
    for ask in (absent.read_bytes, absent.stat):
        with pytest.raises(FileNotFoundError):
            ask()
    assert [*absent.iterdir(), *absent.glob("*")] == []
    absent.unlink(missing_ok=True)
    write_durably(absent, b"x")
    absent.unlink()
    assert not absent.exists()


def test_each_write_is_one_request_for_the_whole(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is renamed, appended or written under another name first."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(filesystem("memory"), "pipe_file", lambda *words: calls.append(words))
    write_durably(place(memory) / "a" / "b.json", b"content")
    assert calls == [(f"{memory}/a/b.json", b"content")]


def test_a_missing_bucket_is_told_before_anything_else(s3_bucket: str) -> None:
    """Listing finds nothing there; writing names the bucket."""
    lost = place("s3://no-such-bucket-of-ours/board")
    assert list(lost.iterdir()) == [] and not lost.exists()
    with pytest.raises(BenchError, match="there is no bucket 'no-such-bucket-of-ours'") as caught:
        write_durably(lost / "x.json", b"")
    assert caught.value.exit_code == 2


def test_what_another_process_wrote_is_seen_at_once(s3_bucket: str) -> None:
    """No listing is remembered."""
    import s3fs

    folder = place(s3_bucket) / "board"
    write_durably(folder / "a.json", b"")
    assert [each.name for each in folder.iterdir()] == ["a.json"]
    other = s3fs.S3FileSystem(skip_instance_cache=True)
    other.pipe_file(f"{folder}/b.json", b"")
    assert [each.name for each in folder.iterdir()] == ["a.json", "b.json"]
    assert len(list(folder.glob("*.json"))) == 2


class _WithFolders(MemoryFileSystem):  # type: ignore[misc]
    """A store whose folders must be made first, as on a file server."""

    protocol = "folders"
    made: ClassVar[list[str]] = []

    def pipe_file(self, path: str, *words: Any, **options: Any) -> None:
        if not self.made:
            raise FileNotFoundError(path)
        super().pipe_file(path.removeprefix("folders://"), *words, **options)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.made.append(path)


def test_a_store_with_folders_gets_them() -> None:
    """They are made where a write needs them."""
    fsspec.register_implementation("folders", _WithFolders, clobber=True)
    write_durably(place("folders://host/a/b.json"), b"content")
    assert _WithFolders.made == ["folders://host/a"]
    assert filesystem("memory").cat_file("/host/a/b.json") == b"content"
