// Numbers and places as a reader wants them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

const count = (value) => whole.format(value);

const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

function figure(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size > 0 && size < 0.0005) return value.toPrecision(1).replace("-", "−");
  return size < 10 ? value.toFixed(3) : size < 100 ? value.toFixed(1) : count(value);
}

function mark(value) {
  return Number.isInteger(value) ? count(value) : figure(value);
}

function interval(estimate) {
  return estimate.n ? `${figure(estimate.low)} – ${figure(estimate.high)}` : "–";
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 120) return `${count(Math.floor(value / 60))} min ${count(value % 60)} s`;
  if (value >= 10) return `${value.toFixed(0)} s`;
  return value >= 0.0995 ? `${value.toFixed(1)} s` : value >= 0.0005 ? `${(1000 * value).toFixed(0)} ms` : "0 ms";
}

const share = (part, all) => (all ? `${Math.round((100 * part) / all)} %` : "–");

function place(passage) {
  const document = (passage.document || passage.id || passage.passage).replace(/(#p\d+)?(\.c\d+)?$/, "");
  const source = passage.source || document;
  if (passage.page) return `${source}, page ${passage.page}`;
  return document === source ? source : `${source}: ${document}`; // of many rows of one file, the row
}

function moment(iso) {
  return new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

const score = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : value ?? "");
