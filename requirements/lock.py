"""Write the .lock files beside this one: `make lock`.

uv resolves for Linux and Python 3.11 and lists the hashes of every file of a release, those for
other systems included. No index and no path gets into a lock.
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# torch comes from torch.txt; what its CUDA builds bring along belongs to it.
TORCH_AND_ITS_OWN = re.compile(r"torch|triton|(nvidia|cuda)-.*")
HEADER = "# Written by `make lock` from {source}; torch stands in torch.txt.\n"


def resolve(source: str, *options: str) -> dict[str, str]:
    """Canonical name -> the entry of a lock, for all that `source` needs."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", str(HERE / source)]
    command += ["--quiet", "--no-config", "--no-header", "--no-annotate", "--generate-hashes"]
    command += ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"]
    printed = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE, text=True)
    entries = re.findall(r"^([a-z0-9-]+)(==.*\n(?: .*\n)*)", printed.stdout, re.MULTILINE)
    return {name: name + rest for name, rest in entries if not TORCH_AND_ITS_OWN.fullmatch(name)}


def write(source: str, entries: dict[str, str]) -> None:
    lock = (HERE / source).with_suffix(".lock")
    text = "".join(entries[name] for name in sorted(entries))
    lock.write_text(HEADER.format(source=source) + text)
    print(f"{lock.name}: {len(entries)} packages")


def main() -> None:
    write("dev.in", resolve("dev.in"))
    for source in ("app.in", "worker.in", "api.in", "flower.in"):
        write(source, resolve(source, "--constraints", str(HERE / "dev.lock")))
    write("no-deps.in", resolve("no-deps.in", "--no-deps"))


if __name__ == "__main__":
    main()
