/** The page: which view is seen, and what each shows first. */

import { ask } from "./api.js";
import { find, tell } from "./dom.js";
import { openDrift } from "./drift.js";
import { listEntities, onEntity } from "./entity.js";
import { openModel } from "./model.js";
import "./predict.js";
import { openScore } from "./score.js";
import { openSearch, refresh } from "./search.js";

const VIEWS = ["score", "model", "search", "drift"];
const FIRST = { model: openModel, search: openSearch, drift: openDrift };
const AGAIN = { ...FIRST, search: refresh };
const opened = new Set();

function go() {
  const asked = location.hash.slice(1);
  if (asked === "main") return;
  const view = VIEWS.includes(asked) ? asked : VIEWS[0];
  for (const name of VIEWS) {
    find(`#view-${name}`).hidden = name !== view;
    const link = find(`nav a[href="#${name}"]`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const show = (opened.has(view) ? AGAIN : FIRST)[view];
  opened.add(view);
  known.then(() => show?.()); // a fleet must be asked about one of its entities
}

async function know() {
  const model = await ask("api/model");
  find("#in-use").textContent = model.name ? `${model.name} version ${model.version}` : model.kind;
  listEntities(model);
  return model;
}

const model = know();
const known = model.catch(() => null);

async function start() {
  try {
    await openScore(await model);
  } catch (error) {
    tell(find("#score-status"), error.message, true);
  }
}

window.addEventListener("hashchange", go);
onEntity(() => location.hash !== "#search" && go());
find(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  find("#main").focus();
});
go();
start();
