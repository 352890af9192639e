"""The checks of the port and of the data folder before any process starts."""

import socket
from pathlib import Path

import pytest

from launcher.errors import DataFolderInUse, LauncherError, PortInUse
from launcher.preflight import data_folder, require_free_port
from tests.ports import free_port


def test_a_free_port_passes_and_stays_free() -> None:
    port = free_port()

    require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)


def test_a_port_in_use_is_reported_with_a_remedy() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(PortInUse, match=f"port {port} is in use.*PORT="):
            require_free_port("127.0.0.1", port)
        with pytest.raises(PortInUse):
            require_free_port("0.0.0.0", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(LauncherError, match="cannot listen"):
        require_free_port("192.0.2.1", free_port())


def test_a_data_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    with data_folder(tmp_path / "data") as folder:
        assert folder.is_dir()
        with pytest.raises(DataFolderInUse), data_folder(tmp_path / "data"):
            pass
    with data_folder(tmp_path / "data"):
        pass


def test_an_unusable_data_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LauncherError, match="not usable"), data_folder(tmp_path / "file"):
        pass
