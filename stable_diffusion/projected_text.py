"""Text encoders whose penultimate layer is used, and the one that embeds whole texts as well.

Sources: Podell et al. 2023 (SDXL, arXiv:2307.01952), section 2.1; Stability AI's
`FrozenCLIPEmbedder` (layer `hidden`) and `FrozenOpenCLIPEmbedder2`.
"""

from typing import cast

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel


class ProjectedTextEncoder(CLIPTextModel):
    """A CLIP text encoder with OpenCLIP's projection of the text's last token.

    Ids behind the first end marker count as the padding of its configuration, whatever they are:
    so it can share its tokens with an encoder of another padding.
    """

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__(config)
        self.text_projection = nn.Linear(
            config.hidden_size, config.projection_dim or config.hidden_size, bias=False
        )

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Token ids (n, 77) → penultimate states (n, 77, width), pooled texts (n, projected)."""
        ends = torch.eq(input_ids, cast(int, self.config.eos_token_id)).int().argmax(dim=-1)
        places = torch.arange(input_ids.shape[-1], device=input_ids.device)
        pad = input_ids.new_tensor(self.config.pad_token_id)
        ids = torch.where(places > ends[:, None], pad, input_ids)
        output = super().forward(ids, output_hidden_states=True)
        assert output.hidden_states is not None
        assert output.last_hidden_state is not None
        last = output.last_hidden_state[torch.arange(len(ids), device=ids.device), ends]
        return output.hidden_states[-2], self.text_projection(last)


def penultimate_states(text: CLIPTextModel, token_ids: Tensor) -> Tensor:
    """Token ids (n, 77) → the states before the last layer, without a norm, (n, 77, width)."""
    hidden = text(token_ids, output_hidden_states=True).hidden_states
    assert hidden is not None
    return hidden[-2]
