"""POST /png-info: recipes of several programs, in pictures of several formats."""

import base64
import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from api.auth import DUMMY_KEY
from jobs.pictures.output_formats import OUTPUT_FORMATS, encode
from tests.api.conftest import HandWorker

KEY = {"X-API-Key": DUMMY_KEY}
INFOTEXT = """\
a cat
Negative prompt: dog
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 3, Size: 256x128, \
Model: tiny, Emphasis: No norm, RNG: CPU, Version: v1.10.1"""


def recipe(client: FlaskClient, data: bytes) -> dict[str, Any]:
    answer = client.post("/png-info", json={"image": base64.b64encode(data).decode()}, headers=KEY)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def png(**texts: str | dict[str, Any]) -> bytes:
    info, data = PngInfo(), io.BytesIO()
    for name, text in texts.items():
        written = name.replace("sd_metadata", "sd-metadata")
        info.add_text(written, text if isinstance(text, str) else json.dumps(text))
    Image.new("RGB", (16, 8)).save(data, "PNG", pnginfo=info)
    return data.getvalue()


def why(found: dict[str, Any]) -> dict[str, str]:
    return {part["name"]: part["why"] for part in found["not_read"]}


@pytest.mark.parametrize("picture_format", OUTPUT_FORMATS)
def test_an_infotext_becomes_a_request(
    client: FlaskClient, worker: HandWorker, picture_format: Any
) -> None:
    data = encode(Image.new("RGB", (16, 8)), picture_format, INFOTEXT)
    assert recipe(client, data) == {
        "source": "automatic1111",
        "text": INFOTEXT,
        "kind": "txt2img",
        "size": [16, 8],
        "request": {
            "prompt": "a cat",
            "negative_prompt": "dog",
            "prompt_grammar": "a1111",
            "ddim_steps": 20,
            "sampler": "k_dpmpp_2m",
            "scheduler": "karras",
            "scale": 7.5,
            "seed": 3,
            "W": 256,
            "H": 128,
            "ckpt": "tiny",
        },
        "not_read": [
            {
                "name": "Emphasis",
                "value": "No norm",
                "why": "the service has no such parameter",
            }
        ],
    }


def test_the_request_that_was_read_is_accepted(client: FlaskClient, worker: HandWorker) -> None:
    request = recipe(client, png(parameters=INFOTEXT))["request"]
    assert client.post("/generate", json=request, headers=KEY).status_code == 202


INVOKEAI = {
    "app_version": "4.2.7",
    "generation_mode": "txt2img",
    "positive_prompt": "landscape, (sun)1.2",
    "negative_prompt": "low quality",
    "width": 768,
    "height": 432,
    "seed": 356120443,
    "rand_device": "cpu",
    "cfg_scale": 7.5,
    "cfg_rescale_multiplier": 0.5,
    "steps": 50,
    "scheduler": "dpmpp_2m_sde_k",
    "clip_skip": 1,
    "seamless_x": True,
    "seamless_y": True,
    "model": {"key": "5a", "hash": "blake3:0f", "name": "tiny", "base": "sd-1", "type": "main"},
    "controlnets": [],
    "ipAdapters": [{"weight": 1}],
    "loras": [{"model": {"key": "6b", "name": "style"}, "weight": 0.75}],
    "vae": {"name": "sd-vae-ft-mse", "base": "sd-1"},
}


def test_invokeais_metadata_becomes_a_request(client: FlaskClient, worker: HandWorker) -> None:
    found = recipe(client, png(invokeai_metadata=INVOKEAI))
    assert (found["source"], found["kind"]) == ("invokeai", "txt2img")
    assert found["request"] == {
        "prompt": "landscape, (sun)1.2 <lora:style:0.75>",
        "negative_prompt": "low quality",
        "prompt_grammar": "a1111",
        "W": 768,
        "H": 432,
        "seed": 356120443,
        "scale": 7.5,
        "guidance_rescale": 0.5,
        "ddim_steps": 50,
        "sampler": "k_dpmpp_2m_sde",
        "scheduler": "karras",
        "clip_skip": 2,
        "tiling": True,
        "ckpt": "tiny",
    }
    assert why(found).keys() == {"positive_prompt", "vae", "ipAdapters"}


def test_metadata_of_older_invokeai_becomes_a_request(
    client: FlaskClient, worker: HandWorker
) -> None:
    three = INVOKEAI | {
        "generation_mode": "img2img",
        "strength": 0.6,
        "loras": [{"lora": {"model_name": "old", "base_model": "sd-1"}, "weight": 1}],
        "model": {"model_name": "tiny", "base_model": "sd-1", "model_type": "main"},
        "seamless_y": False,
    }
    found = recipe(client, png(invokeai_metadata=three))
    assert found["kind"] == "img2img"
    assert found["request"]["denoising_strength"] == 0.6
    assert found["request"]["prompt"].endswith("<lora:old:1>")
    assert found["request"]["ckpt"] == "tiny"
    assert {"init_img", "seamless_x, seamless_y"} <= why(found).keys()

    two = {
        "model": "stable diffusion",
        "model_weights": "tiny",
        "model_hash": "0123456789abcdef",
        "app_id": "invoke-ai/InvokeAI",
        "app_version": "2.3.0",
        "image": {
            "prompt": [{"prompt": "a cat [dog, red]", "weight": 1.0}],
            "steps": 50,
            "cfg_scale": 5,
            "threshold": 0,
            "perlin": 0,
            "height": 768,
            "width": 512,
            "seed": 2980747362,
            "seamless": False,
            "hires_fix": False,
            "type": "txt2img",
            "postprocessing": [{"type": "esrgan", "scale": 4}],
            "sampler": "k_euler_a",
            "variations": [],
        },
    }
    found = recipe(client, png(sd_metadata=two))
    assert found["request"] == {
        "prompt": "a cat",
        "negative_prompt": "dog, red",
        "prompt_grammar": "a1111",
        "ddim_steps": 50,
        "scale": 5,
        "W": 512,
        "H": 768,
        "seed": 2980747362,
        "sampler": "k_euler_a",
        "ckpt": "tiny",
    }
    assert "postprocessing" in why(found)


def graph() -> dict[str, Any]:
    """ComfyUI's default graph with a LoRA, an embedding and a layer of CLIP."""
    return {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 156680208700286,
                "steps": 20,
                "cfg": 8,
                "sampler_name": "dpmpp_2m",
                "scheduler": "karras",
                "denoise": 1,
                "model": ["10", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny.safetensors"}},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 512, "height": 256, "batch_size": 1},
        },
        "6": {
            "class_type": "CLIPTextEncode",
            "inputs": {"text": "a bottle, embedding:easy.pt", "clip": ["11", 0]},
        },
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": ["12", 0], "clip": ["11", 0]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["8", 0]}},
        "10": {
            "class_type": "LoraLoader",
            "inputs": {
                "lora_name": "style.safetensors",
                "strength_model": 0.8,
                "strength_clip": 0.8,
                "model": ["4", 0],
                "clip": ["4", 1],
            },
        },
        "11": {
            "class_type": "CLIPSetLastLayer",
            "inputs": {"stop_at_clip_layer": -2, "clip": ["10", 1]},
        },
        "12": {"class_type": "PrimitiveString", "inputs": {"value": "text, watermark"}},
    }


READ_OF_GRAPH = {
    "prompt": "a bottle, easy <lora:style:0.8>",
    "negative_prompt": "text, watermark",
    "prompt_grammar": "a1111",
    "seed": 156680208700286,
    "ddim_steps": 20,
    "scale": 8,
    "sampler": "k_dpmpp_2m",
    "scheduler": "karras",
    "W": 512,
    "H": 256,
    "clip_skip": 2,
    "ckpt": "tiny",
}


def test_comfyuis_graph_becomes_a_request(client: FlaskClient, worker: HandWorker) -> None:
    found = recipe(client, png(prompt=graph(), workflow={"nodes": []}))
    assert (found["source"], found["kind"], found["request"]) == (
        "comfyui",
        "txt2img",
        READ_OF_GRAPH,
    )
    assert why(found).keys() == {"PrimitiveString"}

    exif, data = Image.Exif(), io.BytesIO()
    exif[0x0110] = f"prompt:{json.dumps(graph())}"
    Image.new("RGB", (16, 8)).save(data, "WEBP", exif=exif)
    assert recipe(client, data.getvalue())["request"] == READ_OF_GRAPH


def workflow() -> dict[str, Any]:
    """The same graph as ComfyUI's editor stores it."""
    nodes: list[dict[str, Any]] = []
    links: list[list[Any]] = []
    for key, node in graph().items():
        inputs: list[dict[str, Any]] = []
        widgets: list[Any] = []
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                links.append([len(links) + 1, int(value[0]), value[1], int(key), len(inputs), "*"])
                inputs.append({"name": name, "type": "*", "link": len(links)})
                if name == "text":  # a widget that was made an input keeps its place
                    widgets.append("")
            else:
                widgets.append(value)
                if name == "seed":
                    widgets.append("randomize")
        kind = node["class_type"]
        nodes.append(
            {"id": int(key), "type": kind, "mode": 0, "inputs": inputs, "widgets_values": widgets}
        )
    muted = {"id": 99, "type": "KSampler", "mode": 2, "inputs": [], "widgets_values": [1]}
    return {"nodes": [muted, *nodes], "links": links, "version": 0.4}


def test_comfyuis_workflow_alone_becomes_the_same_request(
    client: FlaskClient, worker: HandWorker
) -> None:
    assert recipe(client, png(workflow=workflow()))["request"] == READ_OF_GRAPH


def test_a_graph_that_starts_from_a_picture_is_img2img(
    client: FlaskClient, worker: HandWorker
) -> None:
    nodes = graph()
    nodes["5"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["13", 0], "vae": ["4", 2]}}
    nodes["13"] = {"class_type": "LoadImage", "inputs": {"image": "example.png"}}
    nodes["3"]["inputs"] |= {"denoise": 0.6, "seed": 2**64 - 1}
    nodes["14"] = {"class_type": "ControlNetApply", "inputs": {"image": ["14", 0]}}
    found = recipe(client, png(prompt=nodes))
    assert found["kind"] == "img2img"
    assert found["request"]["denoising_strength"] == 0.6
    assert "seed" not in found["request"]  # larger than any that JSON can carry without loss
    assert {"seed", "init_img", "ControlNetApply"} <= why(found).keys()


@pytest.mark.parametrize(
    ("texts", "listed"),
    [
        ({}, set[str]()),
        ({"parameters": '{"base_model": "x"}'}, {"parameters"}),
        ({"workflow": '{"nodes": [5, {}], "links": [7, [], [1, 2, 3]]}'}, {"prompt"}),
        ({"prompt": '{"1": {"class_type": "Flux"}, "2": 5, "3": {"inputs": []}}'}, {"prompt"}),
        ({"prompt": "[" * 100_000}, set[str]()),
        ({"invokeai_metadata": '{"loras": 5, "model": [], "seed": {}, "scheduler": {}}'}, {"seed"}),
        ({"sd_metadata": '{"image": 5}'}, set[str]()),
    ],
)
def test_strange_texts_are_no_error(
    client: FlaskClient, worker: HandWorker, texts: dict[str, Any], listed: set[str]
) -> None:
    assert listed <= why(recipe(client, png(**texts))).keys()


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "image", "missing"),
        ({"image": 5}, "image", "type"),
        ({"image": "é"}, "image", "not_base64"),
        ({"image": base64.b64encode(b"no picture").decode()}, "image", "not_an_image"),
        ({"image": base64.b64encode(png()).decode(), "prompt": "a"}, "prompt", "unknown_field"),
    ],
)
def test_what_is_no_picture_is_refused(
    client: FlaskClient, body: dict[str, Any], field: str, code: str
) -> None:
    answer = client.post("/png-info", json=body, headers=KEY)
    (fault,) = answer.get_json()["details"]
    assert (answer.status_code, fault["field"], fault["code"]) == (400, field, code)


def test_no_pixel_is_decoded(client: FlaskClient, worker: HandWorker) -> None:
    data = png(parameters=INFOTEXT)
    at = data.index(b"IDAT")
    damaged = data[: at + 4] + b"\0" * 12 + data[at + 16 :]
    assert recipe(client, damaged)["source"] == "automatic1111"


def test_a_key_is_needed_and_may_be_in_the_body(client: FlaskClient, worker: HandWorker) -> None:
    body = {"image": base64.b64encode(png()).decode()}
    assert client.post("/png-info", json=body).status_code == 401
    assert client.post("/png-info", json=body | {"api_key": DUMMY_KEY}).status_code == 200


NO_FLOAT = 10**400


@pytest.mark.parametrize(
    "texts",
    [
        {"parameters": "a\nSteps: 9, Hires steps: 5, Denoising strength: 1e-320, Size: 64x64"},
        {"invokeai_metadata": {"loras": [{"model": "ink", "weight": NO_FLOAT}]}},
        {
            "prompt": {
                "1": {"class_type": "KSampler", "inputs": {"model": ["2", 0]}},
                "2": {"class_type": "LoraLoader", "inputs": {"strength_model": NO_FLOAT}},
            }
        },
    ],
    ids=["infotext", "invokeai", "comfyui"],
)
def test_a_number_beyond_all_bounds_is_no_fault_of_the_service(
    client: FlaskClient, worker: HandWorker, texts: dict[str, Any]
) -> None:
    assert recipe(client, png(**texts))["kind"] == "txt2img"


def test_a_long_row_of_spaces_is_read_at_once(client: FlaskClient, worker: HandWorker) -> None:
    metadata = {"image": {"prompt": "a cat [dog]" + " " * 300_000 + "[cow]"}}
    asked = recipe(client, png(sd_metadata=metadata))["request"]
    assert (asked["prompt"], asked["negative_prompt"]) == ("a cat", "dog, cow")
