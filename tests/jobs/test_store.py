import errno
from pathlib import Path

import pytest

from jobs.errors import NoSuchPicture, StoreError, StoreFull, UnsafeName
from jobs.store import PictureStore


@pytest.fixture
def store(tmp_path: Path) -> PictureStore:
    return PictureStore(str(tmp_path / "outputs"))


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_pictures_appear_under_their_names_all_at_the_end(
    store: PictureStore, tmp_path: Path
) -> None:
    with store.staging("job", "cats/red", token=1) as staging:
        name = staging.put(0, b"picture", "png")
        grid = staging.put("grid", b"sheet", "png", outdir="grids")
        with pytest.raises(NoSuchPicture):
            store.read(name)
        assert staging.publish() == (name, grid)
    assert (name, grid) == ("cats/red/job_0.png", "grids/job_grid.png")
    assert store.read(name) == b"picture"
    assert files(tmp_path / "outputs") == [name, grid]


def test_nothing_is_left_of_a_job_that_did_not_finish(store: PictureStore, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), store.staging("job", "cats", token=1) as staging:
        staging.put(0, b"picture", "png")
        raise RuntimeError("stopped")
    assert files(tmp_path) == []


def test_what_a_dead_attempt_left_is_deleted_by_the_next(
    store: PictureStore, tmp_path: Path
) -> None:
    store.staging("job", "cats", token=1).__enter__().put(0, b"dead", "png")
    assert len(files(tmp_path)) == 1
    with store.staging("job", "cats", token=2):
        assert files(tmp_path) == []


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


def test_a_link_out_of_the_root_is_not_followed(store: PictureStore, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outputs" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafeName), store.staging("job", "link", token=1) as staging:
        staging.put(0, b"picture", "png")
    assert files(tmp_path / "outside") == []


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    store = PictureStore(str(tmp_path / "outputs"))
    store.put("a/b.png", b"x")
    assert store.read("a/b.png") == b"x"


def test_an_init_image_is_kept_until_it_is_deleted(store: PictureStore, tmp_path: Path) -> None:
    store.put_init_image("job", b"picture")
    assert files(tmp_path / "outputs") == ["inputs/job.png"]
    assert store.read_init_image("job") == b"picture"
    store.delete_init_image("job")
    store.delete_init_image("job")
    with pytest.raises(NoSuchPicture):
        store.read_init_image("job")


def test_a_place_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file, no folder")
    with pytest.raises(StoreError):
        PictureStore(str(tmp_path / "outputs")).put("a.png", b"picture")


def test_pictures_can_live_in_any_fsspec_place() -> None:
    store = PictureStore("memory://pictures")
    with store.staging("job", "cats", token=1) as staging:
        name = staging.put(0, b"picture", "png")
        staging.publish()
    assert store.read(name) == b"picture"


def test_an_unknown_kind_of_place_is_told_as_such() -> None:
    with pytest.raises(StoreError):
        PictureStore("nowhere://pictures")


def test_no_space_and_no_permission_are_the_stores_fault(
    store: PictureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store._files, "pipe_file", refuse)
    with pytest.raises(StoreFull, match="No space left"):
        store.put("a.png", b"picture")
