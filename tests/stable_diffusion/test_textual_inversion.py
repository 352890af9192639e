"""Textual inversion: every kind of file, and what a prompt makes of it."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.generate import describe
from stable_diffusion.model import Model
from stable_diffusion.networks import text_states
from stable_diffusion.prompt.chunks import chunk_runs
from stable_diffusion.prompt.conditioning import encode_prompts
from stable_diffusion.prompt.emphasis import EmphasisRun
from stable_diffusion.recipe import Recipe
from stable_diffusion.textual_inversion import read_embedding, with_embeddings

WIDTH = 48


@pytest.fixture
def vectors() -> Tensor:
    return torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(3)) / 10


def a1111(vectors: Tensor) -> dict[str, Any]:
    return {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": vectors},
        "name": "shiny",
        "step": 500,
        "sd_checkpoint": "abc",
        "sd_checkpoint_name": "v1-5",
    }


def test_every_kind_of_file_gives_its_vectors(tmp_path: Path, vectors: Tensor) -> None:
    torch.save(a1111(vectors.requires_grad_()), tmp_path / "a.pt")
    old = a1111(vectors)
    old["string_to_param"] = nn.ParameterDict({"*": nn.Parameter(vectors.detach())})
    torch.save(old, tmp_path / "b.pt")
    torch.save({"<shiny>": vectors.detach().half()}, tmp_path / "c.bin")
    save_file({"emb_params": vectors.detach()}, tmp_path / "d.safetensors")
    save_file({"<shiny>": vectors.detach()[0]}, tmp_path / "e.safetensors")
    (tmp_path / "E.SAFETENSORS").write_bytes((tmp_path / "d.safetensors").read_bytes())
    for name in ("a.pt", "b.pt", "c.bin", "d.safetensors", "E.SAFETENSORS"):
        read = read_embedding(tmp_path / name)
        torch.testing.assert_close(read, vectors.detach(), rtol=1e-3, atol=1e-4)
        assert not read.requires_grad
    assert read_embedding(tmp_path / "e.safetensors").shape == (1, WIDTH)


def test_a_file_that_is_no_embedding_is_refused(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (canary,)

    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"string_to_param": Trap()}))
    torch.save({"a": torch.zeros(2, 3), "b": torch.zeros(2, 3)}, tmp_path / "two.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"*": torch.zeros(76, WIDTH)}, tmp_path / "long.pt")
    (tmp_path / "page.safetensors").write_text("<!doctype html>")
    for name in ("trap.pt", "two.pt", "list.pt", "long.pt", "page.safetensors"):
        with pytest.raises(UnreadableModel, match=name):
            read_embedding(tmp_path / name)
    assert not canary.exists()


def context(prompt: str, model: Model) -> Tensor:
    """The encoding of a prompt of one chunk, (1, 77, width)."""
    return encode_prompts((prompt, ""), model.tokenizer, model.encode_text)[0].context


def test_a_name_stands_for_its_vectors(tiny: Model, vectors: Tensor) -> None:
    model = with_embeddings(tiny, {"shiny-thing": vectors})
    plain = [*tiny.tokenizer.encode("a"), 0, 0, 0, *tiny.tokenizer.encode("cat")]
    ids = torch.tensor([[49406, *plain, *[49407] * (76 - len(plain))]])
    text = tiny.networks.text
    rows = text.embeddings.token_embedding(ids)
    rows[0, 2:5] = vectors
    with torch.inference_mode():
        # what the encoder gives when those rows are put in by hand
        hook = text.embeddings.token_embedding.register_forward_hook(lambda *_: rows)
        expected = text_states(text, ids)
        hook.remove()
    for prompt in ("a shiny-thing cat", "a <Shiny-Thing> cat", "a SHINY-THING cat"):
        torch.testing.assert_close(context(prompt, model), expected)


def test_the_model_it_was_made_of_does_not_know_it(tiny: Model, vectors: Tensor) -> None:
    before = context("a shiny cat", tiny)
    model = with_embeddings(tiny, {"shiny": vectors})
    after = context("a shiny cat", tiny)
    assert torch.equal(before, after)
    assert not torch.equal(after, context("a shiny cat", model))
    shared = "encoder.layers.0.mlp.fc1.weight"
    texts = (model.networks.text, tiny.networks.text)
    assert texts[0].get_parameter(shared) is texts[1].get_parameter(shared)


def test_a_name_within_a_word_stays_a_part_of_it(tiny: Model, vectors: Tensor) -> None:
    tokenizer = with_embeddings(tiny, {"cat": vectors, "cat-toy": vectors}).tokenizer
    assert tokenizer.encode("concatenate cats") == tiny.tokenizer.encode("concatenate cats")
    assert tokenizer.encode("cat, cat-toy") == [49408, 49409, 49410, 267, 49411, 49412, 49413]


def test_the_vectors_of_an_embedding_stay_in_one_chunk(tiny: Model, vectors: Tensor) -> None:
    tokenizer = with_embeddings(tiny, {"shiny": vectors}).tokenizer
    first, second = chunk_runs([EmphasisRun("cat " * 73 + "shiny", 1.5)], tokenizer)
    assert 49408 not in first.token_ids
    assert second.token_ids[1:4] == (49408, 49409, 49410)
    assert second.weights[:5] == (1.0, 1.5, 1.5, 1.5, 1.0)


def test_the_echo_counts_every_vector(tiny: Model, vectors: Tensor) -> None:
    model = with_embeddings(tiny, {"shiny": vectors})
    prompt: Any = describe(model, Recipe(prompt="a shiny cat <lora:ink:1>"))["prompt"]
    assert prompt["tokens"] == 5


def test_it_is_what_diffusers_makes_of_the_same_file(
    tiny: Model, vectors: Tensor, tmp_path: Path, clip_tokenizer: CLIPTokenizer
) -> None:
    from diffusers.loaders.textual_inversion import TextualInversionLoaderMixin

    from stable_diffusion.shared_weights import clone_sharing_weights

    class Pipeline(TextualInversionLoaderMixin):
        hf_device_map = None

        def __init__(self) -> None:
            self.components: dict[str, object] = {}
            self.text_encoder = clone_sharing_weights(tiny.networks.text)
            self.tokenizer = clip_tokenizer

    file = tmp_path / "shiny.pt"
    torch.save(a1111(vectors), file)
    pipeline = Pipeline()
    pipeline.load_textual_inversion(str(file), token="shiny")
    prompt = pipeline.maybe_convert_prompt("a shiny cat", clip_tokenizer)  # type: ignore[arg-type]
    ids = clip_tokenizer(prompt, padding="max_length", return_tensors="pt").input_ids
    with torch.inference_mode():
        expected = text_states(pipeline.text_encoder, ids)
    model = with_embeddings(tiny, {"shiny": read_embedding(file)})
    ours = context("a shiny cat", model)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
