"""A picture's texts → the recipe in them, whichever program wrote it."""

from api.recipes.comfyui import comfyui_recipe
from api.recipes.comfyui_workflow import graph_of_workflow
from api.recipes.draft import Draft, Recipe
from api.recipes.infotext_recipe import infotext_recipe
from api.recipes.invokeai import invokeai_2_recipe, invokeai_recipe
from api.recipes.json_text import read_json
from api.recipes.picture_text import PictureText
from jobs.served import Served


def read_recipe(found: PictureText, served: Served) -> Recipe:
    """What a picture was made of; source `unknown` and no fields if it says nothing.

    An infotext counts more than other texts: some programs write one beside their own metadata.

    Args:
        found: the texts of the picture.
        served: what is installed.
    """
    if read_json(found.infotext):  # Fooocus writes its own metadata under the same name
        draft = Draft("unknown")
        draft.skip(
            "parameters", found.infotext, "is JSON of a program that the service cannot read"
        )
        return draft.finished(found.infotext)
    if found.infotext.strip():
        return infotext_recipe(found.infotext, served)
    texts = {name.lower(): text for name, text in found.items.items()}
    if metadata := read_json(texts.get("invokeai_metadata", "")):
        return invokeai_recipe(metadata, served)
    if metadata := read_json(texts.get("sd-metadata", "")):
        return invokeai_2_recipe(metadata, served)
    if graph := read_json(texts.get("prompt", "")):
        return comfyui_recipe(graph, served)
    if graph := graph_of_workflow(read_json(texts.get("workflow", ""))):
        return comfyui_recipe(graph, served)
    return Recipe("unknown", "", "txt2img", {}, ())
