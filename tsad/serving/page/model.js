/** The view of the model in use and of the versions beside it. */

import { ask } from "./api.js";
import { entityQuery } from "./entity.js";
import { clock, element, even, facts, figure, find, table, tell } from "./dom.js";

const BASELINES = /^baseline\/([^/]+)\/(.+)$/;
const ORACLE = "Oracle: this figure read the labels of the very rows that it is reported on; no one reaches it in operation.";

/** Asks for the model and its versions and shows them. */
export async function openModel() {
  const line = find("#model-status");
  try {
    const [model, versions] = await Promise.all([ask(`api/model?${entityQuery().slice(1)}`), ask("api/versions")]);
    showModel(model);
    showVersions(versions, model);
  } catch (error) {
    tell(line, error.message, true);
  }
}

const NEXT = ({ loading, refused, failure }) => (loading ? `version ${loading} is being loaded` : refused ? `version ${refused.version} was refused: ${refused.reason}` : failure ?? null);

function showModel(model) {
  const { follows, since, previous } = model.live, next = NEXT(model.live);
  find("#model").replaceChildren(facts([
    ["Name", model.name ? `${model.name}, version ${model.version}` : "a saved detector, not from a registry"],
    ["Kind", model.kind],
    ["Loaded from", element("code", {}, model.uri)],
    ...(follows ? [["Follows", `${follows}, in service since ${clock(since)}${previous ? `, before that version ${previous}` : ""}`]] : []),
    ...(next ? [["Next version", next]] : []),
    ...(model.entities ? [["Entities", `${model.entities.length}${model.shared ? ", and a shared detector for all others" : ""}`]] : []),
    ["Features", `${model.features.length}: ${model.features.join(", ")}`],
    ...(model.threshold ? detectorFacts(model) : []),
  ]), element("h2", {}, "Metrics"), metrics(model.metrics, model.headlines));
}

/** What is known of one detector; a fleet has one for each entity, and shows that of the one that is chosen. */
function detectorFacts({ entity, detector, threshold, labels_used: used, lookback, lookahead }) {
  return [
    ...(entity ? [["Detector of", `${entity}: ${detector}`]] : []),
    ["Threshold", `${threshold.method}: ${figure(threshold.value)}`],
    ["Labels used", labels(used)],
    ["Rows of context", `${lookback} before and ${lookahead} after each row`],
  ];
}

function labels(used) {
  const said = Object.entries(used).map(([name, whose]) => [name.replace("tsad.labels_used.", ""), String(whose)]);
  if (said.every(([, whose]) => whose === "nothing")) return "none: no labels were used in training, in the threshold or to select the detector";
  return said.map(([part, whose]) => `${part}: ${whose === "nothing" ? "none" : `labels of ${whose}`}`).join("; ");
}

function metrics(values, headlines) {
  const own = Object.entries(values).filter(([name]) => !BASELINES.test(name));
  if (!own.length) return element("p", { className: "hint" }, "None are recorded with it.");
  const rival = bestBaseline(values);
  const headings = ["Metric", "Value", ...(rival.size ? ["Best baseline"] : [])];
  const lines = own.sort(([one], [other]) => rank(one, headlines) - rank(other, headlines) || one.localeCompare(other)).map(([name, value]) =>
    [metric(name), even(value), ...(rival.size ? [rivalCell(rival.get(name))] : [])]);
  const parts = [table("Metrics", headings, lines, [1, 2])];
  if (own.some(([name]) => isOracle(name))) parts.push(element("p", { className: "hint" }, ORACLE));
  return element("div", { className: "narrow" }, ...parts);
}

/** The largest value of each metric among the baselines on the same rows. */
function bestBaseline(values) {
  const best = new Map();
  for (const [name, value] of Object.entries(values)) {
    const [, detector, measured] = BASELINES.exec(name) ?? [];
    if (detector && !(best.get(measured)?.value >= value)) best.set(measured, { name: detector, value });
  }
  return best;
}

const rivalCell = (found) => (found ? element("span", {}, even(found.value), element("small", {}, found.name)) : null);

const isOracle = (name) => name.startsWith("oracle/");

const rank = (name, headlines) => (headlines.includes(name) ? headlines.indexOf(name) : headlines.length + isOracle(name));

const metric = (name) => (isOracle(name)
  ? element("span", { className: "oracle", title: ORACLE }, name) : name);

function showVersions(versions, { version: current, headlines }) {
  if (!versions.length) {
    find("#versions").replaceChildren(element("p", { className: "hint" }, "The service runs from a folder; there is no registry to list."));
    return;
  }
  const compared = headlines.filter((name) => versions.some(({ metrics: values }) => name in values));
  const lines = versions.map(({ version, aliases, created, run_id: run, metrics: values }) => [
    element("span", {}, version, version === current ? " (in use)" : ""),
    element("span", {}, ...aliases.map((alias) => element("span", { className: alias === "champion" ? "tag main" : "tag" }, alias))),
    element("span", { className: "number" }, clock(created).replace(/:\d\d(\.\d+)?(?= |$|\+)/, "")), ...compared.map((name) => (name in values ? even(values[name]) : null)), element("code", { title: run }, (run ?? "").slice(0, 8)),
  ]);
  find("#versions").replaceChildren(table("Versions", ["Version", "Aliases", "Created", ...compared.map(metric), "Run"], lines, compared.map((_, place) => place + 3)));
}
