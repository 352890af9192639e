"""The names of the LoRAs in a folder."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from jobs.prompts.prompt_additions import InstalledAdditions
from stable_diffusion.prompt.grammar import read_prompt
from worker.models.lora_folder import LoraFolder


def write(path: Path, metadata: dict[str, str] | None = None, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.zeros(1) for name in ("x", *names)}, path, metadata)
    return path


def test_a_lora_is_called_by_its_path_its_stem_and_its_alias(tmp_path: Path) -> None:
    top = write(tmp_path / "ink.safetensors", {"ss_output_name": "top"})
    ink = write(tmp_path / "style/ink.safetensors", {"ss_output_name": "shared"})
    oil = write(tmp_path / "style/old/oil v1.5.SAFETENSORS", {"ss_output_name": "shared"})
    peft = write(tmp_path / "chalk/adapter_model.safetensors")
    write(tmp_path / ".hidden/no.safetensors")
    (tmp_path / "style/broken.safetensors").write_bytes(b"\xff" * 9)
    folder = LoraFolder(tmp_path)
    assert set(folder.installed()) == {
        "ink",
        "style/ink",
        "style/old/oil v1.5",
        "chalk",
        "style/broken",
    }
    for name, path in {
        "ink": top,
        "top": top,
        "style/ink": ink,
        "oil v1.5": oil,
        "chalk": peft,
        "shared": None,
        "no": None,
        "adapter_model": None,
        "../ink": None,
    }.items():
        assert folder.find(name) == path, name


def test_a_stem_that_two_folders_have_is_no_name(tmp_path: Path) -> None:
    write(tmp_path / "a/ink.safetensors")
    second = write(tmp_path / "b/ink.safetensors", {"ss_output_name": "blue"})
    folder = LoraFolder(tmp_path)
    assert folder.find("ink") is None
    assert folder.find("blue") == second
    second.unlink()
    assert folder.find("ink") == tmp_path / "a/ink.safetensors"
    write(second, {"ss_output_name": "red"}, "bundle_emb.charm.string_to_param.*")
    assert (folder.find("red"), folder.find("blue")) == (second, None)
    assert folder.embeddings() == {"charm"}


def test_no_folder_has_no_loras(tmp_path: Path) -> None:
    for folder in (LoraFolder(None), LoraFolder(tmp_path / "none")):
        assert (folder.installed(), folder.aliases(), folder.embeddings()) == ({}, {}, set())


def test_a_name_is_found_in_either_form_of_unicode(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    path = write(tmp_path / f"{decomposed} .safetensors", {"ss_output_name": f"the {decomposed}"})
    folder = LoraFolder(tmp_path)
    assert set(folder.installed()) == {composed}
    for name in (composed, decomposed, f"the {composed}", f"the {decomposed}"):
        assert folder.find(name) == path, name
    installed = InstalledAdditions(loras=folder.installed(), embeddings=())
    for name in (composed, decomposed):
        assert not installed.faults("prompt", [read_prompt(f"a cup <lora:{name}:1>")])
