// Building elements. Texts become text nodes and nothing else: no string is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue; // what `condition && element` leaves
    node.append(child instanceof Node ? child : String(child));
  }
}

function show(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

// A text of a run, in its own direction of writing.
function quote(tag, text, kind = "") {
  return el(tag, { class: `text ${kind}`.trim(), dir: "auto" }, text);
}

function button(label, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, label);
}

function select(label, options, onchange, value) {
  const node = el("select", { onchange: () => onchange(node.value) });
  for (const [key, text] of options) node.append(el("option", { value: key, selected: key === value }, text));
  return el("label", { class: "field" }, el("span", {}, label), node);
}

function disclosure(summary, body, attributes = {}) {
  const node = el("details", attributes, el("summary", {}, summary));
  if (typeof body !== "function") node.append(body);
  else {
    const fill = () => node.children.length < 2 && node.append(body()); // built when it is first opened
    node.addEventListener("toggle", () => node.open && fill());
    if (attributes.open) fill();
  }
  return node;
}

function table(columns, rows, attributes = {}) {
  const heads = columns.map(([label, kind]) => el("th", { scope: "col", class: kind }, label));
  const lines = rows.map((cells) =>
    el("tr", {}, cells.map((cell, n) => el(n ? "td" : "th", { class: columns[n][1], scope: n ? null : "row" }, cell))));
  const node = el("table", attributes, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, lines));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": attributes["aria-label"] }, node);
}
