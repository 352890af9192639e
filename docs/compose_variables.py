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
    redis_memory: str = Field(
        default="1g",
        description="memory limit of Redis' container; at least twice REDIS_MAXMEMORY",
    )
    api_memory: str = Field(default="1g", description="memory limit of the API's container")
    worker_memory: str = Field(
        default="32g",
        description="memory limit of a worker's container; on a CPU it draws at most one job at "
        "once for each 2 GB",
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
        default="python:3.11.16-slim-trixie"
        "@sha256:9534e5a8e315485d4061ed659af0fd78a284c015f9b73661b41d6bab25604534",
        description="base image of our images, by its digest",
    )
    redis_image: str = Field(
        default="redis:7.4.11-alpine"
        "@sha256:ff02b58f971e7d7d156a1267e283fcbbeee91773b6aa36c49dac28ecfe28eadf",
        description="image of Redis 7 or Valkey, by its digest",
    )
    nginx_image: str = Field(
        default="nginx:1.28-alpine"
        "@sha256:a8b39bd9cf0f83869a2162827a0caf6137ddf759d50a171451b335cecc87d236",
        description="image of the proxy in front of the API",
    )
    prometheus_image: str = Field(
        default="prom/prometheus:v3.5.0"
        "@sha256:63805ebb8d2b3920190daf1cb14a60871b16fd38bed42b857a3182bc621f4996",
        description="for the profile metrics",
    )
    grafana_image: str = Field(
        default="grafana/grafana:12.1.1"
        "@sha256:a1701c2180249361737a99a01bc770db39381640e4d631825d38ff4535efa47d",
        description="for the profile metrics",
    )
    build_network: str = Field(
        default="default", description="network while images are built; host: this machine's"
    )
