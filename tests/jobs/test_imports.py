import subprocess
import sys


def test_a_fresh_interpreter_finds_no_flask_and_no_torch_in_jobs() -> None:
    script = (
        "import sys, pkgutil, importlib, jobs\n"
        "for module in pkgutil.iter_modules(jobs.__path__):\n"
        "    importlib.import_module('jobs.' + module.name)\n"
        "print(sorted({'flask', 'torch', 'numpy', 'diffusers'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]", found.stderr
