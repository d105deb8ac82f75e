/** The view that starts searches and watches jobs. */

import { ask } from "./api.js";
import { output, busy, count, element, facts, figure, find, several, shape, table, tell } from "./dom.js";
import { isShown, showPrediction, truths } from "./predict.js";
import { chooseSource, listSeries, takeRows } from "./source.js";

const PERIOD = 1000;
const OVER = ["finished", "failed", "cancelled"];
const form = find("#search-form"), status = find("#search-status"), button = find("[type=submit]", form);
let watched = null;
let timer = 0;

/** Fills the list of series and shows the jobs there are. */
export async function openSearch() {
  await output(button, status, "", () => listSeries(find("#search-series")));
  await refresh();
}

chooseSource(form);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy(button)) return;
  output(button, status, "Sending …", async () => {
    const trials = Number(find("#trials").value);
    const { series, body } = form.elements.source.value === "series" ? { series: find("select", form).value } : await takeRows(form);
    const job = series ? await ask("api/searches", { body: { series, trials } }) : await ask(`api/searches?trials=${trials}`, { body });
    tell(status, "The search is on its way; see below.");
    await watch(job.id);
    find("#job").scrollIntoView({ block: "nearest" });
  });
});

/** Follows a job until it is over. */
export function watch(id) {
  watched = id;
  return refresh();
}

/** Asks for the jobs, and again in a second while one is at work. */
export async function refresh() {
  clearTimeout(timer);
  try {
    const jobs = await ask("api/jobs");
    showJobs(jobs);
    watched ??= jobs.find(({ state }) => !OVER.includes(state))?.id ?? null;
    if (watched) showJob(await ask(`api/jobs/${encodeURIComponent(watched)}`));
    if (jobs.some(({ state }) => !OVER.includes(state))) timer = setTimeout(refresh, PERIOD);
  } catch (error) {
    tell(status, error.message, true);
  }
}

function showJobs(jobs) {
  const host = find("#jobs"), focused = document.activeElement?.dataset?.job;
  if (!jobs.length) {
    host.replaceChildren(element("p", { className: "hint" }, "None yet."));
    return;
  }
  const lines = [...jobs].map((job) => [
    element("button", { type: "button", className: "plain", "aria-pressed": String(job.id === watched), onclick: () => watch(job.id) }, job.id.slice(0, 8)),
    job.kind, stateOf(job), job.progress.total ? `${job.progress.done} of ${job.progress.total}` : "–", figure(job.progress.best), seconds(job.seconds),
  ]);
  host.replaceChildren(table("Jobs", ["Job", "Kind", "State", "Trials", "Best value", "Time"], lines, [3, 4, 5]));
  host.querySelectorAll("button").forEach((each, place) => {
    each.dataset.job = [...jobs][place].id;
    if (each.dataset.job === focused) each.focus();
  });
}

const stateOf = ({ state, position }) => (state === "queued" && position ? `queued, place ${position}` : state);

const seconds = (value) => (value === null || value === undefined ? "–" : value < 100 ? `${value.toFixed(0)} s` : `${(value / 60).toFixed(1)} min`);

function showJob(job) {
  const { done, total, best, trials } = job.progress, host = find("#job");
  if (host.dataset.job !== job.id) host.replaceChildren(...frame(job));
  host.dataset.job = job.id;
  host.hidden = false;
  Object.assign(find("progress", host), { max: Math.max(1, total), value: done });
  tell(find(".status", host), told(job), job.state === "failed");
  find(".cancel", host).hidden = OVER.includes(job.state);
  if (best !== null && best !== undefined) find(".curve", host).replaceChildren(curve(trials, total, find(".curve", host).clientWidth), caption());
  find(".trials", host).replaceChildren(...(trials.length ? [trialTable(trials, OVER.includes(job.state))] : []));
  if (job.state === "finished" && job.result && find(".outcome", host).childElementCount === 0) outcome(job, find(".outcome", host));
}

function frame(job) {
  const cancel = element("button", { type: "button", className: "cancel", onclick: () => output(cancel, find("#job .status"), "Canceling …", async () => {
    await ask(`api/jobs/${encodeURIComponent(job.id)}`, { method: "DELETE" });
    await refresh();
  }) }, "Cancel");
  return [element("h3", {}, `Job ${job.id.slice(0, 8)}`),
    element("div", { className: "actions" }, element("progress", { "aria-label": "Trials done" }), cancel),
    element("p", { className: "status", role: "status" }), element("div", { className: "outcome" }),
    element("figure", { className: "curve" }), element("div", { className: "trials" })];
}

function told(job) {
  const { done, total, best } = job.progress;
  const trials = total ? ` and ${several(done, "trial")}` : "";
  const says = { queued: "Waits for the jobs before it.", running: `${total ? `${done} of ${several(total, "trial")} done` : "At work"} after ${seconds(job.seconds)}.`,
    finished: `Finished after ${seconds(job.seconds)}${trials}.`, cancelled: total ? `Cancelled after ${several(done, "trial")}.` : "Cancelled.", failed: `Failed: ${job.error ?? "no reason is known"}` };
  const value = best === null || best === undefined ? "" : ` Best value ${figure(best)}.`;
  return `${says[job.state] ?? job.state}${job.state === "queued" && job.position ? ` Place in the queue: ${job.position}.` : ""}${job.state === "failed" ? "" : value}`;
}

function outcome(job, host) {
  if (job.kind === "search" && job.result.version) {
    const line = element("p", { className: "status", role: "status" });
    const button = element("button", { type: "button", className: "promote", onclick: () => output(button, line, "Sending …", async () => {
      const promotion = await ask("api/promotions", { body: { version: Number(job.result.version) } });
      await watch(promotion.id);
    }) }, "Promote to champion");
    host.replaceChildren(outcomeFacts(job.result), element("p", { className: "actions" }, button), line);
    return;
  }
  if (job.result.y_pred && !isShown(job.result)) showPrediction(host, job.result, truths.get(job.id));
  else if (!job.result.y_pred) host.replaceChildren(outcomeFacts(job.result));
}

const outcomeFacts = (result) => facts(Object.entries(result).filter(([, value]) => value !== null && typeof value !== "object")
  .map(([name, value]) => [name.replaceAll("_", " "), typeof value === "number" ? figure(value) : String(value)]));

function trialTable(trials, isOver) {
  const top = bestOf(trials);
  const lines = trials.map((trial) => [trial === top ? element("strong", {}, trial.name) : trial.name, isOver && trial.state === "running" ? "ended with the job" : trial.state, figure(trial.value), params(trial.params)]);
  return table("Trials", ["Trial", "State", "Value", "Params"], lines, [2]);
}

const bestOf = (trials) => trials.reduce((best, trial) => (trial.value !== null && !(best?.value >= trial.value) ? trial : best), null);

const params = (values) => element("span", { className: "params" }, Object.entries(values ?? {})
  .map(([name, value]) => `${name} ${typeof value === "number" ? figure(value) : typeof value === "object" ? JSON.stringify(value) : value}`).join(", "));

const caption = () => element("figcaption", { className: "hint" }, "Value of each trial, larger is better, and the best so far, in the order of the trials.");

/** Returns a picture, `width` pixels wide, of each trial's value and the best so far. */
function curve(trials, total, width) {
  const values = trials.map(({ value }) => value).filter((value) => value !== null && value !== undefined);
  const [height, left, bottom] = [130, 60, 4];
  const low = Math.min(...values), high = Math.max(...values), room = high - low || Math.abs(high) || 1;
  const across = (place) => left + ((place + 0.5) / Math.max(total, values.length)) * (width - left - 6);
  const up = (value) => height - bottom - 8 - ((value - low) / room) * (height - bottom - 20);
  let best = -Infinity;
  const steps = values.map((value, place) => {
    best = Math.max(best, value);
    return `${place ? "H" : "M"}${across(place)}${place ? "V" : " "}${up(best)}`;
  });
  const label = (value) => shape("text", { x: left - 6, y: up(value) + 4, "text-anchor": "end" }, figure(value));
  return shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Best value so far after ${count(values.length)} trials: ${figure(best)}` },
    shape("path", { class: "axis", d: `M${left} 6V${height - bottom}H${width}` }),
    shape("path", { class: "best", d: steps.join("") }),
    ...values.map((value, place) => shape("circle", { cx: across(place), cy: up(value), r: 3.5 })),
    label(high), ...(high > low ? [label(low)] : []));
}
