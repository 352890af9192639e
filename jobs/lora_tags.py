"""LoRAs that a prompt gets besides its own, each given as `name` or `name:weight`."""

from collections.abc import Sequence

from jobs.names import plain_name


def lora_name(lora: str) -> str:
    """The name of a LoRA, as it is compared."""
    return plain_name(lora.partition(":")[0])


def with_loras(prompt: str, loras: Sequence[str]) -> str:
    """A prompt that names these LoRAs as well."""
    if not loras:
        return prompt
    tags = [f"<lora:{lora_name(each)}:{each.partition(':')[2] or '1'}>" for each in loras]
    return " ".join([prompt, *tags]).strip()
