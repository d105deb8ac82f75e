/** The view that scores a series: chart, threshold, events and what explains them. */

import { ask } from "./api.js";
import { Chart } from "./chart.js";
import { columnsOf, save, writeCsv } from "./csv.js";
import { entityQuery } from "./entity.js";
import { output, busy, count, element, figure, find, percent, period, several, shareBar, table, tell } from "./dom.js";
import { chooseSource, listSeries, takeRows } from "./source.js";

const PANELS = 4, FEWER = 3, LISTED = 500, STEEP = 10;
const NARROW = matchMedia("(max-width: 600px)");

const form = find("#score-form"), status = find("#score-status"), button = find("[type=submit]", form);
const number = find("#threshold"), logarithmic = find("#logarithmic"), slider = find("#threshold-slider"), reset = find("#threshold-reset");

/** What is on the screen: what was sent, the answer, the columns to draw, which features, the event looked at. */
let shown = null;
let model = null;
let latest = 0;
const chart = new Chart(find("#score-chart"), "Score and features over time", chooseEvent);

/** Sets the view up; `known` is the model in use, or null. */
export async function openScore(known) {
  model = known;
  find("#contract").textContent = contract(known);
  await output(button, status, "", () => listSeries(find("#series")));
}

function contract({ features, lookback: before, lookahead: after }) {
  const names = features.length > 4 ? `${features.slice(0, 3).join(", ")}, … ${features.at(-1)}` : features.join(", ");
  const rows = before + after > 0 ? ` The first ${before}${after ? ` and last ${after}` : ""} rows get no score.` : "";
  return `Needs ${several(features.length, "column")}: ${names}.${rows}`;
}

chooseSource(form);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy(button)) return;
  output(button, status, "Scoring …", async () => {
    const taken = await takeRows(form);
    const sent = { ...taken, query: entityQuery(taken) };
    const answer = await score(sent);
    const { columns, rows } = sent.table();
    const values = columnsOf(columns, rows, model.features);
    shown = { sent, values, first: answer, own: null, picked: null, event: null, unit: unitOf(answer) };
    logarithmic.checked = answer.score.some((value) => value > STEEP * shown.unit);
    show(answer);
    tell(status, summary(answer));
  });
});

/** The threshold that the answer came with, as the unit of scores; 1 where it is no help. */
const unitOf = ({ threshold }) => Math.abs(threshold.findLast(Number.isFinite) ?? 0) || 1;

const score = (sent, threshold = null) =>
  ask(`api/score?top=3${threshold === null ? "" : `&threshold=${threshold}`}${sent.query}`, { body: sent.body });

function summary({ rows, score: scores, flag, events, ignored }) {
  const flagged = flag.filter(Boolean).length, blank = scores.filter((value) => value === null).length;
  const parts = [`${several(rows, "row")}: ${several(events.length, "event")}, ${several(flagged, "row")} flagged (${percent(flagged / rows)}).`];
  if (blank) parts.push(`${several(blank, "row")} without a score.`);
  if (ignored.length) parts.push(`Columns that the model does not use: ${ignored.join(", ")}.`);
  return parts.join(" ");
}

function show(answer) {
  Object.assign(shown, { answer, event: null,
    score: Float64Array.from(answer.score, (value) => value ?? NaN), threshold: Float64Array.from(answer.threshold, (value) => value ?? NaN) });
  find("#score-result").hidden = false;
  showThreshold();
  showFeatures();
  showEvents();
  chart.chosen = null;
  draw();
}

// chart

function draw() {
  const lines = [{ name: "score", values: shown.score, kind: "score" }, { name: "threshold", values: shown.threshold, kind: "threshold" }];
  const panels = picked().filter((name) => shown.values.has(name))
    .map((name) => ({ name, height: 62, lines: [{ name, values: shown.values.get(name), kind: "signal" }] }));
  chart.show({ length: shown.answer.rows, times: shown.answer.times, overview: shown.score,
    spans: shown.answer.events.map(({ first_row: first, last_row: last }) => [first, last]),
    panels: [{ name: "score (line) and threshold (dashes)", height: 110, lines, ...(logarithmic.checked && { scale: bend }) }, ...panels] });
}

/** Linear around zero, logarithmic from about the threshold on; scores below zero have a place too. */
function bend(score) {
  return Math.asinh(score / shown.unit);
}

/** The features drawn: those that were picked, or those that explain the event looked at, then those that explain most. */
function picked() {
  if (shown.picked) return model.features.filter((name) => shown.picked.has(name));
  const { events } = shown.answer;
  const weight = new Map(model.features.map((name) => [name, 0]));
  for (const { peak_score: peak, features } of events) {
    for (const { name, share } of features) weight.set(name, weight.get(name) + share * Math.abs(peak));
  }
  const own = shown.event === null ? [] : events[shown.event].features.map(({ name }) => name);
  const ranked = [...model.features].sort((one, other) => weight.get(other) - weight.get(one));
  return [...new Set([...own, ...ranked])].slice(0, NARROW.matches ? FEWER : PANELS);
}

function showFeatures() {
  const chosen = picked(), box = find("#features");
  find("summary", box).textContent = `Features drawn: ${chosen.length} of ${model.features.length}`;
  const boxes = model.features.map((name) => element("label", {},
    element("input", { type: "checkbox", value: name, checked: chosen.includes(name), onchange: pick }), ` ${name}`));
  find("fieldset", box).replaceChildren(find("legend", box), ...boxes);
}

function pick() {
  const checked = [...find("#features").querySelectorAll(":checked")].map(({ value }) => value);
  shown.picked = new Set(checked);
  find("#features summary").textContent = `Features drawn: ${checked.length} of ${model.features.length}`;
  draw();
}

// threshold

function showThreshold() {
  const known = shown.score.filter((value) => !Number.isNaN(value));
  const low = known.reduce((least, value) => Math.min(least, value), Infinity);
  const high = known.reduce((most, value) => Math.max(most, value), -Infinity);
  const threshold = shown.own ?? shown.threshold.findLast((value) => !Number.isNaN(value));
  shown.range = [low, high];
  number.value = threshold === undefined ? "" : Number(threshold.toPrecision(5));
  slider.value = high > low ? Math.round(Math.cbrt(Math.max(0, (threshold - low) / (high - low))) * 1000) : 0;
  slider.disabled = number.disabled = !known.length;
  slider.setAttribute("aria-valuetext", number.value);
  reset.disabled = shown.own === null;
}

logarithmic.addEventListener("change", draw);
// finer where most scores are: the cube of the way
slider.addEventListener("input", () => {
  const [low, high] = shown.range;
  number.value = Number((low + (slider.value / 1000) ** 3 * (high - low)).toPrecision(4));
  slider.setAttribute("aria-valuetext", number.value);
  shown.threshold = new Float64Array(shown.answer.rows).fill(Number(number.value));
  draw();
});
slider.addEventListener("change", () => apply(Number(number.value)));
number.addEventListener("change", () => (number.value === "" || !number.validity.valid ? showThreshold() : apply(Number(number.value))));
reset.addEventListener("click", () => {
  apply(null);
  number.focus();
});

async function apply(threshold) {
  const turn = (latest += 1), asked = shown;
  try {
    const answer = threshold === null ? asked.first : await score(asked.sent, threshold);
    if (turn !== latest || asked !== shown) return;
    shown.own = threshold;
    show(answer);
    tell(status, `${summary(answer)} ${threshold === null ? "The model's own threshold." : "With your threshold; the model keeps its own."}`);
  } catch (error) {
    tell(status, error.message, true);
  }
}

// events

function showEvents() {
  const { events, times } = shown.answer;
  find("#events-heading").textContent = events.length ? `Events (${count(events.length)})` : "Events";
  const largest = events.reduce((best, { peak_score: peak }, place) => (peak > (events[best]?.peak_score ?? -Infinity) ? place : best), -1);
  if (events.length) explain(largest, "The largest event");
  else find("#explanation").replaceChildren(element("p", { className: "hint" }, "No score is above the threshold."));
  const lines = events.slice(0, LISTED).map((event, place) => [
    element("span", {}, element("button", { type: "button", className: "plain", "aria-pressed": "false", onclick: () => chooseEvent(place) }, listed(event)),
      times ? element("small", {}, period(event.start, event.end)) : null),
    figure(event.peak_score),
    element("span", { className: "shares" }, ...event.features.map(({ name, share }) => shareBar(name, share))),
  ]);
  const headings = ["Rows", "Peak score", "Explained by (share of the peak’s score)"];
  const parts = [table("Events", headings, lines, [1])];
  if (events.length > LISTED) parts.push(element("p", { className: "hint" }, `The first ${LISTED} of ${count(events.length)}; a higher threshold leaves fewer.`));
  find("#events").replaceChildren(...(events.length ? parts : []));
}

const listed = ({ first_row: first, last_row: last }) => (first === last ? `${first}` : `${first}–${last}`);

const named = (event) => `${event.first_row === event.last_row ? "row" : "rows"} ${listed(event)}`;

function explain(place, title) {
  const event = shown.answer.events[place], { peak_row: row, peak_score: peak } = event;
  const threshold = shown.threshold[row], times = shown.answer.times ? `, ${period(event.start, event.end)}` : "";
  const above = threshold > 0 ? `, ${figure(peak / threshold, 2)} times the threshold` : "";
  find("#explanation").replaceChildren(
    element("h3", {}, `${title}: ${named(event)}${times}`),
    element("p", {}, `Peak score ${figure(peak)} at row ${row}${above}. Share of each feature in it:`),
    element("div", { className: "shares" }, ...event.features.map(({ name, share }) => shareBar(name, share))));
}

function chooseEvent(place) {
  shown.event = place;
  find("#events").querySelectorAll("button").forEach((each, number) => each.setAttribute("aria-pressed", String(number === place)));
  explain(place, `Event ${place + 1}`);
  if (!shown.picked) showFeatures();
  draw();
  chart.focusSpan(place);
  chart.point(shown.answer.events[place].peak_row);
  if (chart.canvas.getBoundingClientRect().top < 0) chart.canvas.scrollIntoView({ block: "start" });
}

find("#download").addEventListener("click", () => {
  const { answer, values, sent } = shown;
  const columns = [["row", (row) => row], ...(answer.times ? [["time", (row) => answer.times[row]]] : []),
    ...[...values].map(([name, all]) => [name, (row) => all[row]]),
    ["score", (row) => answer.score[row]], ["threshold", (row) => answer.threshold[row]], ["flag", (row) => answer.flag[row]]];
  save(`${sent.title}-scored.csv`, writeCsv(columns, answer.rows));
});
