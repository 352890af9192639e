"""The API's container has no torch; nothing it imports may ask for it."""

import subprocess
import sys


def test_a_fresh_interpreter_with_the_api_has_no_torch() -> None:
    code = (
        "import sys, api, api.settings, api.gunicorn\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'k_diffusion', 'worker',"
        " 'stable_diffusion.model'}\n"
        "print(*heavy & sys.modules.keys())"
    )

    ended = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)

    assert not ended.stdout.strip()
