/** CSV as text to columns, and back. */

/**
 * Returns {columns: names, cells: rows of strings}; fields may be quoted.
 * The service judges the file; this only reads what it took, to draw it.
 */
export function parseCsv(text) {
  const clean = text.replace(/^\uFEFF/, "");
  const header = clean.slice(0, (clean.indexOf("\n") + 1 || clean.length + 1) - 1);
  const separator = [",", ";", "\t"].reduce((best, mark) => (header.split(mark).length > header.split(best).length ? mark : best));
  const lines = clean.includes('"') ? quotedLines(clean, separator)
    : clean.split(/\r?\n/).filter((line) => line.trim()).map((line) => line.split(separator));
  const [columns = [], ...cells] = lines;
  return { columns: columns.map((name) => name.trim()), cells };
}

function quotedLines(text, separator) {
  const lines = [];
  let line = [], field = "", quoted = false;
  const endLine = () => {
    line.push(field);
    if (line.length > 1 || field.trim()) lines.push(line);
    [line, field] = [[], ""];
  };
  for (let place = 0; place < text.length; place += 1) {
    const sign = text[place];
    if (quoted && sign === '"' && text[place + 1] === '"') { field += sign; place += 1; }
    else if (sign === '"') quoted = !quoted;
    else if (quoted) field += sign;
    else if (sign === separator) { line.push(field); field = ""; }
    else if (sign === "\n") endLine();
    else if (sign !== "\r") field += sign;
  }
  if (field || line.length) endLine();
  return lines;
}

/** Returns the values of those `features` that are among the columns, as a Map from name to Float64Array. */
export function columnsOf(columns, rows, features) {
  const found = new Map();
  for (const name of features) {
    const place = columns.indexOf(name);
    if (place < 0) continue;
    found.set(name, Float64Array.from(rows, (row) => (row[place] === null || row[place] === "" ? NaN : Number(row[place]))));
  }
  return found;
}

const FORMULA = /^[\s\uFEFF\u200B]*[=+\-@\t\r|%\uFF1D\uFF0B\uFF0D\uFF20]/, UNSEEN = /[\u0000-\u001F\u007F-\u009F\u061C\u200B-\u200F\u2028-\u202E\u2060-\u2069\uFEFF]/g;

/** Returns a text that a spreadsheet takes for no formula, and in which nothing turns the direction of writing. Numbers stay. */
export function neutral(text) {
  const plain = text.replace(UNSEEN, "\uFFFD");
  return FORMULA.test(text) && !(text.trim() && Number.isFinite(Number(text))) ? `'${plain}` : plain;
}

/** Returns CSV text of columns ([name, how to get the value of a row]). */
export function writeCsv(columns, rows) {
  const quote = (value) => {
    const text = value === null || Number.isNaN(value) ? "" : neutral(String(value));
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.map(([name]) => quote(name)).join(",")];
  for (let row = 0; row < rows; row += 1) lines.push(columns.map(([, value]) => quote(value(row))).join(","));
  return `${lines.join("\n")}\n`;
}

/** Lets the person save `text` as a file. */
export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name.replace(UNSEEN, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
