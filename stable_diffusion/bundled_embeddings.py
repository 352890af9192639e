"""Embeddings that are kept in the file of the LoRA with which they were trained.

Their tensors are called `bundle_emb.NAME.string_to_param.*`. Free of torch, so that a worker lists
them without the engine.
"""

BUNDLED_PREFIX = "bundle_emb."


def bundled_embedding(name: str) -> tuple[str, str] | None:
    """The embedding and the key in it of a tensor such as `bundle_emb.ink.string_to_param.*`."""
    if not name.startswith(BUNDLED_PREFIX):
        return None
    whole = name.removeprefix(BUNDLED_PREFIX).removesuffix(".string_to_param.*")
    if f"{BUNDLED_PREFIX}{whole}" != name:
        return whole, "*"
    embedding, _, key = whole.rpartition(".")
    return embedding, key
