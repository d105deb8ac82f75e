/** Where the rows of a form come from: a series of the service, a file, or pasted text. */

import { ask } from "./api.js";
import { parseCsv } from "./csv.js";
import { capital, count, element, find, several } from "./dom.js";

const LARGEST = 100;
/** Megabytes of a file that the page reads into memory. */

/** Shows the fields of the chosen source only, and takes files that are dropped on the form. */
export function chooseSource(form) {
  const sources = [...form.querySelectorAll("[name=source]")];
  const update = () => {
    const chosen = form.elements.source.value;
    for (const field of form.querySelectorAll("[data-source]")) field.hidden = field.dataset.source !== chosen;
  };
  form.addEventListener("change", update);
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("drop", (event) => {
    const input = find("[type=file]", form);
    event.preventDefault();
    if (!input || !event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    sources.find(({ value }) => value === "file").checked = true;
    update();
  });
  update();
}

/** Fills the lists of series. */
export async function listSeries(...lists) {
  const series = await ask("api/series");
  for (const list of lists) {
    list.replaceChildren(...series.map(({ name, rows, title }) =>
      element("option", { value: name }, `${capital(title || name)} (${several(rows, "row")})`)));
  }
}

/**
 * Returns {title, series, body, table}: `body` is what the service is sent, `table` gives {columns, rows} of it,
 * `series` is the name if it is one of the service's, and `entity` whose rows they are if the model is a fleet.
 */
export async function takeRows(form) {
  const chosen = form.elements.source.value;
  if (chosen === "series") {
    const series = find("select", form).value;
    if (!series) throw new Error("The service has no series; choose a CSV file.");
    return { title: series, series, ...(await fetchedSeries(series)) };
  }
  const text = chosen === "file" ? await fileText(find("[type=file]", form)) : find("textarea", form).value;
  if (!text.trim()) throw new Error(chosen === "file" ? "The file is empty; choose another." : "Paste rows with a header row first.");
  const title = chosen === "file" ? find("[type=file]", form).files[0].name.replace(/\.\w+$/, "") : "pasted";
  return { title, body: text, table: () => {
    const { columns, cells } = parseCsv(text);
    return { columns, rows: cells };
  } };
}

async function fetchedSeries(name) {
  const { columns, rows, times, entity } = await ask(`api/series/${encodeURIComponent(name)}`);
  return { entity, body: times ? { columns, rows, times } : { columns, rows }, table: () => ({ columns, rows }) };
}

async function fileText(input) {
  const [file] = input.files;
  if (!file) throw new Error("Choose a CSV file first.");
  const size = file.size / 1e6;
  if (size > LARGEST) throw new Error(`The page takes files of up to ${LARGEST} MB, but ${file.name} has ${count(Math.round(size))} MB; score it with: tsad score MODEL ${file.name}`);
  return file.text();
}
