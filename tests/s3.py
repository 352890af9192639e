"""A real S3 server over HTTP (moto's), on loopback."""

import logging
import os
import uuid
from dataclasses import dataclass
from typing import Any, Self

import boto3
from moto.server import ThreadedMotoServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class S3:
    """A bucket, and a folder in it for pictures."""

    client: Any
    bucket: str
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """What OUTPUTS would be set to."""
        return f"s3://{self.bucket}/outputs"

    def names(self) -> list[str]:
        """What is stored below the URL, as another client sees it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return sorted(key.removeprefix("outputs/") for key in keys)


class S3Server:
    """The server. Inside a `with` block the environment leads its clients to it."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._before: dict[str, str | None] = {}
        self.port = 0

    @property
    def environment(self) -> dict[str, str]:
        """How a process is led to this server."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}

    def bucket(self, name: str = "pictures") -> S3:
        """A new bucket."""
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}")
        bucket = f"{name}-{uuid.uuid4()}"
        client.create_bucket(Bucket=bucket)
        return S3(client, bucket, self.environment)

    def __enter__(self) -> Self:
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self._before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
