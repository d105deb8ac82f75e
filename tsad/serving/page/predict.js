/** Train and predict: one series of numbers, a small search, what it foresaw and where it was wrong. */

import { ask } from "./api.js";
import { Chart } from "./chart.js";
import { output, busy, count, element, facts, figure, find, several, tell } from "./dom.js";
import { refresh, watch } from "./search.js";
import { chooseSource } from "./source.js";

/** The series behind each job that was started here, by its id: an answer does not repeat it. */
export const truths = new Map();
let latest = null;

/** Says whether an answer is the one on the screen already. */
export const isShown = (answer) => JSON.stringify(answer.y_pred) === latest;

const form = find("#predict-form"), status = find("#predict-status"), button = find("[type=submit]", form);

chooseSource(form);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy(button)) return;
  output(button, status, "Training; the job below shows how far it is …", async () => {
    const isSynthetic = form.elements.source.value === "synthetic", sigma = Number(find("#sigma").value);
    const truth = isSynthetic ? null : numbers(find("#numbers").value);
    find("#prediction").hidden = true;
    const waiting = setTimeout(refresh, 1500);
    const answer = await ask("train_predict", { body: isSynthetic ? { use_synthetic: true, sigma } : { y_true: truth, sigma } });
    clearTimeout(waiting);
    if (answer.y_pred) {
      tell(status, `${several(answer.count, "anomaly", "anomalies")} in ${several(answer.y_pred.length, "row")}.`);
      find("#prediction").hidden = false;
      showPrediction(find("#prediction"), answer, truth);
      latest = JSON.stringify(answer.y_pred);
    } else {
      truths.set(answer.id, truth);
      tell(status, "It takes longer; the job below goes on with it.");
      watch(answer.id);
    }
  });
});

function numbers(text) {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  if (!words.length) throw new Error("Paste some numbers first.");
  return words.map((word, place) => {
    const value = Number(word);
    if (!Number.isFinite(value)) throw new Error(`Every value must be a number, but value ${place + 1} is '${word}'; mend it.`);
    return value;
  });
}

/** Shows an answer of /train_predict in `host`; `sent` is the series, null if it is not known here. */
export function showPrediction(host, answer, sent) {
  const truth = answer.y_true ?? sent;
  const place = element("div"), { nas_config: found, metrics, anomaly_eval: judged, search_summary: search } = answer;
  const line = (name, values, kind) => ({ name, kind, values: Float64Array.from(values, (value) => value ?? NaN) });
  const lines = [...(truth ? [line("y_true", truth, "truth")] : []), line("y_pred", answer.y_pred, "prediction")];
  const named = (values) => Object.entries(values ?? {}).filter(([, value]) => value !== null && typeof value !== "object")
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${typeof value === "number" ? figure(value) : value}`).join(", ") || "–";
  host.replaceChildren(place, facts([
    ["Anomalies", answer.count ? listed(answer.anomalies) : "none"],
    ["Threshold", `${figure(answer.threshold)} of error`],
    ["Architecture", named(found)], ["Errors", named(metrics)],
    ...(judged ? [["Against labels", named(judged)]] : []), ["Search", named(search)],
    ...(answer.report_path ? [["Report", element("code", {}, answer.report_path)]] : []),
  ]));
  new Chart(place, "Prediction over time").show({ length: answer.y_pred.length, times: null, spans: stretches(answer.anomalies),
    overview: lines[0].values, panels: [{ name: truth ? "y_true (gray) and y_pred (blue)" : "y_pred", height: 160, lines }] });
}

const listed = (rows) => `${count(rows.length)}: ${rows.length > 1 ? "rows" : "row"} ${rows.slice(0, 40).join(", ")}${rows.length > 40 ? ", …" : ""}`;

/** Returns [first, last] of each run of rows. */
function stretches(rows) {
  const found = [];
  for (const row of [...rows].sort((one, other) => one - other)) {
    if (found.length && found.at(-1)[1] === row - 1) found.at(-1)[1] = row;
    else found.push([row, row]);
  }
  return found;
}
