"""The variables of the compose files that no process reads, for .env.example.

Nothing reads this model at run time, because Compose itself reads the variables. A test compares
both.
"""

from pydantic import Field
from pydantic_settings import BaseSettings


class ComposeVariables(BaseSettings):
    """What `docker-compose` takes from the environment or `.env` in addition to the settings."""

    redis_password: str = Field(
        default="",
        description="password of Redis: letters, digits, - and _; empty: the first start makes one",
    )
    redis_maxmemory: str = Field(
        default="512mb", description="memory of Redis; new jobs are refused while it is full"
    )
    flower_user: str = Field(default="admin", description="user name for Flower (profile monitor)")
    flower_password: str = Field(
        default="",
        description="password for Flower, at least 8 characters; empty: Flower does not start",
    )
    flower_port: int = Field(default=5555, description="port of Flower on this machine")
    grafana_password: str = Field(
        default="",
        description="password of Grafana's admin (profile metrics); empty: Grafana does not start",
    )
    grafana_port: int = Field(default=3000, description="port of Grafana on this machine")
    torch_index_url: str = Field(
        default="",
        description="package index with builds of PyTorch; empty: PyPI, whose CUDA build also runs "
        "on a CPU, but is gigabytes larger than a CPU build",
    )
    python_image: str = Field(
        default="python:3.11-slim", description="base image of our images, with or without a digest"
    )
    redis_image: str = Field(default="redis:7-alpine", description="image of Redis 7 or Valkey")
    prometheus_image: str = Field(
        default="prom/prometheus:v3.5.0", description="for the profile metrics"
    )
    grafana_image: str = Field(
        default="grafana/grafana:12.1.1", description="for the profile metrics"
    )
    build_network: str = Field(
        default="default", description="network while images are built; host: this machine's"
    )
