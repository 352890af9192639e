"""What the tensors of a LoRA's file are called: kohya's names, LyCORIS', diffusers' and PEFT's.

A name is that of a layer of the network and a role: which factor of the change it is. Sources:
kohya-ss/sd-scripts `networks/`, LyCORIS `modules/`, diffusers `utils/state_dict_utils.py`, PEFT
`tuners/lora`.
"""

import re
from typing import NamedTuple

PEFT_PREFIX = "base_model.model."

# the end of a tensor's name → its role; PEFT writes the name of an adapter after `lora_A`
_ROLES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"{end}\Z"), role)
    for end, role in (
        (r"[._]lora[._](?:linear_layer\.)?down(?:\.[^.]+)?\.weight", "down"),
        (r"[._]lora[._](?:linear_layer\.)?up(?:\.[^.]+)?\.weight", "up"),
        (r"\.lora_mid(?:\.[^.]+)?\.weight", "mid"),
        (r"\.lora_A(?:\.[^.]+)?\.weight", "down"),
        (r"\.lora_B(?:\.[^.]+)?\.weight", "up"),
        (r"\.lora_B(?:\.[^.]+)?\.bias", "up_bias"),
        (r"\.lora_embedding_A(?:\.[^.]+)?", "embedding_down"),
        (r"\.lora_embedding_B(?:\.[^.]+)?", "embedding_up"),
        (r"\.lora_magnitude_vector(?:\.[^.]+)?(?:\.weight)?", "magnitude"),
        (r"\.((?:hada_[wt]|lokr_[wt])[12](?:_[ab])?)(?:\.[^.]+)?", ""),
        (r"\.(a1|a2|b1|b2|bm)\.weight", ""),
        (
            r"\.(alpha|scale|scalar|dora_scale|diff|diff_b|w_norm|b_norm|oft_blocks|oft_diag"
            r"|rescale|on_input)",
            "",
        ),
        (r"\.(weight)", ""),
    )
)


class TensorName(NamedTuple):
    """The name of a tensor, taken apart.

    Attributes:
        layer: in kohya's notation, which has underscores for points.
        module: the layer as it was written, without what a trainer puts before all names.
        role: which factor of the layer's change the tensor is.
    """

    layer: str
    module: str
    role: str


def tensor_name(name: str) -> TensorName | None:
    """A tensor's name, taken apart; None: no trainer that is known writes such a name."""
    bare = name.replace(PEFT_PREFIX, "")
    for end, role in _ROLES:
        found = end.search(bare)
        if found:
            module = bare[: found.start()].replace(".processor.", ".")
            return TensorName(without_index(module.replace(".", "_")), module, role or found[1])
    return None


def without_index(layer: str) -> str:
    """A layer without the index that attention's output projection has in some files only."""
    return layer.replace("_to_out_0", "_to_out")
