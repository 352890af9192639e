"""LoRA and its relatives: files of changes to a model's weights, added with a strength.

`names` reads how trainers name tensors, `methods` are the formulas, `lora_file` reads a file, and
`applying` adds the changes to a model.
"""

from stable_diffusion.lora.applying import Strength, lora_size, with_loras
from stable_diffusion.lora.lora_file import Lora, read_lora

__all__ = ["Lora", "Strength", "lora_size", "read_lora", "with_loras"]
