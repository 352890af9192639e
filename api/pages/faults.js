/* What the server found wrong, at the fields that it concerns. */

import { find, make, say } from "./dom.js";

/** Take all that was said away. */
export function clearFaults(form) {
  for (const field of form.querySelectorAll(".field[data-faulty]")) {
    delete field.dataset.faulty;
    find(".fault", field)?.remove();
    const input = inputOf(field);
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
  say(find("#refusal"), "");
}

/** Say why a request was refused: at its fields, and above the button what belongs to none. */
export function showRefusal(form, refused) {
  clearFaults(form);
  const elsewhere = refused.faults.filter((fault) => !showAtField(form, fault));
  const first = find(".field[data-faulty]", form);
  if (first && find("#settings").contains(first)) find("#settings").open = true;
  const rest = elsewhere.map((fault) => `${fault.field}: ${sentence(fault)}`).join(" ");
  say(find("#refusal"), rest || (first ? "" : refused.message));
  if (first) inputOf(first).focus();
}

function showAtField(form, fault) {
  const field = find(`.field[data-field="${CSS.escape(fault.field)}"]`, form);
  if (!field || field.hidden) return false;
  const id = `fault-${fault.field}`;
  const input = inputOf(field);
  field.dataset.faulty = "";
  field.append(make("p", { className: "fault", id }, sentence(fault)));
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", id);
  return true;
}

const inputOf = (field) => find("textarea, select, input", field);

function sentence({ problem, expected }) {
  return `${problem[0].toUpperCase()}${problem.slice(1)}. Wanted: ${expected}.`;
}
