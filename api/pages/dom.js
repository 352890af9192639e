/* DOM helpers. They set text as text only, so that user input never becomes HTML. */

export const find = (selector, root = document) => root.querySelector(selector);

/** A new element with children. `properties` without a DOM property become attributes. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Set an element's text; hide the element if the text is empty. */
export function setText(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

/** Offer other choices, pairs of value and text, in a select; the chosen one stays if it is there. */
export function fillSelect(select, choices) {
  const chosen = select.value;
  select.replaceChildren(...choices.map(([value, text]) => make("option", { value }, text)));
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}
