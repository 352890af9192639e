"""Only the table of families names a family: the rest asks the `Family` of a model."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from stable_diffusion.families import FAMILIES
from stable_diffusion.tiny import PATHS

ROOT = Path(__file__).parents[3]
ENGINE = ROOT / "stable_diffusion"
PACKAGES = (ENGINE, *(ROOT / name for name in ("worker", "jobs", "api", "launcher", "client")))
SOURCES = [
    path
    for package in PACKAGES
    for path in sorted(package.rglob("*.py"))
    if ENGINE / "families" not in path.parents
]
# the shipped models bear the names of their families
SHIPPED = {path.stem for path in PATHS}
IDS = {family.id for family in FAMILIES} - SHIPPED
KINDS = {family.kind(prediction) for family in FAMILIES for prediction in ("epsilon", "v")}
# others are numbers of other things, too
WIDTHS = {family.context_width for family in FAMILIES if 512 <= family.context_width < 2048}
MODULES = {
    f"stable_diffusion.families.{path.stem}"
    for path in (ENGINE / "families").glob("[!_]*.py")
    if hasattr(import_module(f"stable_diffusion.families.{path.stem}"), "FAMILIES")
}


def faults(source: str, *, engine: bool) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) if text in IDS | KINDS - SHIPPED:
                yield f"line {node.lineno}: {text!r}"
            case ast.Constant(value=int(number)) if engine and number in WIDTHS:
                yield f"line {node.lineno}: {number}"
            case ast.ImportFrom(module=str(module)) if module in MODULES:
                yield f"line {node.lineno}: {module}"
            case ast.Name(id=name) | ast.Attribute(attr=name) if name.lower() in IDS:
                yield f"line {node.lineno}: {name}"
            case _:
                pass


def test_no_other_module_names_a_family_or_the_width_of_its_text() -> None:
    found = {
        str(path.relative_to(ROOT)): list(faults(path.read_text(), engine=ENGINE in path.parents))
        for path in SOURCES
    }
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        'if model.kind == "sd2-v": pass',
        "from stable_diffusion.families.sd1 import SD1 as one",
        "size = SD2.latents",
        "width = 768",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert list(faults(source, engine=True))
