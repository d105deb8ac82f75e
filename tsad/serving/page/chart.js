/** Panels over one time axis: lines, a threshold, anomalous stretches, a cursor. */

import { colors, drawLine, extent, ticks, timeLabels } from "./draw.js";
import { clock, count, element, figure } from "./dom.js";
import { listen } from "./gestures.js";

const LEFT = 50, RIGHT = 10, TITLE = 18, GAP = 8, AXIS = 20, OVERVIEW = 26, FONT = "12px system-ui, sans-serif";
const STROKES = { signal: ["accent", 1.2, []], score: ["text", 1.2, []], threshold: ["text", 1.2, [5, 4]], truth: ["quiet", 1, []], prediction: ["accent", 1.6, []] };
const FEWEST = 8;
const SAME = (value) => value;
const HELP = "Drag to zoom to a stretch; on a touch screen drag to move and pinch to zoom. With the chart in focus the wheel "
  + "and + and − zoom, arrows move the cursor, Shift with an arrow moves the view, n and p go from event to event, 0 shows everything.";

/**
 * @typedef Scene
 * @property length rows
 * @property times texts, one per row, or null
 * @property panels [{name, height, scale, lines: [{name, values, kind}]}], kind a key of STROKES;
 *   scale, if there is one, bends values before they are drawn
 * @property spans [[first row, last row]], shaded in all panels
 * @property overview values drawn small under the axis
 */

/** A chart and its buttons, within `host`. `onSpan(place)` is told which stretch was chosen. */
export class Chart {
  constructor(host, label, onSpan = () => {}) {
    this.onSpan = onSpan;
    this.canvas = element("canvas", { tabIndex: 0, role: "application", "aria-label": label, "aria-roledescription": "chart" });
    this.readout = element("output", { className: "readout", "aria-live": "polite" });
    this.range = element("span", { className: "hint number" });
    const help = element("p", { className: "hint" }, HELP);
    host.replaceChildren(this.#buttons(), this.canvas, this.readout, element("details", {}, element("summary", {}, "How to move about"), help));
    listen(this);
    new ResizeObserver(() => this.redraw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  #buttons() {
    const button = (text, name, act) => element("button", { type: "button", "aria-label": name, title: name, onclick: act }, text);
    return element("div", { className: "toolbar", role: "group", "aria-label": "View of the chart" },
      button("+", "Zoom in", () => this.zoom(0.5)), button("−", "Zoom out", () => this.zoom(2)),
      button("←", "Earlier", () => this.pan(-0.5)), button("→", "Later", () => this.pan(0.5)),
      button("All", "Whole series", () => this.whole()), this.range);
  }

  /** Draws a scene; the view stays if the rows are as many as before. */
  show(scene) {
    const isOther = this.scene?.length !== scene.length;
    this.scene = scene;
    if (isOther) {
      this.cursor = null;
      this.chosen = null;
      this.view = [0, scene.length - 1];
    }
    this.canvas.style.height = `${this.#place().bottom}px`;
    this.redraw();
    this.read();
  }

  // views

  whole() { this.look(0, this.scene.length - 1); }

  /** Shows rows `from` to `to`, as far as there are any. */
  look(from, to) {
    const last = this.scene.length - 1;
    const size = Math.min(last, Math.max(Math.min(FEWEST, last), to - from));
    const start = Math.max(0, Math.min(last - size, from - Math.max(0, (size - (to - from)) / 2)));
    this.view = [start, start + size];
    this.redraw();
  }

  /** Shows `times` as many rows, `at` staying where it is. */
  zoom(times, at = this.#anchor()) {
    const [from, to] = this.view;
    this.look(at - (at - from) * times, at + (to - at) * times);
  }

  /** Moves by a share of what is seen. */
  pan(share) {
    const [from, to] = this.view, last = this.scene.length - 1;
    const by = Math.max(-from, Math.min(last - to, share * (to - from)));
    this.look(from + by, to + by);
  }

  #anchor() {
    const [from, to] = this.view;
    return this.cursor !== null && this.cursor >= from && this.cursor <= to ? this.cursor : (from + to) / 2;
  }

  /** Shows a stretch with some rows around it and marks it. */
  focusSpan(place) {
    const [first, last] = this.scene.spans[place];
    const around = Math.max(30, 2 * (last - first + 1));
    this.chosen = place;
    this.look(first - around, last + around);
  }

  /** Puts the cursor on a row, moves the view there if need be, and writes its values. */
  point(row) {
    this.cursor = row === null ? null : Math.max(0, Math.min(this.scene.length - 1, Math.round(row)));
    const [from, to] = this.view;
    if (this.cursor !== null && (this.cursor < from || this.cursor > to)) this.look(this.cursor - (to - from) / 2, this.cursor + (to - from) / 2);
    this.read();
    this.redraw();
  }

  /** Goes to the stretch before (-1) or after (1) the cursor. */
  step(direction) {
    const { spans } = this.scene;
    const at = spans[this.chosen]?.[0] ?? this.cursor ?? (direction > 0 ? -Infinity : Infinity);
    const after = spans.findIndex(([first]) => first > at);
    const before = spans.findLastIndex(([first]) => first < at);
    const place = direction > 0 ? after : before;
    if (place >= 0) this.onSpan(place);
  }

  read() {
    const row = this.cursor;
    if (row === null) {
      this.readout.textContent = "Point at a row, or press the arrows in the chart, to read its values.";
      return;
    }
    const { panels, times, spans } = this.scene;
    const isIn = spans.some(([first, last]) => row >= first && row <= last);
    const values = panels.flatMap(({ lines }) => lines.map(({ name, values: all }) => `${name} ${figure(all[row])}`));
    this.readout.textContent = [`row ${row}`, times && clock(times[row]), isIn && "flagged", ...values].filter(Boolean).join(" · ");
  }

  // where things are, in CSS pixels

  get width() { return Math.max(1, this.canvas.clientWidth - LEFT - RIGHT); }

  across(row) { const [from, to] = this.view; return LEFT + ((row - from) / (to - from || 1)) * this.width; }

  rowAt(x) { const [from, to] = this.view; return from + ((x - LEFT) / this.width) * (to - from); }

  /** The row under x in the overview. */
  overviewRow(x) { return ((x - LEFT) / this.width) * (this.scene.length - 1); }

  isOverview(y) { return y > this.#place().overview - 4; }

  #place() {
    let top = 0;
    const boxes = this.scene.panels.map(({ height }) => {
      const box = { top: top + TITLE, height };
      top += TITLE + height + GAP;
      return box;
    });
    return { boxes, axis: top, overview: top + AXIS + 4, bottom: top + AXIS + 4 + OVERVIEW };
  }

  // drawing

  redraw() {
    if (this.isAwaited || !this.scene) return;
    this.isAwaited = true;
    requestAnimationFrame(() => {
      this.isAwaited = false;
      if (this.canvas.clientWidth) this.#draw();
    });
  }

  #draw() {
    const { canvas } = this, ratio = devicePixelRatio || 1, pen = canvas.getContext("2d"), ink = colors();
    const place = this.#place();
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(place.bottom * ratio);
    pen.scale(ratio, ratio);
    pen.font = FONT;
    pen.textBaseline = "middle";
    this.scene.panels.forEach((panel, number) => this.#panel(pen, ink, panel, place.boxes[number]));
    this.#axis(pen, ink, place.axis);
    this.#overview(pen, ink, place.overview);
    this.#cursor(pen, ink, place);
    const [from, to] = this.view;
    this.range.textContent = `rows ${Math.ceil(from)}–${Math.floor(to)} of ${count(this.scene.length)}`;
  }

  #panel(pen, ink, { name, lines, scale = SAME }, { top, height }) {
    const [low, high] = extent(lines.map(({ values }) => values), ...this.view);
    const bottom = scale(low), room = scale(high) - bottom;
    const up = (value) => top + height - 4 - ((scale(value) - bottom) / room) * (height - 8);
    pen.fillStyle = ink.panel;
    pen.fillRect(LEFT, top, this.width, height);
    this.#within(pen, top, height, () => {
      this.#spans(pen, ink, top, height);
      for (const { values, kind } of lines) {
        const [color, thickness, dashes] = STROKES[kind];
        Object.assign(pen, { strokeStyle: ink[color], lineWidth: thickness, lineJoin: "round" });
        pen.setLineDash(dashes);
        drawLine(pen, values, this.view, { left: LEFT, width: this.width }, (row) => this.across(row), up);
        pen.setLineDash([]);
      }
    });
    pen.fillStyle = ink.text;
    pen.textAlign = "left";
    pen.fillText(this.#title(name, lines), LEFT, top - TITLE / 2, this.width);
    pen.fillStyle = ink.quiet;
    pen.textAlign = "right";
    pen.fillText(figure(high, 3), LEFT - 6, top + 7, LEFT - 8);
    pen.fillText(figure(low, 3), LEFT - 6, top + height - 6, LEFT - 8);
  }

  #title(name, lines) {
    if (this.cursor === null) return name;
    return lines.length === 1 ? `${name}  ${figure(lines[0].values[this.cursor])}`
      : lines.map((line) => `${line.name}  ${figure(line.values[this.cursor])}`).join("    ");
  }

  #within(pen, top, height, draw) {
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, top, this.width, height);
    pen.clip();
    draw();
    pen.restore();
  }

  #spans(pen, ink, top, height) {
    const [from, to] = this.view;
    this.scene.spans.forEach(([first, last], place) => {
      if (last < from - 1 || first > to + 1) return;
      const left = this.across(first - 0.5), wide = Math.max(2, this.across(last + 0.5) - left);
      pen.fillStyle = place === this.chosen ? ink["alarm-strong"] : ink["alarm-soft"];
      pen.fillRect(left, top, wide, height);
    });
  }

  #axis(pen, ink, top) {
    const { times } = this.scene;
    pen.fillStyle = ink.quiet;
    pen.textAlign = "center";
    const widest = times ? pen.measureText(timeLabels(times, [this.scene.length - 1], this.view)[0]).width : 40;
    const rows = ticks(...this.view, this.width / (widest + 24));
    const texts = times ? timeLabels(times, rows, this.view) : rows.map(String);
    for (const [place, row] of rows.entries()) {
      const text = texts[place];
      const half = pen.measureText(text).width / 2, x = this.across(row);
      pen.fillRect(x, top - GAP, 1, 4);
      pen.fillText(text, Math.max(half, Math.min(LEFT + this.width + RIGHT - half, x)), top + 8);
    }
  }

  #overview(pen, ink, top) {
    const { length, overview, spans } = this.scene, [from, to] = this.view;
    const across = (row) => LEFT + (row / Math.max(1, length - 1)) * this.width;
    const [low, high] = extent([overview], 0, length - 1);
    pen.fillStyle = ink.panel;
    pen.fillRect(LEFT, top, this.width, OVERVIEW);
    pen.fillStyle = ink["alarm-soft"];
    for (const [first, last] of spans) pen.fillRect(across(first), top, Math.max(2, across(last) - across(first)), OVERVIEW);
    Object.assign(pen, { strokeStyle: ink.quiet, lineWidth: 1 });
    const up = (value) => top + OVERVIEW - 1 - ((value - low) / (high - low)) * (OVERVIEW - 2);
    drawLine(pen, overview, [0, length - 1], { left: LEFT, width: this.width }, across, up);
    Object.assign(pen, { strokeStyle: ink.accent, lineWidth: 2 });
    pen.strokeRect(across(from) + 1, top + 1, Math.max(3, across(to) - across(from) - 2), OVERVIEW - 2);
  }

  #cursor(pen, ink, { boxes, axis }) {
    if (this.selection) {
      const [left, right] = [...this.selection].sort((one, other) => one - other);
      pen.fillStyle = ink["accent-soft"];
      pen.fillRect(left, 0, right - left, axis - GAP);
    }
    if (this.cursor === null) return;
    pen.fillStyle = ink.accent;
    for (const { top, height } of boxes) pen.fillRect(this.across(this.cursor) - 0.5, top, 1, height);
  }
}
