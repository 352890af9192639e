"""Pictures in a folder and on S3, by the same tests; and what is true of folders alone."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.errors import NoSuchPicture, StoreError, StoreFull, UnsafeName
from jobs.pictures.store import PictureStore
from tests.s3 import S3, S3Server

Files = Callable[[], list[str]]


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "outputs")
    return request.getfixturevalue("s3").url


@pytest.fixture
def store(url: str) -> PictureStore:
    return PictureStore(url)


@pytest.fixture
def files(url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """What is stored, below the root."""
    if url.startswith("s3://"):
        s3: S3 = request.getfixturevalue("s3")
        return s3.names
    return lambda: names_below(tmp_path / "outputs")


def names_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_pictures_appear_under_their_names_all_at_the_end(
    store: PictureStore, files: Files
) -> None:
    with store.staging("job", "cats/red", token=1) as staging:
        name = staging.put(0, b"picture", "png")
        grid = staging.put("grid", b"sheet", "png", outdir="grids")
        with pytest.raises(NoSuchPicture):
            store.read(name)
        assert staging.publish() == (name, grid)
    assert (name, grid) == ("cats/red/job_0.png", "grids/job_grid.png")
    assert store.read(name) == b"picture"
    assert files() == [name, grid]


def test_nothing_is_left_of_a_job_that_did_not_finish(store: PictureStore, files: Files) -> None:
    with pytest.raises(RuntimeError), store.staging("job", "cats", token=1) as staging:
        staging.put(0, b"picture", "png")
        raise RuntimeError("stopped")
    assert files() == []


def test_what_a_dead_attempt_left_is_deleted_by_the_next(store: PictureStore, files: Files) -> None:
    store.staging("job", "cats", token=1).__enter__().put(0, b"dead", "png")
    store.staging("jobber", "cats", token=1).__enter__().put(0, b"another's", "png")
    assert len(files()) == 2
    with store.staging("job", "cats", token=2):
        assert [name for name in files() if "jobber" not in name] == []
        assert len(files()) == 1


def test_two_attempts_do_not_write_to_one_file(store: PictureStore) -> None:
    with (
        store.staging("job", "cats", token=1) as first,
        store.staging("job", "cats", token=2) as second,
    ):
        name = second.put(0, b"two", "png")
        first.put(0, b"one", "png")
        second.publish()
        assert store.read(name) == b"two"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\0b"])
def test_no_name_leaves_the_root(store: PictureStore, name: str) -> None:
    for touch in (store.read, store.delete, lambda name: store.put(name, b"")):
        with pytest.raises(UnsafeName):
            touch(name)


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    store = PictureStore(str(tmp_path / "outputs"))
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outputs" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafeName), store.staging("job", "link", token=1) as staging:
        staging.put(0, b"picture", "png")
    assert names_below(tmp_path / "outside") == []


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    store = PictureStore(str(tmp_path / "outputs"))
    store.put("a/b.png", b"x")
    assert store.read("a/b.png") == b"x"


def test_an_init_image_is_kept_until_it_is_deleted(store: PictureStore, files: Files) -> None:
    store.put_input("job", "init", b"picture")
    assert files() == ["inputs/job.init.png"]
    assert store.read_input("job", "init") == b"picture"
    store.delete_inputs("job")
    store.delete_inputs("job")
    with pytest.raises(NoSuchPicture):
        store.read_input("job", "init")


def test_an_unwritable_store_is_reported_as_such(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file, no folder")
    with pytest.raises(StoreError):
        PictureStore(str(tmp_path / "outputs")).put("a.png", b"picture")


def test_pictures_can_be_stored_in_any_fsspec_file_system() -> None:
    store = PictureStore("memory://pictures")
    with store.staging("job", "cats", token=1) as staging:
        name = staging.put(0, b"picture", "png")
        staging.publish()
    assert store.read(name) == b"picture"


def test_an_unknown_file_system_is_reported_as_such() -> None:
    with pytest.raises(StoreError):
        PictureStore("nowhere://pictures")


def test_a_probe_passes_and_leaves_nothing(store: PictureStore, files: Files) -> None:
    store.probe()
    assert files() == []


def test_a_stopped_s3_is_reported_without_its_address(s3: S3) -> None:
    with S3Server() as other:
        store = PictureStore(other.bucket("gone").url)
        store.probe()
    with pytest.raises(StoreError) as caught:
        store.probe()
    assert not isinstance(caught.value, NoSuchPicture)
    assert str(other.port) not in str(caught.value)


def test_a_bucket_that_is_missing_is_no_missing_picture(s3: S3) -> None:
    store = PictureStore(f"s3://nowhere-{s3.bucket}/outputs")
    with pytest.raises(StoreError) as caught:
        store.put("a.png", b"picture")
    assert not isinstance(caught.value, NoSuchPicture)


def test_two_attempts_with_one_token_do_not_touch_each_other_s_parts(url: str) -> None:
    """A Redis that has lost its last second gives out one token twice."""
    one, other = PictureStore(url), PictureStore(url)
    with one.staging("job", "cats", token=1) as first:
        with other.staging("job", "cats", token=1) as second:
            first.put(0, b"the first's", "png")
            second.put(0, b"the second's", "png")
        first.publish()
    assert one.read("cats/job_0.png") == b"the first's"


def test_a_probe_asks_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(f_flag=0, f_bavail=70, f_frsize=4096)  # 284 kB
    monkeypatch.setattr("jobs.pictures.store.os.statvfs", lambda _: found)
    PictureStore(str(tmp_path), room=286_720).probe()
    store = PictureStore(str(tmp_path), room=1_000_000)
    with pytest.raises(StoreFull, match="1000000 bytes are needed, and 286720 are free"):
        store.probe()
    with pytest.raises(StoreFull, match="300000 bytes are needed"):
        store.check_room(300_000)
    found.f_flag = os.ST_RDONLY
    with pytest.raises(StoreFull, match="Read-only"):
        store.check_room(0)
    assert names_below(tmp_path) == []


def test_an_object_store_has_room(s3: S3) -> None:
    PictureStore(s3.url, room=10**15).probe()


def test_another_process_sees_at_once_what_was_stored_and_deleted(url: str) -> None:
    one, other = PictureStore(url), PictureStore(url)
    with one.staging("job", "cats", token=1):
        pass  # what is listed now must not be remembered
    part = other.staging("job", "cats", token=1).__enter__()
    part.put(0, b"picture", "png")
    with one.staging("job", "cats", token=2), pytest.raises(StoreError):
        part.publish()
    with pytest.raises(NoSuchPicture):
        one.read("cats/job_0.png")


@contextmanager
def files_end_after(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: to who writes it, a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_of_a_picture_that_does_not_fit_nothing_is_left(tmp_path: Path) -> None:
    store = PictureStore(str(tmp_path))
    with (
        files_end_after(1000),
        pytest.raises(StoreFull, match="too large"),
        store.staging("job", "cats", token=1) as staging,
    ):
        staging.put(0, b"x" * 10_000, "png")
    with files_end_after(1000), pytest.raises(StoreFull):
        store.put_input("job", "init", b"x" * 10_000)
    assert names_below(tmp_path) == []


def test_no_space_and_no_permission_are_the_stores_fault(
    store: PictureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store._files, "pipe_file", refuse)
    with pytest.raises(StoreFull, match="No space left"):
        store.put("a.png", b"picture")
