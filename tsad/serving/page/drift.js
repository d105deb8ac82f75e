/** The view of drift, and of the threshold fitted anew. */

import { ask } from "./api.js";
import { entityQuery } from "./entity.js";
import { output, busy, capital, element, even, figure, find, several, table, tell } from "./dom.js";

const status = find("#drift-status"), again = find("#drift-refresh"), recalibrate = find("#recalibrate"), undo = find("#undo");
const source = find("#drift-source"), outcome = find("#recalibrate-status");
const NAMES = { expected: "as expected", drifted: "drifted", unknown: "not known" };

/** Asks for the drift and shows it. */
export function openDrift() {
  return output(again, status, "Looking …", async () => show(await ask(`api/drift?source=${encodeURIComponent(source.value)}${entityQuery({ otherwise: true })}`)));
}

function show({ features, scores, message, sources, source: shown, threshold, previous_threshold: previous }) {
  source.replaceChildren(...sources.map(({ name, rows }) => element("option", { value: name, selected: name === shown }, `${name} (${several(rows, "row")})`)));
  find("#drift-threshold").textContent = `Threshold: ${fitted(threshold)}${previous ? `; before the last recalibration: ${fitted(previous)}` : ""}`;
  undo.disabled = !previous;
  tell(status, capital(message));
  const line = (name, { distance, expected, state: where }) => [name, written(distance), written(expected), mark(where)];
  const ranked = [...features].sort((one, other) => (other.distance ?? -1) - (one.distance ?? -1));
  const lines = [...(scores ? [line(element("strong", {}, "scores"), scores)] : []), ...ranked.map((each) => line(each.name, each))];
  find("#drift").replaceChildren(
    ...(lines.length ? [table("Drift of the scores and of each feature", ["Feature", "Distance", "Usual up to", "State"], lines, [1, 2])] : []));
}

const written = (value) => (value === null || value === undefined ? null : even(value));

const mark = (state) => element("span", { className: state === "drifted" ? "tag main" : "tag" }, NAMES[state] ?? String(state));

const fitted = ({ method, value }) => `${figure(value)} (${method})`;

again.addEventListener("click", () => busy(again) || openDrift());
source.addEventListener("change", openDrift);

undo.addEventListener("click", () => busy(undo) || output(undo, outcome, "Restoring …", async () => {
  const { before, after } = await ask(`api/recalibrate?${entityQuery({ otherwise: true }).slice(1)}`, { method: "DELETE" });
  await openDrift();
  tell(outcome, `The last recalibration is undone: before ${fitted(before)}, after ${fitted(after)}.`);
}));

recalibrate.addEventListener("click", async () => {
  if (busy(recalibrate) || !(await confirmed())) return;
  output(recalibrate, outcome, "Fitting …", async () => {
    const { before, after, rows } = await ask(`api/recalibrate?source=${encodeURIComponent(source.value)}${entityQuery({ otherwise: true })}`, { method: "POST" });
    await openDrift();
    tell(outcome, `Threshold fitted to the scores of ${several(rows, "row")}: before ${fitted(before)}, after ${fitted(after)}.`);
  });
});

function confirmed() {
  const dialog = find("#confirm-dialog");
  find("#confirm-source").textContent = source.value;
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
