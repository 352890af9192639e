"""What a worker announces that its models and LoRAs want."""

import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from jobs.model_defaults import Defaults, ModelDefaults
from stable_diffusion import tiny
from stable_diffusion.families import family_by_id
from worker.models.catalogue import Catalogue
from worker.models.defaults_reader import DefaultsReader
from worker.models.few_step import few_step, rows

INCLUDED = [path.stem for path in tiny.LORA_PATHS]
KEY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
PEFT = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"


class Installed:
    """Folders of a worker."""

    def __init__(self, folder: Path) -> None:
        self.models, self.loras = folder / "models", folder / "loras"
        self.models.mkdir()
        self.loras.mkdir()
        self.catalogue = Catalogue(self.models, "mine", loras_dir=self.loras)
        self.reader = DefaultsReader(self.catalogue)

    def model(self, name: str = "mine", toml: str = "", title: str = "") -> Path:
        path = self.models / f"{name}.safetensors"
        save_file({"x": torch.zeros(1)}, path, {"modelspec.title": title} if title else None)
        if toml:
            path.with_suffix(".toml").write_text(toml)
        return path

    def lora(self, name: str, width: int = 768, key: str = KEY) -> Path:
        path = self.loras / f"{name}.safetensors"
        save_file({key: torch.zeros(4, width)}, path)
        return path

    def wanted(self, name: str = "mine", family: str = "sd1") -> tuple[ModelDefaults, str]:
        path = self.catalogue.installed()[name]
        return self.reader.of_model(name, path, family, self.reader.loras())


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def test_the_file_beside_a_model_says_what_it_wants(installed: Installed) -> None:
    path = installed.model(toml='steps = 30\nsampler = "DPM++ 2M"\n[preset.quality]\nsteps = 60')
    assert installed.wanted() == (
        ModelDefaults(steps=30, sampler="k_dpmpp_2m", presets={"quality": Defaults(steps=60)}),
        "",
    )
    path.with_suffix(".toml").write_text("steps = 12", "utf-8-sig")
    assert installed.wanted()[0] == ModelDefaults(steps=12)
    path.with_suffix(".toml").unlink()
    (installed.models / "sources.toml").write_text("steps = 8")
    installed.model("sources")
    for name in ("mine", "sources"):
        assert installed.wanted(name) == (ModelDefaults(), "")


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("steps = 0", "steps is too small: 0; expected an integer from 1"),
        ("width = 100", "width is not a multiple of 8: 100; expected a multiple of 8 from 64"),
        ("[preset.fast]\nheight = 4096", "preset.fast.height is too large: 4096"),
        ("steps = 20\nscale = inf", "scale is not a finite number"),
        ("[preset.fast]\nsteps = '4'", "preset.fast.steps is not an integer: '4'"),
        ("[preset.slow]\nsteps = 4", "preset.slow is no table [preset.fast] or [preset.quality]"),
        ("preset = 4", "preset is no table: write [preset.fast]"),
        ("step = 4", "step is no known key; one of: steps, scale, sampler"),
        (
            "sampler = 'Eulr a'",
            "sampler is no sampler: 'Eulr a'; expected did you mean Euler a?",
        ),
        ("loras = ['<lora:x:1>']", 'expected a list of LoRAs, each "name" or "name:0.8"'),
        ("loras = ['ink:11']", 'expected a list of LoRAs, each "name" or "name:0.8"'),
        ("samplers = ['lmc']", "samplers is no sampler: '[\"lmc\"]'; expected a list of samplers"),
        ("steps == 4", "is no TOML file: "),
    ],
)
def test_a_faulty_file_is_not_used_and_named_with_its_key_and_bound(
    installed: Installed, toml: str, words: str
) -> None:
    installed.model(toml=toml)
    defaults, problem = installed.wanted()
    assert defaults == ModelDefaults()
    assert problem.startswith("mine.toml") and problem.endswith("the file was not used")
    assert words in problem


def test_an_unreadable_file_hides_nothing(installed: Installed) -> None:
    installed.model().with_suffix(".toml").write_bytes(b"steps = 3 # \xff")
    assert "mine.toml is no TOML file" in installed.wanted()[1]


def test_a_preset_is_announced_once_its_lora_and_vae_are_installed(installed: Installed) -> None:
    installed.model(toml='[preset.fast]\nloras = ["ink:0.5"]\nvae = "small"')
    assert installed.wanted() == (ModelDefaults(), "")
    installed.lora("ink")
    assert installed.wanted()[0].presets is None
    (installed.models / "vae").mkdir()
    (installed.models / "vae" / "small.safetensors").touch()
    presets = installed.wanted()[0].presets
    assert presets == {"fast": Defaults(loras=("ink:0.5",), vae="small")}


def test_defaults_that_name_what_is_not_installed_are_a_problem(installed: Installed) -> None:
    installed.model(toml='steps = 9\nvae = "gone"')
    defaults, problem = installed.wanted()
    assert defaults == ModelDefaults(steps=9)
    assert "the VAE gone, which is not installed" in problem


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("lora", "lcm-lora-sdv1-5", (4, 1, "lcm", None, 12)),
        ("lora", "LCM_LoRA_Weights_SD15", (4, 1, "lcm", None, 12)),
        ("lora", "Hyper-SD15-4steps-lora", (4, 1, "k_euler", "trailing", 8)),
        ("lora", "Hyper-SDXL-8steps-CFG-lora", (8, 5, "k_euler", "trailing", 16)),
        ("lora", "Hyper-SD15-1step-lora", (4, 1, "tcd", None, 8)),
        ("lora", "sdxl_lightning_4step_lora", (4, 1, "k_euler", "trailing", 8)),
        ("lora", "TCD-SD15-LoRA", (4, 1, "tcd", None, 50)),
        ("lora", "dmd2_sdxl_4step_lora_fp16", (4, 1, "lcm", "trailing", 8)),
        ("model", "sd_xl_turbo_1.0_fp16", (4, 1, "k_euler_a", "trailing", 8)),
        ("model", "sdxl_lightning_8step", (8, 1, "k_euler", "trailing", 16)),
        ("model", "LCM_Dreamshaper_v7_4k", (4, 8, "lcm", None, 12)),
        ("model", "sd_turbo", (4, 1, "k_euler_a", "trailing", 8)),
        ("model", "sdxl-turbo", (4, 1, "k_euler_a", "trailing", 8)),
        ("model", "dreamshaperXL_v21TurboDPMSDE", (6, 1.5, "k_euler_a", "trailing", 12)),
        ("model", "wildcardxXLTURBO_v10", (6, 1.5, "k_euler_a", "trailing", 12)),
        ("model", "RealVisXL_V4.0_Lightning", (6, 1.5, "k_euler", "trailing", 12)),
        ("model", "realvisxlV40_v40LightningBakedvae", (6, 1.5, "k_euler", "trailing", 12)),
        ("model", "bigLustDMD2", (4, 1, "lcm", "trailing", 8)),
        ("lora", "sd_xl_turbo_lora_v1", (4, 1, "k_euler_a", "trailing", 10)),
        ("lora", "lcm-lora-ssd-1b", (4, 1, "lcm", None, 12)),
        ("model", "sd-turbo-diesel-train", None),
        ("model", "lightning-bolts", None),
        ("model", "lightningBoltsXL", None),
        ("model", "porsche-turbo", None),
        ("model", "turbocharged_xl_cars", None),
        ("model", "enlightning-4step", None),
        ("lora", "sd15-turbo-engine", None),
        ("lora", "porsche-turbo-lora", None),
        ("lora", "lightning-2steps-away-from-me", None),
        ("lora", "lcm-sdtyle", None),
        ("lora", "turbo-charged-car", None),
        ("lora", "lightning-storm", None),
        ("lora", "lightning-0step", None),
        ("lora", f"lightning-{'9' * 5000}step", None),
        ("lora", f"hyper-sd{'9' * 50_000}", None),
        ("model", "sd15", None),
    ],
)
def test_published_few_step_files_are_known_by_their_names(
    kind: str, name: str, expected: tuple[object, ...] | None
) -> None:
    found = few_step("lora" if kind == "lora" else "model", (name,))
    values = found and found.defaults
    assert expected == (
        values and (values.steps, values.scale, values.sampler, values.scheduler, values.max_steps)
    )
    assert len(rows()["lora"]) + len(rows()["model"]) > 10


def test_a_title_in_the_metadata_says_it_as_well_and_the_file_beside_precedes_it(
    installed: Installed,
) -> None:
    installed.model(title="Photo XL Lightning 4-Step")
    assert installed.wanted()[0].steps == 4
    installed.model(title="Photo XL Lightning 4-Step", toml="steps = 5")
    defaults = installed.wanted()[0]
    assert (defaults.steps, defaults.sampler, defaults.max_steps) == (5, "k_euler", 8)


@pytest.mark.parametrize("key", [KEY, PEFT], ids=["kohya", "peft"])
def test_a_few_step_lora_of_the_family_makes_a_fast_preset(installed: Installed, key: str) -> None:
    installed.model()
    installed.model("sd_turbo")
    installed.lora("lcm-lora-sdv1-5", key=key)
    installed.lora("Hyper-SDXL-4steps-lora", width=2048, key=key)
    installed.lora("ink", key=key)
    assert installed.wanted()[0].presets == {"fast": Defaults(loras=("lcm-lora-sdv1-5",))}
    assert installed.wanted(family="sd2")[0].presets is None
    assert installed.wanted(family="")[0].presets is None
    assert installed.wanted("sd_turbo")[0].presets is None, "it needs few steps itself"
    for steps in (2, 8, 4):
        installed.lora(f"Hyper-SD15-{steps}steps-lora", key=key)
    assert installed.wanted()[0].presets == {"fast": Defaults(loras=("Hyper-SD15-4steps-lora",))}
    installed.model(toml="[preset.fast]\nsteps = 9")
    assert installed.wanted()[0].presets == {"fast": Defaults(steps=9)}


def test_a_lora_without_the_weights_that_read_text_makes_no_preset(installed: Installed) -> None:
    installed.model()
    installed.lora("lcm-lora-sdv1-5", key="lora_te_text_model_layer.lora_down.weight")
    assert installed.wanted()[0].presets is None


def test_the_file_beside_a_lora_says_what_it_wants(installed: Installed) -> None:
    path = installed.lora("ink")
    path.with_suffix(".toml").write_text("steps = 6\nmax_scale = 2")
    installed.lora("oil").with_suffix(".toml").write_text('vae = "small"')
    known = {lora.facts.name: lora.facts for lora in installed.reader.loras()}
    assert known["ink"].defaults == Defaults(steps=6, max_scale=2)
    assert known["oil"].problem.startswith("oil.toml: vae is no known key; one of: steps")


def test_a_users_lora_hides_the_shipped_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "tiny-fast.safetensors"
    save_file({KEY: torch.zeros(4, 48)}, shipped)
    monkeypatch.setattr(tiny, "LORA_PATHS", (shipped,))
    installed = Installed(tmp_path)
    assert installed.catalogue.loras() == {"tiny-fast": shipped}
    assert installed.catalogue.lora_folder.find("tiny-fast") == shipped
    own = installed.lora("tiny-fast")
    assert installed.catalogue.loras() == {"tiny-fast": own}


def test_an_operator_can_say_what_an_included_model_wants(installed: Installed) -> None:
    (installed.models / "tiny.toml").write_text("steps = 33")
    assert installed.wanted("tiny", "tiny")[0].steps == 33


def test_little_is_kept_of_large_headers(installed: Installed) -> None:
    path = installed.loras / "lcm-lora.safetensors"
    save_file({KEY: torch.zeros(4, 768)}, path, {"ss_tag_frequency": "x" * 2**23})
    tracemalloc.start()
    assert installed.reader.loras()[0].context_width == 768
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2**20


def test_the_text_width_of_a_lora_is_known_by_each_of_its_names(installed: Installed) -> None:
    (installed.loras / "style").mkdir()
    installed.lora("style/ink", 2048, PEFT)
    installed.lora("thin", key=KEY.replace("to_k", "to_q").replace("attn2", "attn1"))
    installed.lora("wide", 1024)
    (installed.loras / "torn.safetensors").write_bytes(b"torn")
    widths = installed.reader.lora_widths()
    included = {name: widths.pop(name) for name in [*widths] if name in INCLUDED}
    assert widths == {"style/ink": 2048, "ink": 2048, "wide": 1024}
    assert set(included.values()) <= {family_by_id("tiny").unet_kind.context_width}
