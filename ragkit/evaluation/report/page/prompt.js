// Prompts, with their passages put back in.

async function passageTexts(ids) {
  const found = new Map();
  await Promise.all([...new Set(ids)].map(async (id) => {
    const passage = await store.passage(id);
    if (passage) found.set(id, passage);
  }));
  return found;
}

const idsIn = (turns) => turns.flatMap(({ pieces }) => pieces.map((piece) => piece.passage).filter(Boolean));

function promptView(turns, known) {
  return el("div", { class: "prompt" }, turns.map(({ role, pieces }) =>
    el("div", { class: "turn" }, role && el("span", { class: "role" }, role),
      el("pre", { class: "text", dir: "auto" }, pieces.map((piece) => promptPiece(piece, known))))));
}

function promptPiece(piece, known) {
  if (typeof piece === "string") return piece;
  const { passage, flat } = piece;
  const text = known.get(passage)?.text ?? `[the text of ${passage} was not kept]`;
  return el("span", { class: "passage-in-prompt", title: passage }, flat ? text.replaceAll("\n", " ") : text);
}

// A prompt in a disclosure; its passages are unpacked when it is opened.
function promptDisclosure(summary, turns, attributes = {}) {
  return disclosure(summary, () => {
    const node = el("div", {}, "…");
    passageTexts(idsIn(turns)).then((known) => show(node, promptView(turns, known)));
    return node;
  }, attributes);
}
