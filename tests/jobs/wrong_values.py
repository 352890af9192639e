"""For every field of a request, values that it may not have."""

from typing import Any

from hypothesis import strategies as st

from jobs.parameters.schemas import SCHEMAS

Wrong = st.SearchStrategy[Any]

CONTAINER = st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(), st.text(), max_size=2)
STRING = st.text(max_size=20)
NUMBER = st.integers() | st.floats()
NO_SWITCH = CONTAINER | STRING | NUMBER
NO_NUMBER = CONTAINER | STRING | st.booleans()
NO_STRING = CONTAINER | NUMBER | st.booleans()
NO_CHARACTER = st.sampled_from(["\0", "\ud800", "\udfff"])
FRACTION = st.floats().filter(lambda number: not number.is_integer())
NOT_FINITE = st.sampled_from([float("nan"), float("inf"), float("-inf")])


def outside(low: float, high: float) -> Wrong:
    """No finite number from `low` up to `high`."""
    below = st.floats(max_value=low, exclude_max=True)
    return NO_NUMBER | NOT_FINITE | below | st.floats(min_value=high, exclude_min=True)


def not_whole(low: int, high: int) -> Wrong:
    """No integer from `low` up to `high`; 20.0 is one, as JSON Schema has it."""
    beyond = st.integers(max_value=low - 1) | st.integers(min_value=high + 1)
    return NO_NUMBER | beyond | FRACTION


def none_of(*choices: str) -> Wrong:
    """No string of these."""
    return NO_STRING | STRING.filter(lambda text: text not in choices)


def around(text: Wrong) -> Wrong:
    """What is wrong within whatever is right."""
    return st.tuples(STRING, text, STRING).map("".join)


SIDE = not_whole(64, 2048) | st.integers(64, 512).filter(lambda pixels: pixels % 8)
FOLDER = st.sampled_from(
    ["/etc", "..", "a/../b", "a//b", "a b", "a\\b", "~/x", ".x", "s3://b/x", "a" * 65, "%2e%2e/x"]
)
NAME = st.sampled_from(["/etc/passwd", "../x", "a/b", "a b", "a\\b", ".x", "a" * 200, "http://h/x"])
PICTURE = st.sampled_from(
    ["", "!!!!", "YQ", "aGVsbG8=", "data:image/png;base64,", "http://h/x.png"]
)
SEED = st.integers(max_value=-2) | st.integers(2**53) | FRACTION | STRING | st.just(True)


def wrong_for(schema: dict[str, Any]) -> Wrong:
    """Values of another type than a JSON schema has, out of its bounds, or none of its choices."""
    match schema:
        case {"anyOf": [described, {"type": "null"}]}:
            return wrong_for(described)
        case {"type": "boolean"}:
            return NO_SWITCH
        case {"enum": choices}:
            return none_of(*choices)
        case {"type": "integer", "minimum": low, "maximum": high}:
            return not_whole(low, high)
        case {"type": "number", "minimum": low, "maximum": high}:
            return outside(low, high)
        case {"type": "number", "exclusiveMinimum": low, "maximum": high}:
            return outside(low, high) | st.just(low)
        case _:
            return NO_STRING


SPECIAL: dict[str, Wrong] = {
    **dict.fromkeys(("prompt", "negative_prompt"), NO_STRING | around(NO_CHARACTER)),
    **dict.fromkeys(("hires_prompt", "hires_negative_prompt"), NO_STRING | around(NO_CHARACTER)),
    **dict.fromkeys(("hires_width", "hires_height"), SIDE),
    "hires_upscaler": none_of("latent", "default", "lanczos", "nearest"),
    "hires_sampler": NO_STRING | st.sampled_from(["", "k_eulr"]),
    "hires_scheduler": NO_STRING | st.sampled_from(["", "karat"]),
    **dict.fromkeys(("H", "W"), SIDE),
    "type": none_of("standard", "optimized"),
    "outdir": NO_STRING | FOLDER | NO_CHARACTER,
    "scheduler": NO_STRING | st.sampled_from(["", "karat", "karras\0", "none"]),
    "C": NO_NUMBER | st.integers().filter(lambda channels: channels != 4),
    "f": NO_NUMBER | st.integers().filter(lambda factor: factor != 8),
    "device": st.sampled_from(["", "gpu", "cuda:16", "cuda:-1", "cpu; rm -rf", "CPU", 0, True, []]),
    "from-file": st.sampled_from([True, 0, 5, 1.5, [], {}]) | NAME,
    "config": st.sampled_from([True, 0, [], {}, "v1-inference.yaml", "../x.yaml", ""]),
    "ckpt": st.sampled_from([True, 0, [], {}, "", "a" * 1025, {"sd14": 5}, {"sd14": ""}]),
    "vae": st.sampled_from([True, 0, [], {}, "", "a" * 1025, "a\0b"]),
    **dict.fromkeys(("seed", "variation_seed"), SEED),
    "sampler": NO_STRING | st.sampled_from(["", "k_eulr", "ddim2", "ddim\0"]),
    "webhook": st.sampled_from(
        ["", "example.com", "ftp://a/b", "https://", "https://a b", 5, True]
    ),
    **dict.fromkeys(("init_img", "mask"), NO_STRING | PICTURE),
    "extend": NO_STRING | st.sampled_from([{"left": 4}, {"up": 8}, {"top": -8}, {"top": "8"}]),
    "cache": NO_STRING
    | st.sampled_from([{}, {"interval": 1}, {"interval": 11}, {"interval": "3"}, {"every": 3}])
    | st.just({"interval": 3, "branch": 0}),
    "refiner": NO_STRING
    | st.sampled_from([{}, {"switch_at": 0.5}, {"ckpt": ""}, {"ckpt": 5}, {"ckpt": "a\0"}])
    | st.sampled_from([{"ckpt": "a", "switch_at": share} for share in (1, -0.1, "0.5", True)])
    | st.just({"ckpt": "a", "steps": 5}),
}
"""Of the fields whose schema does not say all."""
WRONG = {
    name: wrong_for(schema)
    for kind in SCHEMAS
    for name, schema in SCHEMAS[kind]["standard"].model_json_schema()["properties"].items()
    if name != "vary"
} | SPECIAL
