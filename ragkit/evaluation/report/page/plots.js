// Plots: points on a canvas (thousands of them), lines as SVG.

const PLOT = { width: 640, height: 360, left: 52, right: 14, top: 14, bottom: 44 };

// The colour that a custom property stands for now: a canvas knows no `var()` and no `light-dark()`.
function colour(name) {
  const probe = document.body.appendChild(el("span", { hidden: true }));
  probe.style.color = `var(${name}, var(--accent))`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function scale(values, from, to) {
  const [least, most] = extent(values);
  const low = Math.min(0, least);
  const high = Math.max(most, low + 1e-9) + 0.02 * (most - low);
  return { low, high, at: (value) => from + ((value - low) / (high - low)) * (to - from) };
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low > high ? [0, 1] : [low, high];
}

// Three to six round numbers that span an axis.
function ticks(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(Number(value.toPrecision(6)));
  return found;
}

const tickLabel = (value) => (Math.abs(value) >= 1000 ? count(value) : String(value));

// Points that are clicked and pointed at: `points` are {x, y, kind, title} and may have a label and an interval of y,
// {label, low, high}; `onPick` gets a point's number.
function scatter(points, xName, yName, onPick) {
  const canvas = el("canvas", { class: "plot", role: "img", "aria-label": `${yName} against ${xName}, ${plural(points.length, "point")}` });
  const tip = el("div", { class: "tip", hidden: true });
  const frame = el("div", { class: "plot-frame" }, canvas, tip);
  const x = scale(points.map((point) => point.x), PLOT.left, PLOT.width - PLOT.right);
  const y = scale(points.map((point) => point.high ?? point.y), PLOT.height - PLOT.bottom, PLOT.top);
  const spots = spread(points.map((point) => [x.at(point.x), y.at(point.y)]));
  const draw = () => drawScatter(canvas, points, spots, x, y, xName, yName);
  canvas.addEventListener("mousemove", (event) => pointAt(canvas, spots, event, (n) => showTip(tip, canvas, points[n], spots[n])));
  canvas.addEventListener("mouseleave", () => (tip.hidden = true));
  canvas.addEventListener("click", (event) => pointAt(canvas, spots, event, (n) => n !== null && onPick(n)));
  return { node: frame, draw };
}

// Points that fall on one another are set side by side, a little, always the same way.
function spread(spots) {
  const seen = new Map();
  return spots.map(([x, y]) => {
    const key = `${Math.round(x / 3)},${Math.round(y / 3)}`;
    const n = seen.get(key) ?? 0;
    seen.set(key, n + 1);
    const radius = Math.min(9, 1.1 * Math.sqrt(n));
    return [x + radius * Math.cos(n * 2.4), y + radius * Math.sin(n * 2.4)];
  });
}

function drawScatter(canvas, points, spots, x, y, xName, yName) {
  const ratio = 1.5 * (window.devicePixelRatio || 1); // the plot is shown up to half as large again as its units
  canvas.width = PLOT.width * ratio;
  canvas.height = PLOT.height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  drawAxes(pen, x, y, xName, yName);
  pen.globalAlpha = points.length > 2000 ? 0.25 : points.length > 300 ? 0.45 : 0.75;
  const colours = Object.fromEntries([...new Set(points.map((point) => point.kind))].map((kind) => [kind, colour(`--${kind}`)]));
  spots.forEach(([left, top], n) => {
    const { kind, low, high, label } = points[n];
    pen.fillStyle = pen.strokeStyle = colours[kind];
    if (low !== undefined) line(pen, left, y.at(low), left, y.at(high));
    pen.beginPath();
    pen.arc(left, top, label ? 5 : 3.4, 0, 2 * Math.PI);
    pen.fill();
  });
  pen.globalAlpha = 1;
  pen.fillStyle = colour("--ink");
  points.forEach((point, n) => point.label && pointLabel(pen, point.label, spots[n]));
}

// Beside its point, on the side where there is room.
function pointLabel(pen, label, [left, top]) {
  const room = left + 8 + pen.measureText(label).width < PLOT.width;
  pen.textAlign = room ? "left" : "right";
  pen.fillText(label, left + (room ? 8 : -8), top - 6);
}

function drawAxes(pen, x, y, xName, yName) {
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  pen.lineWidth = 1;
  pen.strokeStyle = colour("--line");
  pen.fillStyle = colour("--soft");
  pen.textAlign = "center";
  for (const value of ticks(x.low, x.high)) {
    line(pen, x.at(value), PLOT.top, x.at(value), PLOT.height - PLOT.bottom);
    pen.fillText(tickLabel(value), x.at(value), PLOT.height - PLOT.bottom + 16);
  }
  pen.textAlign = "right";
  for (const value of ticks(y.low, y.high)) {
    line(pen, PLOT.left, y.at(value), PLOT.width - PLOT.right, y.at(value));
    pen.fillText(tickLabel(value), PLOT.left - 8, y.at(value) + 4);
  }
  pen.fillText(`${xName} →`, PLOT.width - PLOT.right, PLOT.height - 6);
  pen.textAlign = "left";
  pen.fillText(`↑ ${yName}`, 4, PLOT.height - 6);
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function pointAt(canvas, spots, event, use) {
  const box = canvas.getBoundingClientRect();
  const x = ((event.clientX - box.left) * PLOT.width) / box.width;
  const y = ((event.clientY - box.top) * PLOT.height) / box.height;
  let best = null, nearest = 14 ** 2;
  spots.forEach(([left, top], n) => {
    const distance = (left - x) ** 2 + (top - y) ** 2;
    if (distance < nearest) [best, nearest] = [n, distance];
  });
  canvas.style.cursor = best === null ? "default" : "pointer";
  use(best);
}

function showTip(tip, canvas, point, spot) {
  tip.hidden = !point;
  if (!point) return;
  tip.textContent = point.title;
  const box = canvas.getBoundingClientRect();
  tip.style.left = `${Math.min((spot[0] / PLOT.width) * box.width + 10, box.width - 220)}px`;
  tip.style.top = `${(spot[1] / PLOT.height) * box.height + 12}px`;
}

// A line through points [[x, y], ...].
function lineChart(points, xName, yName) {
  const x = scale(points.map(([value]) => value), PLOT.left, PLOT.width - PLOT.right);
  const y = scale(points.map(([, value]) => value), PLOT.height - PLOT.bottom, PLOT.top);
  const grid = [
    ...ticks(x.low, x.high).map((value) => [
      svg("line", { class: "grid", x1: x.at(value), x2: x.at(value), y1: PLOT.top, y2: PLOT.height - PLOT.bottom }),
      svg("text", { x: x.at(value), y: PLOT.height - PLOT.bottom + 16, "text-anchor": "middle" }, tickLabel(value))]),
    ...ticks(y.low, y.high).map((value) => [
      svg("line", { class: "grid", x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: y.at(value), y2: y.at(value) }),
      svg("text", { x: PLOT.left - 8, y: y.at(value) + 4, "text-anchor": "end" }, tickLabel(value))]),
  ];
  const path = points.map(([px, py], n) => `${n ? "L" : "M"}${x.at(px).toFixed(1)} ${y.at(py).toFixed(1)}`).join("");
  return svg("svg", { class: "plot", viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": `${yName} against ${xName}` },
    grid, svg("path", { class: "curve", d: path }),
    svg("text", { x: PLOT.width - PLOT.right, y: PLOT.height - 6, "text-anchor": "end" }, `${xName} →`),
    svg("text", { x: 4, y: PLOT.height - 6 }, `↑ ${yName}`));
}
