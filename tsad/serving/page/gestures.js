/** Hands on a chart: mouse, touch, wheel, keys. */

const CLICK = 4;
/** Pixels that a pointer may move and still have clicked. */

/** Makes a chart answer to them. */
export function listen(chart) {
  const { canvas } = chart;
  const pointers = new Map();
  let start = null;

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !chart.scene) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event.offsetX);
    start = { x: event.offsetX, y: event.offsetY, view: chart.view, gap: gap(pointers), moved: false };
    start.kind = chart.isOverview(event.offsetY) ? "overview" : event.pointerType === "mouse" ? "select" : "pan";
    if (start.kind === "overview") center(chart, event.offsetX);
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!chart.scene) return;
    const { offsetX: x } = event;
    if (!pointers.has(event.pointerId)) {
      if (event.pointerType === "mouse") chart.point(within(chart, chart.rowAt(x)));
      return;
    }
    pointers.set(event.pointerId, x);
    start.moved ||= Math.abs(x - start.x) > CLICK;
    drag(chart, start, pointers, x);
  });

  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    for (const x of pointers.values()) start = { ...start, x, view: chart.view, gap: null };
    const { selection } = chart;
    chart.selection = null;
    if (event.type === "pointerup" && start.kind !== "overview") {
      if (!start.moved) click(chart, event.offsetX);
      else if (selection) chart.look(...selection.map((x) => chart.rowAt(x)).sort((one, other) => one - other));
    }
    chart.redraw();
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && chart.scene && !pointers.size && document.activeElement !== canvas && chart.point(null));
  canvas.addEventListener("dblclick", () => chart.whole());
  canvas.addEventListener("wheel", (event) => wheel(chart, event), { passive: false });
  canvas.addEventListener("keydown", (event) => key(chart, event));
}

const gap = (pointers) => (pointers.size === 2 ? Math.abs([...pointers.values()][0] - [...pointers.values()][1]) : null);

const within = (chart, row) => Math.max(chart.view[0], Math.min(chart.view[1], row));

function center(chart, x) {
  const half = (chart.view[1] - chart.view[0]) / 2, row = chart.overviewRow(x);
  chart.look(row - half, row + half);
}

function drag(chart, start, pointers, x) {
  if (start.kind === "overview") center(chart, x);
  else if (pointers.size === 2 && start.gap) {
    const now = gap(pointers) || 1;
    chart.zoom(Math.max(0.5, Math.min(2, start.gap / now)), chart.rowAt(([...pointers.values()][0] + [...pointers.values()][1]) / 2));
    start.gap = now;
  } else if (start.kind === "pan") {
    const [from, to] = start.view, last = chart.scene.length - 1;
    const by = Math.max(-from, Math.min(last - to, ((start.x - x) / chart.width) * (to - from)));
    chart.look(from + by, to + by);
  } else if (start.moved) {
    chart.selection = [start.x, x];
    chart.redraw();
  }
}

function click(chart, x) {
  const slack = Math.abs(chart.rowAt(x + 3) - chart.rowAt(x)), row = chart.rowAt(x);
  const place = chart.scene.spans.findIndex(([first, last]) => row >= first - 0.5 - slack && row <= last + 0.5 + slack);
  chart.point(within(chart, row));
  if (place >= 0) chart.onSpan(place);
}

/** The wheel belongs to the page until the chart has the focus, so that nobody is caught while scrolling. */
function wheel(chart, event) {
  const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (!chart.scene || (document.activeElement !== chart.canvas && !event.ctrlKey && !sideways)) return;
  event.preventDefault();
  if (sideways) chart.pan((event.deltaX || event.deltaY) / chart.width);
  else chart.zoom(2 ** (event.deltaY / 300), within(chart, chart.rowAt(event.offsetX)));
}

function key(chart, event) {
  if (!chart.scene || event.ctrlKey || event.metaKey || event.altKey) return;
  const [from, to] = chart.view;
  const step = Math.max(1, Math.round((to - from) / 200));
  const at = chart.cursor ?? (from + to) / 2;
  const acts = {
    ArrowLeft: () => (event.shiftKey ? chart.pan(-0.25) : chart.point(at - step)),
    ArrowRight: () => (event.shiftKey ? chart.pan(0.25) : chart.point(at + step)),
    PageUp: () => chart.pan(-0.9),
    PageDown: () => chart.pan(0.9),
    Home: () => chart.point(0),
    End: () => chart.point(chart.scene.length - 1),
    "+": () => chart.zoom(0.5),
    "=": () => chart.zoom(0.5),
    "-": () => chart.zoom(2),
    0: () => chart.whole(),
    n: () => chart.step(1),
    p: () => chart.step(-1),
  };
  if (!(event.key in acts)) return;
  event.preventDefault();
  acts[event.key]();
}
