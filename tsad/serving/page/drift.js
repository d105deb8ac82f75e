/** The view of drift, and of the threshold fitted anew. */

import { ask } from "./api.js";
import { output, busy, capital, element, even, figure, find, several, table, tell } from "./dom.js";

const status = find("#drift-status"), again = find("#drift-refresh"), recalibrate = find("#recalibrate");
const NAMES = { expected: "as expected", drifted: "drifted", unknown: "not known" };

/** Asks for the drift and shows it. */
export function openDrift() {
  return output(again, status, "Looking …", async () => show(await ask("/api/drift")));
}

function show({ features, scores, message }) {
  tell(status, capital(message));
  const line = (name, { distance, expected, state: where }) => [name, written(distance), written(expected), mark(where)];
  const ranked = [...features].sort((one, other) => (other.distance ?? -1) - (one.distance ?? -1));
  const lines = [...(scores ? [line(element("strong", {}, "scores"), scores)] : []), ...ranked.map((each) => line(each.name, each))];
  find("#drift").replaceChildren(
    ...(lines.length ? [table("Drift of the scores and of each feature", ["Feature", "Distance", "Usual up to", "State"], lines, [1, 2])] : []));
}

const written = (value) => (value === null || value === undefined ? null : even(value));

const mark = (state) => element("span", { className: state === "drifted" ? "tag main" : "tag" }, NAMES[state] ?? String(state));

again.addEventListener("click", () => busy(again) || openDrift());

recalibrate.addEventListener("click", async () => {
  if (busy(recalibrate) || !(await confirmed())) return;
  output(recalibrate, find("#recalibrate-status"), "Fitting …", async () => {
    const { before, after, rows } = await ask("/api/recalibrate", { method: "POST" });
    const threshold = ({ method, value }) => `${figure(value)} (${method})`;
    tell(find("#recalibrate-status"), `Threshold fitted to the scores of ${several(rows, "row")}: before ${threshold(before)}, after ${threshold(after)}.`);
  });
});

function confirmed() {
  const dialog = find("#confirm-dialog");
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
