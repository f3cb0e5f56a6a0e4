// A passage in its page: the page's picture where the report has it, and the page's passages that the run has seen.

async function openReader(id, { answer = null, box = null, known = new Map() } = {}) {
  const passage = known.get(id) ?? (await store.passage(id)) ?? { id };
  const others = await Promise.all(neighbours(id, passage).map((other) => (other === id ? passage : store.passage(other))));
  const dialog = byId("reader");
  show(dialog,
    el("header", {}, el("h3", { id: "reader-title" }, place(passage)), el("code", {}, id),
      button("Close", () => dialog.close(), { class: "quiet close" })),
    picture(passage, box ? [box] : []),
    others.length > 1 && el("p", { class: "note" }, `The ${others.length} passages of this page that the run has seen; the one that was opened is marked.`),
    others.map((other) => pagePassage(other, other.id === id, answer)));
  dialog.showModal();
  dialog.querySelector(".opened")?.scrollIntoView({ block: "center" });
}

// Ids of the passages of the same page, in the order of the page.
function neighbours(id, passage) {
  if (!passage.page) return [id];
  const stem = id.replace(/\.c\d+$/, ".c");
  if (stem === id) return [id];
  const order = (other) => Number(other.slice(stem.length));
  const found = store.passageIds.filter((other) => other.startsWith(stem) && /^\d+$/.test(other.slice(stem.length)));
  return (found.includes(id) ? found : [...found, id]).sort((a, b) => order(a) - order(b));
}

function pagePassage(passage, opened, answer) {
  return el("div", { class: opened ? "page-passage opened" : "page-passage" }, highlighted(passage.text ?? "The run did not keep the text of this passage.", opened ? answer : null));
}

// A text with a phrase marked wherever it stands as it is, whatever the case.
function highlighted(text, phrase) {
  const node = el("p", { class: "text", dir: "auto" });
  const wanted = (phrase ?? "").trim().toLowerCase();
  const lower = text.toLowerCase();
  let from = 0;
  if (wanted && lower.length === text.length)
    for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
      node.append(text.slice(from, at), el("mark", {}, text.slice(at, at + wanted.length)));
      from = at + wanted.length;
    }
  node.append(text.slice(from));
  return node;
}

// The picture of a passage's page with boxes drawn on it, null where the report has none.
function picture(passage, boxes) {
  const known = store.head.pictures[`${passage.document ?? passage.source}#p${passage.page}`];
  if (!known) return null;
  const image = el("img", { alt: `${place(passage)}, as it is printed`, src: `data:image/jpeg;base64,${byId(`picture-${known.number}`).textContent}` });
  return el("div", { class: "page-picture" }, image, boxes.map((box) => boxOn(known, box)));
}

function boxOn(known, [x0, y0, x1, y1]) {
  const node = el("span", { class: "page-box", "aria-hidden": "true" });
  const percent = (value, whole) => `${(100 * value) / whole}%`;
  node.style.left = percent(x0, known.width);
  node.style.top = percent(y0, known.height);
  node.style.width = percent(x1 - x0, known.width);
  node.style.height = percent(y1 - y0, known.height);
  return node;
}
