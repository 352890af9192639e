/* The recipe in a picture that the user drops, pastes or chooses: an offer to use it. */

import { post } from "./api.js";
import { find, make } from "./dom.js";
import { base64 } from "./init_picture.js";

/** Where programs write a recipe: a PNG's texts, and the comment of EXIF data. */
const MARKS = /(tEXt|zTXt|iTXt)(parameters|invokeai_metadata|sd-metadata|prompt|workflow)\0|(UNICODE|ASCII)\0|prompt:\{/i;
const MAX_BYTES = 1 << 26;

/**
 * Offer the recipe of every picture that the user gives to the page. `use(recipe)` is called with
 * the answer of /png-info, `fail(error)` with an ApiError.
 */
export function offerRecipes(use, fail) {
  const button = make("button", { type: "button", id: "use-recipe", className: "quiet" }, "Use its recipe");
  const offer = make("p", { id: "recipe-offer", className: "hint", hidden: true },
    "This picture carries a recipe. ", button);
  const list = make("ul", { id: "not-read", className: "hint", hidden: true });
  find("#drop").after(offer, list);
  let shown = null;

  async function consider(file) {
    shown = file ?? null;
    offer.hidden = list.hidden = true;
    const carries = file && MARKS.test(await file.slice(0, MAX_BYTES).text());
    if (file === shown) offer.hidden = !carries; // else another was given meanwhile
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const recipe = await post("/png-info", { image: await base64(shown) });
      offer.hidden = true;
      if (recipe.source !== "unknown") use(recipe);
      showNotRead(list, recipe);
    } catch (error) {
      fail(error);
    } finally {
      button.disabled = false;
    }
  });
  const files = (transfer) => [...(transfer?.files ?? [])].find(({ type }) => type.startsWith("image/"));
  find("#init_img").addEventListener("change", ({ target }) => consider(target.files[0]));
  document.addEventListener("drop", ({ dataTransfer }) => consider(files(dataTransfer)));
  document.addEventListener("paste", ({ clipboardData }) => {
    const file = files(clipboardData);
    if (file) consider(file);
  });
  find("#no-picture").addEventListener("click", () => consider(null));
}

function showNotRead(list, { source, not_read }) {
  const rows = not_read.map(({ name, value, why }) => `${name}${value && ` ${value}`}: ${why}`);
  if (source === "unknown") rows.push("No recipe was found in the picture.");
  list.replaceChildren(...rows.map((row) => make("li", {}, row)));
  list.hidden = !rows.length;
}
