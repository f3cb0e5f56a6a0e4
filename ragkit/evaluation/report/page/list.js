// The list of questions. Only the rows in sight are elements, so thousands cost no more than a screenful.

const ROW = 88;
const MARGIN = 6;
const GLYPHS = { right: "✓", wrong: "✗", failed: "!", unscored: "·" };

function newList(node, head, rows, onOpen) {
  const spacer = el("div", { class: "spacer", role: "presentation" });
  node.append(spacer);
  const list = { node, rows, head, spacer, numbers: [], cursor: -1, opened: null };
  let pending = false;
  const later = () => {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      drawRows(list);
    });
  };
  node.addEventListener("scroll", later);
  new ResizeObserver(later).observe(node);
  spacer.addEventListener("click", (event) => {
    const row = event.target.closest("[data-place]");
    if (row) onOpen(list.numbers[Number(row.dataset.place)]);
  });
  return list;
}

function setNumbers(list, numbers) {
  list.numbers = numbers;
  list.cursor = numbers.indexOf(list.opened);
  list.spacer.style.height = `${numbers.length * ROW}px`;
  list.node.scrollTop = 0;
  if (list.cursor >= 0) reveal(list);
  drawRows(list);
}

function moveCursor(list, place) {
  if (!list.numbers.length) return;
  list.cursor = Math.max(0, Math.min(list.numbers.length - 1, place));
  reveal(list);
  drawRows(list);
}

function reveal(list) {
  const { node, cursor } = list;
  const top = cursor * ROW;
  if (top < node.scrollTop) node.scrollTop = top;
  else if (top + ROW > node.scrollTop + node.clientHeight) node.scrollTop = top + ROW - node.clientHeight;
}

function markOpened(list, number) {
  list.opened = number;
  const place = number === null ? -1 : list.numbers.indexOf(number);
  if (place >= 0) moveCursor(list, place);
  else drawRows(list);
}

function drawRows(list) {
  const { node, numbers, spacer } = list;
  const first = Math.max(0, Math.floor(node.scrollTop / ROW) - MARGIN);
  const last = Math.min(numbers.length, Math.ceil((node.scrollTop + node.clientHeight) / ROW) + MARGIN);
  const drawn = [];
  for (let place = first; place < last; place++) drawn.push(row(list, place));
  spacer.replaceChildren(...(numbers.length ? drawn : [el("p", { class: "none" }, "No question matches.")]));
  if (list.cursor >= 0) node.setAttribute("aria-activedescendant", `row-${list.cursor}`);
  else node.removeAttribute("aria-activedescendant");
}

function row(list, place) {
  const { rows, numbers, head } = list;
  const n = numbers[place];
  const status = rows.statuses[rows.status[n]];
  const metric = head.quality.find((name) => name !== head.quality[0] && rows.scores[name][n] !== null) ?? head.quality[0];
  const node = el("div", { class: `row ${status}`, role: "option", id: `row-${place}`, "data-place": place,
    "aria-posinset": place + 1, "aria-setsize": numbers.length, "aria-selected": String(n === list.opened),
    "data-cursor": place === list.cursor },
    el("span", { class: "glyph", role: "img", "aria-label": status }, GLYPHS[status]),
    el("span", { class: "main" },
      quote("span", rows.question[n], "ask"),
      el("span", { class: "under" },
        el("span", { class: "reply" }, quote("span", rows.answer[n] || "no answer", rows.answer[n] ? "answer" : "answer none"),
          " · gold ", quote("span", goldText(rows.gold[n]), "gold")),
        el("span", { class: "side" }, el("span", { class: "id" }, rows.id[n]),
          metric && el("span", { class: "value" }, `${metric} ${mark(rows.scores[metric][n])}`)))));
  node.style.top = `${place * ROW}px`;
  return node;
}

const goldText = (answers) => (answers === null ? "none: unanswerable" : answers.join(" · ") || "–");
