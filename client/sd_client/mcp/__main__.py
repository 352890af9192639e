"""`python -m sd_client.mcp`; SD_ADDRESS and SD_API_KEY say which service and key to use."""

import argparse
from pathlib import Path

from sd_client.client import Client
from sd_client.mcp.server import server_of


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m sd_client.mcp", description=main.__doc__)
    parser.add_argument("--folder", type=Path, help="save the pictures there as well")
    folder: Path | None = parser.parse_args().folder
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with Client() as client:
        server_of(client, folder).run("stdio")


if __name__ == "__main__":
    main()
