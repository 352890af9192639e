"""The table of malformed requests: what is sent, and what is answered. One row, one line.

A row changes a request that is valid otherwise. The rows are numbered as in the list of sixty cases
that the API was designed against; what runs them is test_malformed.py.
"""

import base64
import io
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from api.auth import DUMMY_KEY

MISSING: Any = object()
"""In place of a value: the field is left out."""


@dataclass(frozen=True)
class Row:
    """One request and its answer.

    Attributes:
        number: which of the sixty cases.
        sent: the whole body as bytes, or what is changed of a valid body.
        status: the code of the answer.
        faults: the code of each field's fault; no other field may have one.
        says: words of the error.
        to: the endpoint.
        content_type: what the body claims to be.
    """

    number: int
    sent: bytes | dict[str, Any]
    status: int = 400
    faults: dict[str, str] = field(default_factory=dict)
    says: str = ""
    to: str = "/generate"
    content_type: str | None = "application/json"


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> str:
    """A picture as base64."""
    data = io.BytesIO()
    image.save(data, file_format, **options)
    return base64.b64encode(data.getvalue()).decode()


def text(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()


def huge(width: int, height: int) -> str:
    """A PNG of one bit a pixel, of a few kilobytes, as base64."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(width // 8 + 1) * 100, 9))
    return text(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))


def turned() -> str:
    """A photograph that says it is to be turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.new("RGB", (30, 10)), "JPEG", exif=exif)


PICTURE = encoded(Image.effect_noise((64, 64), 50))
BYTES = base64.b64decode(PICTURE)
FLIPPED = BYTES[:60] + bytes([BYTES[60] ^ 255]) + BYTES[61:]


UNKNOWN = {f"x{n}": 1 for n in range(10_000)}
MISSPELT = {"prmopt": "unknown_field", "prompt": "missing"}
V2 = "scripts/v2-inference.yaml"


def image(number: int, value: Any, status: int = 400, code: str = "") -> Row:
    """A row about init_img."""
    return Row(
        number, {"init_img": value}, status, {"init_img": code} if code else {}, to="/img2img"
    )


def strength(number: int, code: str, **sent: Any) -> Row:
    """A row about a number that only /img2img takes."""
    return Row(number, sent, faults=dict.fromkeys(sent, code), to="/img2img")


def wrong(number: int, code: str, **sent: Any) -> Row:
    """A row about the fields that are sent."""
    return Row(number, sent, faults=dict.fromkeys(sent, code))


def from_file(code: str, number: int, value: Any) -> Row:
    """A row about from-file, a name Python has no word for."""
    return Row(number, {"from-file": value}, faults={"from-file": code})


def name_of(row: Row) -> str:
    """What the test of a row is called."""
    if isinstance(row.sent, bytes):
        return f"{row.number:02}-body"
    return f"{row.number:02}-{'-'.join(list(row.sent)[:3])}"


def body_of(row: Row) -> bytes:
    """What a row sends, with the key in it unless it sends bytes."""
    if isinstance(row.sent, bytes):
        return row.sent
    body = {"prompt": "a cat", "api_key": DUMMY_KEY}
    if row.to == "/img2img":
        body["init_img"] = PICTURE
    body |= row.sent
    return json.dumps(
        {name: value for name, value in body.items() if value is not MISSING}
    ).encode()


TABLE: tuple[Row, ...] = (
    # -- the body: bytes that are not one JSON object
    Row(1, b"", says="not valid JSON"),
    Row(2, b'{"prompt":"a"} x', says="not valid JSON"),
    Row(3, b"[]", says="not a list"),
    Row(3, b"null", says="not null"),
    Row(3, b'"x"', says="not a string"),
    Row(3, b"1", says="not a number"),
    Row(4, b"[" * 50_000, says="nested deeper"),
    Row(4, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, says="nested deeper"),
    Row(5, b'{"W":64,"W":512}', says='"W" twice'),
    Row(6, b"\xff\xfe", says="not UTF-8"),
    Row(6, '{"prompt":"a"}'.encode("utf-16"), says="not UTF-8"),
    Row(7, b'{"prompt":"a"}', 415, content_type="text/plain"),
    Row(7, b"prompt=a", 415, content_type="application/x-www-form-urlencoded"),
    Row(7, b'{"prompt":"a"}', 415, content_type=None),
    # 8 to 10, too large, chunked and never finished, take a server: test_gunicorn.py
    Row(11, UNKNOWN, faults=dict.fromkeys(list(UNKNOWN)[:20], "unknown_field")),
    Row(12, {"prompt": MISSING, "prmopt": "a"}, faults=MISSPELT),
    # -- numbers that JSON has no word for
    Row(13, b'{"prompt":"a","scale":NaN}', says="not valid JSON"),
    Row(13, b'{"prompt":"a","scale":Infinity}', says="not valid JSON"),
    Row(13, b'{"prompt":"a","scale":-Infinity}', says="not valid JSON"),
    Row(14, b'{"prompt":"a","scale":1e400}', faults={"scale": "not_finite"}),
    # -- the key, before anything else is answered
    Row(15, {"api_key": MISSING, "W": -1}, 401, says="Unauthorized"),
    Row(15, {"api_key": "", "W": -1}, 401, says="Unauthorized"),
    Row(15, {"api_key": "wrong", "W": -1}, 401, says="Unauthorized"),
    Row(16, {"api_key": ["x"]}, 401, says="Unauthorized"),
    Row(16, {"api_key": None}, 401, says="Unauthorized"),
    Row(16, {"api_key": "é"}, 401, says="Unauthorized"),
    Row(16, {"api_key": "x" * 1_000_000}, 401, says="Unauthorized"),
    # -- type
    wrong(17, "enum", type="Optimized "),
    wrong(17, "enum", type="gpu"),
    wrong(17, "enum", type=1),
    Row(18, {"type": "standard"}, 503, says="served: optimized"),
    # -- prompts
    wrong(19, "missing", prompt=MISSING),
    wrong(19, "missing", prompt=None),
    wrong(19, "type", prompt=7),
    wrong(20, "too_long", prompt="a" * 20_001),
    wrong(21, "invalid_characters", prompt="a\0b"),
    wrong(21, "invalid_characters", prompt="\ud800"),
    Row(22, {"prompt": "(" * 5 * 4000}, 202),
    Row(22, {"prompt": "[" * 5 * 4000}, 202),
    Row(22, {"prompt": "a:1e999"}, 202),
    wrong(23, "type", negative_prompt={"x": 1}),
    from_file("unknown_prompt_file", 24, "prompts.txt"),
    from_file("type", 25, True),
    from_file("type", 25, 5),
    from_file("not_a_name", 26, "/etc/passwd"),
    from_file("not_a_name", 26, "../x"),
    # -- names: folders, configurations, models
    wrong(27, "outside_output_root", outdir="../../etc"),
    wrong(28, "absolute_path", outdir="/etc/cron.d"),
    wrong(29, "outside_output_root", outdir="a/../../b"),
    wrong(29, "not_a_name", outdir="..\\..\\x"),
    wrong(29, "not_a_name", outdir="%2e%2e/x"),
    wrong(30, "invalid_characters", outdir="a\0b"),
    wrong(31, "outside_output_root", outdir="link-to-etc/x"),
    wrong(32, "too_long", outdir="a" * 300),
    wrong(32, "too_long", outdir="a/" * 200),
    wrong(33, "not_a_name", outdir="s3://other/x"),
    wrong(33, "not_a_name", outdir="file:///tmp"),
    wrong(34, "unknown_config", config="../../secrets.yaml"),
    wrong(34, "unknown_config", config="scripts/v9.yaml"),
    wrong(35, "unknown_model", ckpt="sd99"),
    wrong(36, "unknown_model", ckpt="../model.ckpt"),
    wrong(36, "unknown_model", ckpt="/x.ckpt"),
    wrong(36, "unknown_model", ckpt="http://h/x"),
    wrong(37, "unknown_model", ckpt={"sd14": "../../x"}),
    wrong(37, "type", ckpt={}),
    Row(38, {"config": V2, "ckpt": "tiny"}, faults={"config": "config_mismatch"}),
    # -- init_img
    image(39, MISSING, code="missing"),
    wrong(40, "not_for_this_type", init_img=PICTURE),
    image(41, "!!!!", code="not_base64"),
    image(41, "YWJj{", code="not_base64"),
    image(41, "YQ==junk", code="not_base64"),
    image(42, text(b"hello"), code="not_an_image"),
    image(42, encoded(Image.new("RGB", (16, 16)), "ICO"), code="not_an_image"),
    image(42, text(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), code="not_an_image"),
    image(42, text(b"8BPS\0\1" + b"\0" * 40), code="not_an_image"),
    image(43, text(BYTES[: len(BYTES) // 2]), code="image_damaged"),
    image(43, text(FLIPPED), code="image_damaged"),
    image(44, huge(20_000, 20_000), code="too_many_pixels"),
    image(45, "data:image/png;base64," + PICTURE, 202),
    image(46, encoded(Image.new("RGB", (1, 1))), 202),
    image(46, encoded(Image.new("I;16", (8, 8), 0x8000)), 202),
    image(46, encoded(Image.new("CMYK", (8, 8)), "JPEG"), 202),
    image(46, encoded(Image.new("P", (8, 8)), transparency=0), 202),
    image(46, turned(), 202),
    # -- numbers and switches
    strength(47, "range", denoising_strength=0),
    strength(47, "range", denoising_strength=-0.1),
    strength(47, "range", denoising_strength=1.01),
    strength(47, "type", denoising_strength="0.5"),
    strength(47, "type", denoising_strength=True),
    strength(48, "range", noise_multiplier=-1),
    strength(48, "range", noise_multiplier=1e9),
    strength(49, "type", upscale="false", post_upscale=0),
    wrong(49, "type", turbo="false", skip_grid=0, fixed_code=1, return_base64="no"),
    Row(50, {"skip_save": True, "skip_grid": True}, faults={"skip_save": "nothing_to_return"}),
    wrong(51, "range", ddim_steps=0),
    wrong(51, "range", ddim_steps=-1),
    wrong(51, "range", ddim_steps=1001),
    wrong(51, "type", ddim_steps=20.5),
    wrong(51, "type", ddim_steps="20"),
    wrong(51, "type", ddim_steps=True),
    wrong(52, "range", ddim_eta=-0.1),
    wrong(52, "range", ddim_eta=1e9),
    wrong(53, "range", n_iter=0, n_samples=-1),
    wrong(53, "range", n_iter=1e9),
    wrong(53, "range", n_iter=10**9, n_samples=10**3999),
    Row(54, {"n_iter": 9, "n_samples": 9}, faults={"n_iter": "too_expensive"}),
    Row(54, {"n_iter": 60, "ddim_steps": 1000}, faults={"ddim_steps": "too_expensive"}),
    wrong(55, "range", H=0, W=-64),
    wrong(55, "range", H=8, W=10**6),
    wrong(55, "multiple_of", H=500, W=513),
    wrong(56, "must_match_model", C=3, f=0),
    wrong(57, "range", n_rows=-1, unet_bs=-1),
    wrong(57, "type", n_rows=0.5, unet_bs=0.5),
    wrong(57, "range", n_rows=10**9, unet_bs=10**9),
    wrong(57, "range", unet_bs=0),
    wrong(58, "range", seed=-2),
    wrong(58, "range", seed=2**64),
    wrong(58, "type", seed=1.5),
    wrong(58, "type", seed="42"),
    wrong(58, "type", seed=True),
    wrong(59, "enum", format="gif", sampler="k_eulr", precision="fp8", device="cuda:99"),
    wrong(59, "enum", device="cpu; rm -rf"),
)

IDS = ("x", "*", "%00", "5e0bb4b6-65c4-4bd4-9f55-6c1b1b2f0a10", "..%2f", "../")
"""Row 60: ids that nobody was ever given."""
