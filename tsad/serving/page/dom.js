/** Elements out of data, and how values are written. */

const SVG = "http://www.w3.org/2000/svg";

/** Returns the one element that `selector` finds. */
export const find = (selector, within = document) => within.querySelector(selector);

/**
 * Returns an element; text children are text, never markup.
 * @param properties what the element has as a property is set as one, "on..." listens, the rest are attributes.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Returns an SVG element with attributes. */
export function shape(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * Returns a table that scrolls within itself, by keyboard too.
 * @param headings strings or elements; those of `numbers` (places) stand to the right.
 * @param lines arrays of strings or elements; the first cell of each heads its row.
 */
export function table(caption, headings, lines, numbers = []) {
  const side = (place) => (numbers.includes(place) ? "number" : "");
  const head = headings.map((text, place) => element("th", { scope: "col", className: side(place) }, text));
  const body = lines.map((cells) =>
    element("tr", {}, ...cells.map((cell, place) =>
      element(place ? "td" : "th", place ? { className: side(place) } : { scope: "row", className: side(place) }, cell ?? "–"))));
  return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    element("table", {}, element("caption", { className: "unseen" }, caption),
      element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)));
}

/** Returns a list of names and values. */
export function facts(pairs) {
  return element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

/** Returns a bar of `share` (0 to 1) beside its name and percentage. */
export function shareBar(name, share) {
  const bar = element("span", { className: "bar" });
  bar.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return element("span", { className: "share" }, element("span", { className: "name" }, name),
    element("span", { className: "track", "aria-hidden": "true" }, bar),
    element("span", { className: "number" }, percent(share)));
}

/** Writes what happened into a status line; an error is announced at once. */
export function tell(line, text, isError = false) {
  line.classList.toggle("error", isError);
  line.setAttribute("role", isError ? "alert" : "status");
  line.textContent = text;
}

/** Runs `work` with a button at rest, and tells an error in `line`. */
export async function output(button, line, doing, work) {
  button.setAttribute("aria-disabled", "true");
  tell(line, doing);
  try {
    await work();
  } catch (error) {
    tell(line, error.message, true);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/** Says whether `output` is at work with this button; it keeps its focus meanwhile. */
export const busy = (button) => button.getAttribute("aria-disabled") === "true";

const whole = new Intl.NumberFormat("en");

/** Returns a number with its first digits; a dash if there is none. */
export function figure(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  return size && (size < 1e-4 || size >= 1e7) ? value.toExponential(2) : String(Number(value.toPrecision(Math.max(digits, Math.ceil(Math.log10(size + 1))))));
}

/** Returns a count with its thousands apart. */
export const count = (value) => whole.format(value);

/** Returns a text that begins with a capital. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Returns a figure between -100 and 100 with three decimals, so that a column of them is even; others as `figure`. */
export const even = (value) => (Math.abs(value) < 100 ? value.toFixed(3) : figure(value));

/** Returns "1 row", "2 rows". */
export const several = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** Returns a share in per cent with two digits that matter. */
export const percent = (share) => `${share && share < 0.0995 ? Number((100 * share).toPrecision(2)) : Math.round(100 * share)} %`;

/** Returns "A to B", the day once if it is the same. */
export function period(start, end) {
  const [first, last] = [clock(start), clock(end)];
  return first === last ? first : `${first} to ${first.slice(0, 10) === last.slice(0, 10) ? last.slice(11) : last}`;
}

/** Returns a time as people read it: no T, no zero fractions. */
export const clock = (time) => String(time).replace("T", " ").replace(/\.0+(?=$|[+Z-])/, "").replace(/\+00:00$/, " UTC");
