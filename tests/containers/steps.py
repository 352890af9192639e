"""The steps of `make containers`, in their order. Each raises AssertionError or gives a remark."""

import io
import json

import httpx
from PIL import Image

from docs.compose_variables import ComposeVariables
from launcher.valkey import free_port
from tests.containers.compose import docker, log
from tests.containers.stack import API_IMAGE, ROOT, WORKER_IMAGE, Stack, until

USER = "10001"
LARGEST_API_BYTES = 130 * 1000**2
OUTPUTS = "/queue/stable-diffusion-repo/outputs"


def build(stack: Stack) -> str:
    """Build both images."""
    stack.compose("build")
    base = _size(ComposeVariables().python_image)
    api, worker = _size(API_IMAGE) - base, _size(WORKER_IMAGE) - base
    assert api < LARGEST_API_BYTES, f"the API adds {api} bytes to its base"
    return f"added to the base: API {api / 1e6:.0f} MB, worker {worker / 1e6:.0f} MB"


def rebuild_after_a_change_of_code(stack: Stack) -> str:
    """Build again with another line in the packages that both images hold."""
    changed = stack.folder / "jobs" / "names.py"
    code = changed.read_text()
    changed.write_text(code + "# another line\n")
    stack.compose("build")
    changed.write_text(code)
    return "a line in jobs/names.py"


def rebuild_without_a_change(stack: Stack) -> str:
    """Build what is built."""
    stack.compose("build")
    return "from the cache"


def up(stack: Stack) -> str:
    """Start everything, and wait until every container is healthy."""
    stack.compose("up", "-d", "--no-build", "--wait")
    until(lambda: stack.workers_ready() == 1, "one worker")
    return "proxy, api, worker, redis: healthy"


def draw_the_example(stack: Stack) -> str:
    """The README's text-to-image example, over HTTP and with docker cp."""
    request = json.loads((ROOT / "templates" / "txt2img-optimized.json").read_text())
    job = stack.post(**request)
    stack.succeed(job)
    served = stack.client.get(f"/images/{job}/0").content
    with Image.open(io.BytesIO(served)) as picture:
        assert picture.size == (request["W"], request["H"])
    assert stack.client.get(f"/status/{job}").content == served
    target = stack.folder / "sd-images"
    docker("cp", f"{stack.containers('worker')[0]}:{OUTPUTS}/.", str(target))
    [copied] = target.rglob(f"{job}_0.png")
    assert copied.read_bytes() == served
    return f"{copied.relative_to(target)}: the same {len(served)} bytes"


def find_weights_in_the_volume(stack: Stack) -> str:
    """A checkpoint put into the models volume is drawn with."""
    weights = ROOT / "stable_diffusion" / "tiny" / "tiny.safetensors"
    docker("cp", str(weights), f"{stack.containers('worker')[0]}:/queue/models/mine.safetensors")
    until(lambda: "mine" in stack.client.get("/readyz").json().get("models", []), "the model")
    stack.succeed(stack.post(ckpt="mine", H=128, W=128, ddim_steps=2))
    return "ckpt: mine"


def nobody_is_root(stack: Stack) -> str:
    """User, read-only root, capabilities, addresses, and Redis' password."""
    for service in ("api", "worker", "redis", "proxy"):
        for container in stack.containers(service):
            [facts] = json.loads(docker("inspect", container))
            host = facts["HostConfig"]
            assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"], service
            assert any("no-new-privileges" in option for option in host["SecurityOpt"]), service
            user = docker("exec", container, "id", "-u").strip()
            assert user == USER if service in ("api", "worker") else user != "0", (service, user)
            asked = "touch /x 2>/dev/null && echo written || echo refused"
            assert docker("exec", container, "sh", "-c", asked).strip() == "refused", service
            published = [
                binding["HostIp"]
                for bound in facts["NetworkSettings"]["Ports"].values()
                for binding in bound or []
            ]
            mine = {"127.0.0.1"} if service in ("api", "proxy") else set()
            assert set(published) == mine, (service, published)
            assert host["Memory"] > 0 and host["PidsLimit"] > 0, service
    [redis] = stack.containers("redis")
    assert "NOAUTH" in docker("exec", redis, "redis-cli", "ping")
    [api] = stack.containers("api")
    asked = "python -c 'import torch' 2>/dev/null && echo there || echo missing"
    assert docker("exec", api, "sh", "-c", asked).strip() == "missing"
    return "no root, read-only, no capabilities; Redis answers NOAUTH; no torch in the API"


def scale(stack: Stack) -> str:
    """A second worker, and both at work."""
    before = stack.containers("worker")
    stack.compose("up", "-d", "--no-build", "--scale", "worker=2", "--no-recreate")
    until(lambda: stack.workers_ready() == 2, "two workers")
    workers = stack.containers("worker")
    assert set(before) < set(workers)
    jobs = [stack.post(H=256, W=256, ddim_steps=10, seed=seed) for seed in range(10)]
    stack.succeed(*jobs)
    shares = [sum(job in text for job in jobs) for text in map(log, workers)]
    assert all(shares), shares
    return f"{len(jobs)} jobs, shared {' and '.join(map(str, shares))}"


def crash_a_worker_and_redis(stack: Stack) -> str:
    """Kill a worker in the middle of a job, and Redis; both come back, and no job is lost."""
    jobs = [stack.post(H=256, W=256, ddim_steps=40, seed=seed) for seed in range(8)]
    running: list[tuple[str, str]] = []

    def one_runs() -> bool:
        for job in jobs:
            if stack.status(job)["State"] == "PROGRESS":
                running.extend(
                    (job, worker) for worker in stack.containers("worker") if job in log(worker)
                )
        return bool(running)

    until(one_runs, "a job at work")
    job, worker = running[0]
    stack.crash(worker)
    stack.crash(stack.containers("redis")[0])
    stack.succeed(*jobs)
    until(lambda: stack.workers_ready() == 2, "the worker to come back")
    lines = [line for worker in stack.containers("worker") for line in log(worker).splitlines()]
    attempts = sum(job in line and "job claimed" in line for line in lines)
    assert attempts > 1, attempts
    restarts = [_restarts(container) for container in (worker, *stack.containers("redis"))]
    assert all(restarts), restarts
    return f"{len(jobs)} of {len(jobs)} jobs drawn, the one that was killed in attempt {attempts}"


def look_through_flower(stack: Stack) -> str:
    """Profile monitor: Flower, for those who know the password of .env."""
    port = free_port()
    (stack.folder / ".env").write_text(f"FLOWER_PASSWORD=a-long-password\nFLOWER_PORT={port}\n")
    stack.compose("--profile", "monitor", "build", "flower")
    stack.compose("--profile", "monitor", "up", "-d", "--no-build", "--wait", "flower")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        answers = [
            client.get("/workers", auth=auth).status_code
            for auth in (None, ("admin", "wrong"), ("admin", "a-long-password"))
        ]
    assert answers == [401, 401, 200], answers
    return "401 without the password, 200 with it"


def stop_in_order(stack: Stack) -> str:
    """SIGTERM reaches the processes: they end by themselves, not killed."""
    stack.compose("stop", "worker", "api")
    stopped = [*stack.containers("worker"), *stack.containers("api")]
    codes = [docker("inspect", "-f", "{{.State.ExitCode}}", each).strip() for each in stopped]
    assert set(codes) == {"0"}, codes
    return f"exit codes {', '.join(codes)}"


def down(stack: Stack) -> str:
    """`docker-compose down -v` without naming the build ends it all and leaves nothing."""
    stack.compose("--profile", "*", "down", "--volumes", file=None)
    of_project = f"label=com.docker.compose.project={stack.project}"
    for kind in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
        left = docker(*kind, "--quiet", "--filter", of_project)
        assert not left, f"docker {' '.join(kind)}: {left}"
    return "no container, volume or network left"


STEPS = (
    build,
    rebuild_after_a_change_of_code,
    rebuild_without_a_change,
    up,
    nobody_is_root,
    draw_the_example,
    find_weights_in_the_volume,
    scale,
    crash_a_worker_and_redis,
    look_through_flower,
    stop_in_order,
    down,
)


def _size(image: str) -> int:
    return int(docker("image", "inspect", "-f", "{{.Size}}", image))


def _restarts(container: str) -> int:
    return int(docker("inspect", "-f", "{{.RestartCount}}", container))
