"""Write a bill of materials of each container image into a folder: `make sbom`.

NAME.cdx.json is a CycloneDX document of the image that stable-diffusion-NAME is built as: its
base image by digest, and the packages of its locks. The CUDA libraries that a build of torch brings
along are not in a lock, and not in the document; neither are the packages of the base image.
"""

import re
import sys
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
IMAGES = {
    "api": ("Dockerfile.api", ("api.lock",)),
    "flower": ("Dockerfile.api", ("flower.lock",)),
    "worker": ("Dockerfile.worker", ("worker.lock", "torch.txt", "no-deps.lock")),
}
"""Image -> its Dockerfile and what that installs from requirements/."""


def materials(name: str) -> Bom:
    """The bill of materials of one image."""
    dockerfile, files = IMAGES[name]
    recipe = (ROOT / dockerfile).read_text()
    image = Component(
        name=f"stable-diffusion-{name}",
        version=_argument("VERSION", recipe),
        type=ComponentType.CONTAINER,
        bom_ref=name,
    )
    parts = [_base(_argument("PYTHON_IMAGE", recipe))]
    for file in files:
        pins = (ROOT / "requirements" / file).read_text()
        for package, version in re.findall(r"^([a-z0-9-]+)==([^\s\\]+)", pins, re.MULTILINE):
            parts.append(_part(ComponentType.LIBRARY, PackageURL("pypi", None, package, version)))
    bom = Bom(components=parts)
    bom.metadata.component = image
    bom.register_dependency(image, parts)
    return bom


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in IMAGES:
        bom = materials(name)
        path = folder / f"{name}.cdx.json"
        path.write_text(JsonV1Dot6(bom).output_as_string(indent=2))
        print(f"{path}: {len(bom.components)} components")


def _base(image: str) -> Component:
    """`name:tag@sha256:...` as a component."""
    tagged, digest = image.split("@")
    name, tag = tagged.split(":")
    return _part(ComponentType.CONTAINER, PackageURL("oci", None, name, digest, {"tag": tag}))


def _part(kind: ComponentType, url: PackageURL) -> Component:
    return Component(name=url.name, version=url.version, type=kind, purl=url, bom_ref=str(url))


def _argument(name: str, recipe: str) -> str:
    """The default of a Dockerfile's build argument."""
    [default] = re.findall(rf"^ARG {name}=(\S+)$", recipe, re.MULTILINE)
    return default


if __name__ == "__main__":
    main(Path(sys.argv[1]))
