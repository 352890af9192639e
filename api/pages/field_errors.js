/* Error messages of the server, shown at the form's fields. */

import { find, make, setText } from "./dom.js";

/** Remove all messages at the fields within `root`. */
export function clearErrors(root) {
  for (const field of root.querySelectorAll(".field[data-faulty]")) {
    delete field.dataset.faulty;
    find(".fault", field)?.remove();
    const input = inputOf(field);
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
  setText(find("#refusal"), "");
}

/** Show why a request failed: at its fields, and above the button what concerns no field. */
export function showError(root, error) {
  clearErrors(root);
  const elsewhere = error.faults.filter((fault) => !showAtField(root, fault));
  const first = find(".field[data-faulty]", root);
  if (first && find("#settings").contains(first)) find("#settings").open = true;
  const rest = elsewhere.map((fault) => `${fault.field}: ${sentence(fault)}`).join(" ");
  setText(find("#refusal"), rest || (first ? "" : error.message));
  if (first) inputOf(first).focus();
}

function showAtField(root, fault) {
  const field = find(`.field[data-field="${CSS.escape(fault.field)}"]`, root);
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
