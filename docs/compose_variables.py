"""The variables of the compose files that are no setting of a process, for .env.example.

Nothing reads this model at run time: Compose does its own reading. A test holds both together.
"""

from pydantic import Field
from pydantic_settings import BaseSettings


class ComposeVariables(BaseSettings):
    """What `docker-compose` takes from the environment or `.env` beside the settings."""

    redis_password: str = Field(
        default="",
        description="password of Redis: letters, digits, - and _; empty: one is made and kept",
    )
    redis_maxmemory: str = Field(
        default="512mb", description="memory of Redis; when it is full, new jobs are refused"
    )
    flower_user: str = Field(default="admin", description="who may look at Flower (monitor)")
    flower_password: str = Field(
        default="", description="their password, at least 8 characters; without it Flower is off"
    )
    flower_port: int = Field(default=5555, description="port of Flower on this machine")
    grafana_password: str = Field(
        default="", description="password of Grafana's admin (metrics); without it Grafana is off"
    )
    grafana_port: int = Field(default=3000, description="port of Grafana on this machine")
    torch_index_url: str = Field(
        default="",
        description="an index with builds of PyTorch; empty: pip's own, whose build is for CUDA "
        "and runs on a CPU too, gigabytes larger than the builds for CPUs",
    )
    python_image: str = Field(
        default="python:3.11-slim", description="base of our images; may carry a digest"
    )
    redis_image: str = Field(default="redis:7-alpine", description="Redis 7 or Valkey")
    prometheus_image: str = Field(default="prom/prometheus:v3.5.0", description="for metrics")
    grafana_image: str = Field(default="grafana/grafana:12.1.1", description="for metrics")
    build_network: str = Field(
        default="default", description="network while images are built; host: this machine's"
    )
