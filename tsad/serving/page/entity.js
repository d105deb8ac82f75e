/** Whose rows are meant, if the model is a fleet. */

import { element, find } from "./dom.js";

const list = find("#entity");

/** Shows the entities of a fleet; nothing if the model is none. */
export function listEntities({ entities }) {
  find("#entity-field").hidden = !entities;
  if (!entities) return;
  list.replaceChildren(element("option", { value: "" }, "named by the rows"), ...entities.map((name) => element("option", { value: name }, name)));
}

/** Runs `work` when another entity is chosen. */
export function onEntity(work) {
  list.addEventListener("change", work);
}

/** Returns the part of a query that names an entity: this one, or the chosen one; without either, `otherwise` the first of the fleet. */
export function entityQuery({ entity, otherwise = false } = {}) {
  if (find("#entity-field").hidden) return "";
  const name = entity ?? (list.value || (otherwise ? list.options[1].value : ""));
  return name ? `&entity=${encodeURIComponent(name)}` : "";
}
