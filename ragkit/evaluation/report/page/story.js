// The story of one question.

async function storyView(number, close) {
  const { head, rows } = store;
  const detail = await storyOf(number);
  const known = await passageTexts(detail.documents.map(([id]) => id));
  const context = { number, detail, known, head, rows, cited: new Set(detail.citations.map((citation) => citation.passage)) };
  return el("article", { class: "story", "aria-labelledby": "story-title" },
    storyHeader(context, close), verdict(context), numbers(context), pagesSection(context), judgementsSection(detail), turnsSection(detail.turns),
    stepsSection(context), rankingSection(context), promptSection(context), callsSection(detail.steps));
}

function part(title, note, ...content) {
  return el("section", { class: "part" }, el("h4", {}, title, note && el("small", {}, note)), content);
}

const badge = (text, kind = "") => el("span", { class: `badge ${kind}`.trim() }, text);

function storyHeader({ number, rows }, close) {
  const status = rows.statuses[rows.status[number]];
  const type = rows.types[rows.type[number]];
  return el("header", {},
    el("div", { class: "story-bar" },
      badge(status, status), rows.abstained[number] === 1 && badge("abstained"), type && badge(type),
      rows.flags[number].map((flag) => badge(rows.flagNames[flag], "wrong")),
      el("code", { class: "id" }, rows.id[number]),
      button("Close", close, { class: "quiet close", "aria-label": "Close the question" })),
    el("h3", { id: "story-title", class: "text", dir: "auto", tabindex: -1 }, rows.question[number]));
}

function verdict({ number, rows, detail, known }) {
  const answer = rows.answer[number];
  const golds = rows.gold[number];
  return el("div", { class: "verdict" },
    el("section", { class: "given", "aria-label": "Answer" }, el("h4", {}, "Answer"),
      answer ? quote("p", answer, "said") : el("p", { class: "said none" }, detail.error ? "failed" : "none: it abstained"),
      detail.citations.length > 0 && el("ol", { class: "citations" }, detail.citations.map((citation, n) => citationLine(citation, n, detail, known, answer))),
      detail.error && quote("p", `${detail.error.stage}: ${detail.error.type}: ${detail.error.message}`, "error")),
    el("section", { class: "wanted", "aria-label": "Gold" }, el("h4", {}, "Gold"),
      golds === null ? el("p", { class: "said none" }, "none: the question is unanswerable")
        : golds.length ? golds.map((gold) => quote("p", gold, "said")) : el("p", { class: "said none" }, "no gold answer"),
      detail.supporting.length > 0 && el("ul", { class: "evidence" }, detail.supporting.map((id) => goldLine(id, detail, known)))));
}

function citationLine(citation, n, detail, known, answer) {
  const gold = detail.gold[citation.passage];
  return el("li", {}, button(`[${n + 1}] ${place(citation)}`, () => openReader(citation.passage, { answer, box: citation.box, known }), { class: "link citation" }),
    gold && badge("gold", "right"));
}

function goldLine(id, detail, known) {
  const holders = detail.documents.map(([passage]) => passage).filter((passage) => detail.gold[passage]?.includes(id));
  const used = holders.some((passage) => detail.context.includes(passage));
  const shown = holders[0] ?? store.passageIds.find((passage) => belongs(passage, id));
  return el("li", {}, shown ? button(id, () => openReader(shown, { known }), { class: "link" }) : el("code", {}, id),
    used ? badge("in the prompt", "right") : badge(holders.length ? "not in the prompt" : "not in the final ranking", "wrong"));
}

// Whether a passage is, or is a piece of, a gold passage, page or document.
const belongs = (passage, gold) => passage.startsWith(gold) && /^($|#p\d|\.c\d)/.test(passage.slice(gold.length));

function numbers({ number, rows, detail }) {
  const scores = Object.entries(rows.scores).filter(([, values]) => values[number] !== null);
  const costs = Object.entries(rows.costs).filter(([name, values]) => !(name in rows.scores) && values[number] !== null);
  const cells = [...scores, ...costs].map(([name, values]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, name === "seconds" ? seconds(values[number]) : mark(values[number]))));
  return el("dl", { class: "numbers" }, cells);
}

// The pages of the prompt as thumbnails in the order in which the reader was shown them, with what the answer cites on each.
function pagesSection({ detail, known, cited, rows, number }) {
  const answer = rows.answer[number];
  const boxes = (id) => detail.citations.filter((citation) => citation.passage === id && citation.box).map((citation) => citation.box);
  const line = (id) => {
    const passage = known.get(id) ?? { id };
    const thumbnail = picture(passage, boxes(id));
    return thumbnail && el("li", {}, button([thumbnail, el("span", { class: "where" }, place(passage))],
      () => openReader(id, { answer, box: boxes(id)[0], known }), { class: "thumbnail" }), marks(id, detail, cited));
  };
  const lines = detail.context.map(line).filter(Boolean);
  return lines.length ? part("Pages", "in the order of the prompt; what is cited is marked on them", el("ol", { class: "thumbnails" }, lines)) : null;
}

function judgementsSection({ judgements }) {
  if (!judgements.length) return null;
  return part("Judges", "", el("ul", { class: "judgements" }, judgements.map(([judge, text]) => el("li", {}, el("span", { class: "name" }, judge), quote("pre", text)))));
}

function turnsSection(turns) {
  if (!turns.length) return null;
  const lines = (turn) => [["Thought", turn.thought], ["Action", turn.action], ["Observation", turn.observation]].filter(([, text]) => text);
  return part("Turns", plural(turns.length, "turn"), el("ol", { class: "turns" }, turns.map((turn) =>
    el("li", {}, el("span", { class: "place" }, turn.place), el("dl", {}, lines(turn).map(([label, text]) => [el("dt", {}, label), quote("dd", text)]))))));
}

function stepsSection(context) {
  const { steps, traced } = context.detail;
  if (!traced) return part("Stages", "", el("p", { class: "note" }, "The run kept no trace of this question."));
  const open = steps.length <= 6;
  return part("Stages", plural(steps.length, "stage"), el("ol", { class: "steps" }, steps.map((step) =>
    el("li", { class: step.error ? "failed" : "" }, disclosure(stepSummary(step), () => stepBody(step, context), { open: open || Boolean(step.error) })))));
}

function stepSummary(step) {
  const facts = [
    step.queries && plural(step.queries.length, "query", "queries"),
    step.ranking && plural(step.found.length, "passage"),
    step.dropped.length && `${count(step.dropped.length)} dropped`,
    step.calls.length && `${seconds(step.seconds)}${step.computed === 0 && step.seconds > 0 ? ", reused" : ""}`,
  ];
  return [el("span", { class: "stage" }, step.stage), el("small", {}, facts.filter(Boolean).join(" · ")), step.error && badge("failed", "failed")];
}

function stepBody(step, context) {
  return el("div", { class: "step" },
    step.error && quote("p", step.error, "error"),
    step.queries && el("ul", { class: "queries" }, step.queries.map((query) => quote("li", query))),
    step.wrote.map(([name, text]) => el("div", { class: "wrote" }, el("span", { class: "name" }, name), quote("pre", text))),
    step.calls.filter((call) => ["generate", "choose"].includes(call.op)).slice(0, EXCHANGES).map(exchange),
    step.ranking && foundList(step, context),
    step.dropped.length > 0 && droppedList(step, context));
}

// What a model was asked and what it said; the calls at the end list all of them.
const EXCHANGES = 12;

const exchange = (call) => promptDisclosure([el("span", { class: "name" }, call.op === "choose" ? "chose" : "replied"), quote("span", call.reply.trim() || "nothing")],
  call.sent, { class: "exchange" });

function foundList(step, { detail, known, cited }) {
  const line = (found) => el("li", {}, passageLink(found.id, known),
    el("span", { class: "score" }, score(found.score)), marks(found.id, detail, cited), hits(found.hits, step.asked));
  return el("div", {},
    step.asked.length > 0 && el("ol", { class: "asked", "aria-label": "Queries" }, step.asked.map((query, n) => el("li", { value: n + 1 }, "for ", quote("q", query)))),
    el("ol", { class: "found-list" }, step.found.map(line)));
}

// How a passage was found: `dense #1 0.77`; with several queries also for which of them.
function hits(found, asked) {
  if (!found.length) return null;
  return el("span", { class: "hits" }, found.map((hit) =>
    el("span", { class: hit.by.startsWith("memory") ? "hit memory" : "hit" },
      `${hit.by} #${hit.rank} (${score(hit.score)})${asked.length > 1 ? ` query ${hit.query + 1}` : ""}`)));
}

const marks = (id, detail, cited) => [detail.gold[id] && badge("gold", "right"), cited.has(id) && badge("cited")];

const passageLink = (id, known) => button(id, () => openReader(id, { known }), { class: "link passage-id" });

function droppedList(step, { detail, known, cited }) {
  return el("div", { class: "dropped" }, el("h5", {}, `Dropped by ${step.stage}`),
    el("ul", {}, step.dropped.map((lost) => el("li", {}, passageLink(lost.id, known),
      el("span", { class: "score" }, score(lost.score)), marks(lost.id, detail, cited), quote("span", lost.why, "why")))));
}

function rankingSection({ detail, known, cited, rows, number }) {
  if (!detail.documents.length) return null;
  const used = new Set(detail.context);
  const line = ([id, value]) => el("li", { class: used.has(id) ? "" : "unused" },
    disclosure([el("span", { class: "where" }, place(known.get(id) ?? { id })), el("span", { class: "score" }, score(value)), marks(id, detail, cited),
      !used.has(id) && badge("not in the prompt", "wrong"), quote("span", known.get(id)?.text?.slice(0, 160) ?? "", "start")],
    () => el("div", {}, highlighted(known.get(id)?.text ?? "", rows.answer[number]), passageLink(id, known))));
  return part("Passages", "final ranking, best first", el("ol", { class: "ranking" }, detail.documents.map(line)));
}

function promptSection({ detail }) {
  const { prompt, promptStage: stage } = detail;
  if (!prompt.length) return null;
  return part("Final prompt", `sent by ${stage}`, promptDisclosure("Show the prompt", prompt));
}

function callsSection(steps) {
  const calls = steps.flatMap((step) => step.calls.map((call) => [step.stage, call]));
  if (!calls.length) return null;
  const summary = `${plural(calls.reduce((sum, [, call]) => sum + call.count, 0), "call")} to models and indexes`;
  return part("Calls", "", disclosure(summary, () => callsTable(calls)));
}

function callsTable(calls) {
  const lines = calls.map(([stage, call]) => [
    stage, `${call.resource} ${call.op}${call.count > 1 ? ` × ${call.count}` : ""}`,
    call.sent.length ? promptDisclosure(call.reply.slice(0, 60) || "sent", call.sent) : "",
    call.reply.length > 60 ? disclosure("whole reply", quote("pre", call.reply)) : "",
    call.tokens[0] + call.tokens[1] ? `${count(call.tokens[0])} + ${count(call.tokens[1])}` : "", seconds(call.seconds),
    { run: "computed", cache: "from the cache", joined: "shared with an equal call" }[call.source]]);
  const columns = [["stage", "name"], ["call", "name"], ["reply; what was sent", "name"], ["", "name"], ["tokens", "number"], ["time", "number"], ["", "name"]];
  return table(columns, lines, { "aria-label": "Calls" });
}
