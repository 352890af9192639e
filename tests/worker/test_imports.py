"""Which modules a worker imports at its start."""

import subprocess
import sys


def test_a_worker_is_put_together_without_importing_torch() -> None:
    script = "import sys, worker.app; print('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert found.stdout.strip() == "False", found.stderr
