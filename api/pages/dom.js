/* Elements. Text is only ever set as text: what people write never becomes HTML. */

export const find = (selector, root = document) => root.querySelector(selector);

/** A new element with properties (or attributes, where there is no such property) and children. */
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

/** Show a text in an element that is hidden while there is none. */
export function say(element, text) {
  element.textContent = text;
  element.hidden = !text;
}
