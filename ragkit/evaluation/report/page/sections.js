// Sections of a page, the links to them, and what is said when a page cannot be shown.

function section(id, title, note, ...content) {
  const heading = el("h2", { id: `${id}-heading` }, title);
  return el("section", { id, "aria-labelledby": heading.id }, heading, note && el("p", { class: "note" }, note), content);
}

function linkSections() {
  const links = [...document.querySelectorAll("main section[id] > h2")].map((heading) =>
    el("a", { href: `#${heading.parentElement.id}` }, heading.textContent));
  append(byId("sections"), links);
}

function reportFailure(error) {
  byId("notice").hidden = false;
  byId("notice").textContent = typeof DecompressionStream === "undefined"
    ? "This browser is too old to unpack the page: it needs DecompressionStream (Chrome 80, Firefox 113, Safari 16.4 or newer)."
    : `The page could not be shown: ${error.message}`;
  throw error;
}
