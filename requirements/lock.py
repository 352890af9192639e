"""Write the .lock files beside this one: `make lock`.

pip itself resolves (so its configuration counts) and reports what it would install. Only names
and versions are kept: no index, no path, no local version such as `+cpu`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# torch comes from torch.txt; what its CUDA builds bring along belongs to it.
TORCH_AND_ITS_OWN = re.compile(r"torch|triton|(nvidia|cuda)-.*")
HEADER = "# Written by `make lock` from {source}; torch stands in torch.txt.\n"


def resolve(source: str, constraints: str | None = None) -> dict[str, str]:
    """Canonical name -> public version of all that `source` needs."""
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"]
    command += ["--report", "-", "-r", str(HERE / source)]
    if constraints:
        command += ["-c", str(HERE / constraints)]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    found: dict[str, str] = {}
    for package in report["install"]:
        name = re.sub(r"[-_.]+", "-", package["metadata"]["name"]).lower()
        if not TORCH_AND_ITS_OWN.fullmatch(name):
            found[name] = package["metadata"]["version"].split("+")[0]
    return found


def write(source: str, pins: dict[str, str]) -> None:
    lines = [f"{name}=={version}\n" for name, version in sorted(pins.items())]
    lock = (HERE / source).with_suffix(".lock")
    lock.write_text(HEADER.format(source=source) + "".join(lines))
    print(f"{lock.name}: {len(pins)} packages")


def main() -> None:
    write("dev.in", resolve("dev.in"))
    for source in ("app.in", "worker.in", "api.in", "flower.in"):
        write(source, resolve(source, constraints="dev.lock"))


if __name__ == "__main__":
    main()
