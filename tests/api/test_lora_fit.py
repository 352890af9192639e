"""A LoRA that was made for another kind of model is refused before it is queued."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs.worker_facts import ModelFacts
from stable_diffusion.families import family_by_id
from tests.api.conftest import HandWorker, announce

KEY = {"X-API-Key": DUMMY_KEY}
FAMILIES = {"tiny": "tiny", "sd15": "sd1", "photo": "sd1", "sdxl": "sdxl"}
INK, STYLE = "a cat <lora:ink:0.5>", "a cat <lora:style:1>"
WIDE = "the LoRA 'ink' reads text embeddings of width 2048"


@pytest.fixture(autouse=True)
def installed(worker: HandWorker) -> None:
    """Models of three widths and one of which nothing is known yet, and LoRAs for two of them."""
    models = (
        ModelFacts(name="new"),
        *(
            ModelFacts(name=name, family=family, unet=family_by_id(family).unet_kind)
            for name, family in FAMILIES.items()
        ),
    )
    announce(
        worker,
        "by-hand",
        *models,
        loras=("art/style", "ink", "any"),
        lora_aliases=("style",),
        lora_widths={"art/style": 768, "style": 768, "ink": 2048},
    )


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"prompt": INK, "ckpt": "sdxl"}, {}),
        ({"prompt": INK, "ckpt": "new"}, {}),
        ({"prompt": "a cat <lora:any:1>", "ckpt": "sd15"}, {}),
        ({"prompt": INK, "ckpt": "sd15"}, {"prompt": WIDE}),
        ({"prompt": STYLE}, {"prompt": "those of the model 'tiny' (tiny) have 48"}),
        ({"prompt": STYLE, "vary": {"ckpt": ["sd15", "photo", "new"]}}, {}),
        (
            {"prompt": INK, "vary": {"ckpt": ["sdxl", "sd15", "new", "photo"], "scale": [4, 7]}},
            {
                "vary.ckpt[1]": f"{WIDE}, and those of the model 'sd15' (sd1) have 768",
                "vary.ckpt[3]": f"{WIDE}, and those of the model 'photo' (sd1) have 768",
            },
        ),
        ({"vary": {"prompt": [STYLE, INK]}, "ckpt": "sd15"}, {"vary.prompt[1]": WIDE}),
        (
            {"prompt": "a {cat|cat} <lora:ink:1>", "wildcards": True, "ckpt": "photo"},
            {"prompt": WIDE},
        ),
        ({"from-file": "mixed", "ckpt": "photo"}, {"from-file": WIDE}),
    ],
)
def test_the_answer_names_the_lora_and_the_model(
    client: FlaskClient, settings: ApiSettings, body: dict[str, Any], refused: dict[str, str]
) -> None:
    settings.prompts_dir.mkdir(parents=True, exist_ok=True)
    Path(settings.prompts_dir / "mixed").write_text(f"{STYLE}\n{INK}\n")

    answer: Any = client.post("/generate", json={"W": 64, "H": 64, **body}, headers=KEY)

    assert answer.status_code == (400 if refused else 202), answer.text
    details = answer.json.get("details", [])
    assert [each["field"] for each in details] == [*refused]
    for each, words in zip(details, refused.values(), strict=True):
        assert each["code"] == "lora_mismatch"
        assert words in each["problem"]
        assert "sdxl" in each["expected"] or "sd15" in each["expected"]
