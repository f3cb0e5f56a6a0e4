// The overview: tiles, figures with their intervals, the funnel, stage times, settings.

function facts(head) {
  const about = head.about ?? {};
  const models = head.models.map((model) => [model.name, [model.model, model.device, model.dtype].filter(Boolean).join(", ")]);
  const entries = [
    ["Pipeline", head.steps.join(" → ")],
    ["Started", about.started && moment(about.started)],
    ["Took", about.seconds && seconds(about.seconds)],
    ...models,
  ].filter(([, value]) => value);
  return entries.map(([name, value]) => el("div", {}, el("dt", {}, name), quote("dd", value)));
}

function tiles(head, rows) {
  const { questions, failures } = head.overall;
  const counts = rows.statuses.map((_, code) => rows.status.filter((status) => status === code).length);
  const abstained = rows.abstained.filter(Boolean).length;
  const about = head.about ?? {};
  const entries = [
    [count(questions), questions === 1 ? "question" : "questions", ""],
    ...(head.quality.length && head.overall.metrics[head.quality[0]].n ? [[count(counts[0]), `right (${head.quality[0]} = 1)`, "right"], [count(counts[1]), "wrong", "wrong"]] : []),
    [count(failures), "failed", failures ? "failed" : ""],
    [count(abstained), "abstained", ""],
    ...(about.calls ? [[share(about.cached, about.calls), `of ${count(about.calls)} calls from the cache`, ""]] : []),
    ...Object.entries(head.flags).map(([flag, number]) => [count(number), flag, "wrong"]),
  ];
  return el("ul", { class: "tiles" }, entries.map(([value, label, kind]) =>
    el("li", { class: kind }, el("b", {}, value), el("span", {}, label))));
}

// An interval as a bar on the line from 0 to 1, the mean as a tick.
function intervalBar(estimate) {
  if (!estimate.n) return "";
  const x = (value) => (100 * Math.min(1, Math.max(0, value))).toFixed(2);
  const { low, high, value } = estimate;
  return svg("svg", { class: "interval", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": interval(estimate) },
    svg("line", { class: "axis", x1: 0, x2: 100, y1: 5, y2: 5 }),
    svg("rect", { class: "range", x: x(low), width: Math.max(0.8, x(high) - x(low)), y: 2, height: 6, rx: 1 }),
    svg("rect", { class: "mean", x: x(value) - 0.6, width: 1.2, y: 0, height: 10 }));
}

function metricsTable(head) {
  const { metrics, failures } = head.overall;
  const rows = Object.entries(metrics).map(([name, estimate]) => [
    name, el("b", {}, figure(estimate.value)), interval(estimate),
    head.quality.includes(name) ? intervalBar(estimate) : "", count(estimate.n), count(failures), count(estimate.failures), count(estimate.excluded)]);
  const columns = [["metric", "name"], ["mean", "number"], [`${head.confidence} % interval`, "number"], ["from 0 to 1", "bar-cell"],
    ["n", "number"], ["failed", "number"], ["not measured", "number"], ["not applicable", "number"]];
  return table(columns, rows, { "aria-label": "Figures of the run" });
}

function agreementTable(head) {
  const rows = head.agreement.map((pair) => [pair.judge, pair.raters.join(", "), el("b", {}, figure(pair.kappa)),
    pair.low === null ? "–" : `${figure(pair.low)} – ${figure(pair.high)}`, pair.same === null ? "–" : share(pair.same, 1),
    count(pair.n), pair.weights ?? "none"]);
  const columns = [["judge", "name"], ["raters", ""], ["kappa", "number"], [`${head.confidence} % interval`, "number"],
    ["same grade", "number"], ["n", "number"], ["weights", ""]];
  return table(columns, rows, { "aria-label": "How far judges agree" });
}

function typesTable(head) {
  const names = Object.keys(head.overall.metrics);
  const rows = head.types.map((group) => [
    group.type || "no type", count(group.questions), count(group.failures),
    ...names.map((name) => typeCell(group.metrics[name], head.quality.includes(name)))]);
  const columns = [["type", "name"], ["n", "number"], ["failed", "number"], ...names.map((name) => [name, "number"])];
  return table(columns, rows, { "aria-label": "Figures by type of question" });
}

function typeCell(estimate, quality) {
  return [el("b", {}, figure(estimate.value)), el("small", {}, interval(estimate)), quality && intervalBar(estimate)];
}

const FUNNEL_NOTES = {
  corpus: "document in the corpus", index: "in the index after chunking", prompt: "in the prompt",
  cited: "cited", answered: "answered right",
};

// Each stage is a slice that narrows to what the next one has; beside it, what was lost there.
function funnel(head, onLost) {
  const { stages, questions } = head.funnel;
  const rows = stages.map((stage, n) => funnelRow(stage, stages[n + 1], questions, onLost));
  return el("ol", { class: "funnel" }, rows);
}

function funnelRow(stage, next, questions, onLost) {
  const lost = stage.losses.reduce((sum, loss) => sum + loss.questions, 0);
  const label = FUNNEL_NOTES[stage.kind] ?? stage.stage;
  return el("li", {},
    el("span", { class: "stage" }, label, stage.ran < stage.questions && el("small", {}, ` ran for ${count(stage.ran)}`)),
    funnelSlice(stage, next ?? stage, questions),
    el("span", { class: "kept" }, el("b", {}, count(stage.all)), el("small", {}, share(stage.all, questions)),
      stage.some > 0 && el("small", {}, `${count(stage.some)} in part`)),
    el("span", { class: "lost" }, lost > 0
      ? stage.losses.map((loss) => button(`−${count(loss.questions)} ${loss.reason}`, () => onLost(stage, loss), { class: "link" }))
      : el("small", {}, "none lost")));
}

function funnelSlice(stage, next, questions) {
  const part = (value) => (questions ? (50 * value) / questions : 0);
  const shape = (above, below) =>
    `${50 - part(above)},0 ${50 + part(above)},0 ${50 + part(below)},40 ${50 - part(below)},40`;
  const drawing = svg("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polygon", { class: "some", points: shape(stage.all + stage.some, next.all + next.some) }),
    svg("polygon", { class: "all", points: shape(stage.all, next.all) }));
  return el("span", { class: "slice" }, drawing); // the row decides the height, however many losses it names
}

function timesTable(head) {
  const longest = Math.max(...head.times.map((time) => time.computed + time.saved), 1e-9);
  const rows = head.times.map((time) => [
    time.stage, timeBar(time, longest), seconds(time.computed), count(time.runs), count(time.calls),
    share(time.reused, time.calls), count(time.tokens), seconds((time.computed + time.saved) / time.runs)]);
  const columns = [["stage", "name"], ["", "bar-cell wide"], ["computed", "number"], ["runs", "number"], ["calls", "number"],
    ["reused", "number"], ["tokens", "number"], ["per run", "number"]];
  return table(columns, rows, { "aria-label": "Computing time by stage" });
}

function timeBar(time, longest) {
  const width = (value) => ((100 * value) / longest).toFixed(2);
  return svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img",
    "aria-label": `computed ${seconds(time.computed)}, saved ${seconds(time.saved)}` },
    svg("rect", { class: "computed", x: 0, y: 1, height: 8, width: width(time.computed) }),
    svg("rect", { class: "saved", x: width(time.computed), y: 1, height: 8, width: width(time.saved) }));
}

function settings(head) {
  const entries = head.settings.map(([name, value]) =>
    value.includes("\n") || value.length > 80
      ? disclosure(name, quote("pre", value))
      : el("div", { class: "setting" }, el("span", {}, name), quote("code", value)));
  return el("div", { class: "settings" }, entries);
}
