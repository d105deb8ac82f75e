/** What a chart is drawn with: envelopes, ticks, lines. No state here. */

import { clock } from "./dom.js";

const BLOCK = 16, COARSE = 4 * BLOCK;
/** Rows that are summed up once, and rows per pixel from which on their sums are precise enough. */

const summed = new WeakMap();

/** Returns {lows, highs, rows}: values as they are, or the least and largest of each block if a pixel holds many rows. */
function thinned(values, step) {
  if (step < COARSE) return { lows: values, highs: values, rows: 1 };
  if (!summed.has(values)) {
    const { low, high } = envelope(values, 0, Math.ceil(values.length / BLOCK) * BLOCK, Math.ceil(values.length / BLOCK));
    summed.set(values, { lows: low, highs: high, rows: BLOCK });
  }
  return summed.get(values);
}

/**
 * Returns {low, high}: the least and largest of `values` per pixel column, NaN where a column has none.
 * A line through them looks like one through every row, however many there are. `values` must not change later.
 */
function envelope(values, from, to, width) {
  const low = new Float64Array(width).fill(NaN), high = new Float64Array(width).fill(NaN);
  const { lows, highs, rows } = thinned(values, (to - from) / width);
  const start = from / rows, step = (to - from) / width / rows;
  for (let column = 0; column < width; column += 1) {
    const stop = Math.min(lows.length, Math.ceil(start + (column + 1) * step));
    let least = Infinity, most = -Infinity;
    for (let place = Math.max(0, Math.floor(start + column * step)); place < stop; place += 1) {
      if (lows[place] < least) least = lows[place];
      if (highs[place] > most) most = highs[place];
    }
    if (least <= most) [low[column], high[column]] = [least, most];
  }
  return { low, high };
}

/** Returns [least, largest] of several lines of values within rows from..to, never equal; [0, 1] if there are none. */
export function extent(lines, from, to) {
  let least = Infinity, most = -Infinity;
  for (const values of lines) {
    const { low, high } = envelope(values, Math.floor(from), Math.floor(to) + 1, 256);
    for (let place = 0; place < low.length; place += 1) {
      if (low[place] < least) least = low[place];
      if (high[place] > most) most = high[place];
    }
  }
  if (least > most) return [0, 1];
  const air = least < most ? 0 : Math.abs(most) * 0.1 || 1;
  return [least - air, most + air];
}

/** Returns whole rows that divide from..to into at most `most` parts of 1, 2, 2.5 or 5 times a power of ten. */
export function ticks(from, to, most) {
  const rough = Math.max(1, (to - from) / Math.max(1, most));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((times) => power * times >= rough && Number.isInteger(power * times));
  const found = [];
  for (let row = Math.ceil(from / step) * step; row <= to; row += step) found.push(row);
  return found;
}

/**
 * Draws one line of values into a box.
 * @param across maps a row to x; `up` maps a value to y.
 */
export function drawLine(pen, values, [from, to], { left, width }, across, up) {
  pen.beginPath();
  if (to - from > 2 * width) envelopePath(pen, values, [from, to], { left, width }, up);
  else rowPath(pen, values, [from, to], across, up);
  pen.stroke();
}

function envelopePath(pen, values, [from, to], { left, width }, up) {
  const { low, high } = envelope(values, from, to, Math.round(width));
  let isDown = false;
  for (let column = 0; column < low.length; column += 1) {
    if (Number.isNaN(low[column])) { isDown = false; continue; }
    const x = left + column + 0.5;
    if (isDown) pen.lineTo(x, up(high[column]));
    else pen.moveTo(x, up(high[column]));
    pen.lineTo(x, up(low[column]) + 0.5);
    isDown = true;
  }
}

function rowPath(pen, values, [from, to], across, up) {
  let isDown = false;
  for (let row = Math.max(0, Math.floor(from) - 1); row <= Math.min(values.length - 1, Math.ceil(to)); row += 1) {
    const value = values[row];
    if (Number.isNaN(value)) { isDown = false; continue; }
    if (isDown) pen.lineTo(across(row), up(value));
    else pen.moveTo(across(row), up(value));
    if (!isDown && Number.isNaN(values[row + 1] ?? NaN)) pen.lineTo(across(row) + 1, up(value));
    isDown = true;
  }
}

/** Returns texts for some of `times` as short as they can be: the day only if the view holds more than one. */
export function timeLabels(times, rows, [from, to]) {
  const [first, last] = [times[Math.ceil(from)], times[Math.floor(to)]].map(clock);
  const isOneDay = first.slice(0, 10) === last.slice(0, 10), isFine = first.slice(0, 16) === last.slice(0, 16);
  return rows.map((row) => clock(times[row]).slice(isOneDay ? 11 : 5, isFine ? 23 : 16));
}

/** Returns the colors of the page in the light that it stands in. */
export function colors() {
  const style = getComputedStyle(document.documentElement);
  return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--${name}`).trim() });
}
