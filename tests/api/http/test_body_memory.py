"""Room for the large bodies that are being received."""

from threading import Event, Thread

import pytest

from api.errors import TooManyBodies
from api.http import body_memory
from api.http.body_memory import BodyMemory
from tests.processes import eventually


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_memory, "WAIT_SECONDS", 0.01)


def refused(memory: BodyMemory, size: int, sender: str) -> bool:
    try:
        with memory.reserved(size, sender):
            return False
    except TooManyBodies:
        return True


@pytest.mark.usefixtures("hurried")
def test_one_sender_gets_its_share_and_all_together_the_total() -> None:
    memory = BodyMemory(total=30, share=20)
    with memory.reserved(15, "one"):
        assert refused(memory, 6, "one")
        assert not refused(memory, 5, "one")
        with memory.reserved(15, "two"):
            assert refused(memory, 1, "three")
        assert not refused(memory, 15, "three")
    assert not refused(memory, 20, "one")


@pytest.mark.usefixtures("hurried")
def test_room_is_given_back_when_the_body_fails() -> None:
    memory = BodyMemory(total=10, share=10)
    with pytest.raises(ValueError, match="a broken body"), memory.reserved(10, "one"):
        raise ValueError("a broken body")
    assert not refused(memory, 10, "two")


def test_a_body_waits_for_room() -> None:
    memory = BodyMemory(total=10, share=10)
    got_room, done = Event(), Event()

    def second() -> None:
        with memory.reserved(10, "two"):
            got_room.set()
            done.wait()

    waiting = Thread(target=second)
    with memory.reserved(10, "one"):
        waiting.start()
        assert not got_room.wait(0.2)
    assert eventually(got_room.is_set, 60)
    done.set()
    waiting.join()
