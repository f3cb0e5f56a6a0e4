"""Seeded reports whose pages hold one thing each, for questions with known answers: sentences, tables, bar charts.

A report is about eight sites of one kind, all described with the same attributes in the same units, so that the pages
of a report are hard distractors for each other. What a chart shows is said in its caption alone, what a table shows in
its cells alone. The same seed gives the same texts, questions and ids. No two reports share a site.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pymupdf

WIDTH, HEIGHT, LEFT = 595.0, 842.0, 72.0
TEXT, TABLE, FIGURE = "text", "table", "figure"
SYLLABLES = (
    "al", "bar", "cor", "den", "el", "fen", "gar", "hol", "il", "jar", "kes", "lom", "mar", "nor", "ost", "pel", "quin",
    "ras", "sol", "tam", "ul", "ven", "wil", "yar", "zan",
)  # fmt: skip
ENDINGS = ("ford", "stead", "wick", "mere", "holm", "by", "ton", "dale")
PEOPLE = (
    "Ines Kolar", "Tomas Beck", "Ruth Amadi", "Lars Holt", "Priya Nair", "Omar Haddad", "Elena Ruiz", "Jun Mori",
    "Ada Novak", "Felix Braun", "Maya Levi", "Piet Visser", "Nora Quist", "Sami Laine", "Vera Popov", "Hugo Costa",
)  # fmt: skip
MONTHS = ("January", "March", "May", "July", "September", "November")
YEARS = tuple(str(year) for year in range(2011, 2024))


@dataclass(frozen=True, slots=True)
class Kind:
    """What a report is about: the noun of its sites, and what is measured there."""

    noun: str
    opened: str
    size: tuple[str, str, int, int]
    material: tuple[str, tuple[str, ...]]
    readings: tuple[tuple[str, str, int, int], ...]
    series: tuple[str, str, int, int]


KINDS = (
    Kind(
        "pumping station", "commissioned", ("design flow", "litres per second", 40, 900),
        ("rising main", ("ductile iron", "steel", "polyethylene", "concrete", "clay")),
        (("pressure", "bar", 2, 16), ("vibration", "mm/s", 1, 9), ("oil temperature", "degrees", 31, 88)),
        ("inflow", "megalitres", 12, 95),
    ),
    Kind(
        "orchard", "planted", ("grafted area", "hectares", 3, 80),
        ("windbreak", ("poplar", "alder", "hornbeam", "cypress", "willow")),
        (
            ("yield", "tonnes", 20, 400),
            ("sugar content", "degrees Brix", 9, 19),
            ("water use", "cubic metres", 80, 990),
        ),
        ("harvest", "crates", 110, 980),
    ),
    Kind(
        "ferry terminal", "opened", ("quay length", "metres", 60, 480),
        ("pier decking", ("larch", "basalt", "oak", "granite", "aluminium")),
        (("delay", "minutes", 2, 59), ("cars carried", "thousand", 11, 240), ("fuel used", "tonnes", 14, 320)),
        ("ridership", "thousand passengers", 21, 310),
    ),
    Kind(
        "observatory", "inaugurated", ("mirror diameter", "centimetres", 40, 390),
        ("dome cladding", ("copper", "zinc", "fibreglass", "cedar", "titanium")),
        (("seeing", "milliarcseconds", 410, 980), ("clear nights", "nights", 90, 290), ("humidity", "percent", 12, 78)),
        ("photon count", "million counts", 31, 640),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """A question about a page of a report, and its answer."""

    page: int
    type: str
    question: str
    answer: str


def write_reports(folder: Path, reports: int, seed: int, parts_of: int = 10) -> list[dict[str, Any]]:
    """Write reports as PDFs and their questions as `questions.jsonl`, and return the questions' rows.

    Args:
        folder: where they go.
        reports: how many.
        seed: of everything.
        parts_of: pages of a report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = _names(Random(f"names {seed}"))
    rows = []
    for number in range(reports):
        rng = Random(f"report {seed} {number}")
        name = f"report{number:03d}.pdf"
        facts = write_report(folder / name, [next(names) for _ in range(8)], rng, parts_of)
        rows += [
            {
                "id": f"{name}.q{position}", "question": fact.question, "answers": [fact.answer],
                "supporting_ids": [f"{name}#p{fact.page}"], "type": fact.type,
                "vars": {"where": {"field": "document", "equals": name}},
            }
            for position, fact in enumerate(facts)
        ]  # fmt: skip
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return rows


def write_report(path: Path, sites: list[str], rng: Random, pages: int) -> list[Fact]:
    """Write one report, its pages in random order, and return a question for each page."""
    kind = rng.choice(KINDS)
    types = [(TEXT, TABLE, FIGURE)[number % 3] for number in range(pages)]
    rng.shuffle(types)
    counts = {TEXT: 0, TABLE: 0, FIGURE: 0}
    orders = {own: rng.sample(sites, len(sites)) for own in counts}
    facts = []
    with pymupdf.open() as pdf:
        for number, own in enumerate(types, 1):
            site = orders[own][counts[own] % len(sites)]
            counts[own] += 1
            page = pdf.new_page(width=WIDTH, height=HEIGHT)
            made = {TEXT: _text, TABLE: _table, FIGURE: _figure}[own](page, kind, site, counts[own], rng)
            facts.append(Fact(number, own, *made))
        pdf.save(path, no_new_id=True)
    return facts


def _text(page: Any, kind: Kind, site: str, number: int, rng: Random) -> tuple[str, str]:
    size, unit, low, high = kind.size
    part, materials = kind.material
    value, year = f"{rng.randint(low, high)} {unit}", rng.choice(YEARS)
    person, material = rng.choice(PEOPLE), rng.choice(materials)
    sentences = [
        f"The {site} {kind.noun} was {kind.opened} in {year}.",
        f"Its {size} is {value}.",
        f"{person} has been in charge of it since it began to work.",
        f"The {part} is made of {material} and is looked at twice a year.",
    ]
    rng.shuffle(sentences)
    _heading(page, f"{number}. The {site} {kind.noun}")
    _paragraph(page, 110, " ".join(sentences))
    return rng.choice(
        [
            (f"In which year was the {site} {kind.noun} {kind.opened}?", year),
            (f"What is the {size} of the {site} {kind.noun}?", value),
            (f"Who is in charge of the {site} {kind.noun}?", person),
            (f"What is the {part} of the {site} {kind.noun} made of?", material),
        ]
    )


def _table(page: Any, kind: Kind, site: str, number: int, rng: Random) -> tuple[str, str]:
    years = sorted(rng.sample(YEARS, 4))
    head = ["Year", *(f"{name}\n({unit})" for name, unit, _, _ in kind.readings)]
    cells = [[year, *(str(rng.randint(low, high)) for _, _, low, high in kind.readings)] for year in years]
    _paragraph(page, 90, f"Table {number}: Readings of the {site} {kind.noun}")
    _grid(page, 115, [head, *cells])
    row, column = rng.randrange(len(cells)), rng.randrange(len(kind.readings))
    name, unit = kind.readings[column][:2]
    question = f"What was the {name} of the {site} {kind.noun} in {cells[row][0]}?"
    return question, f"{cells[row][column + 1]} {unit}"


def _figure(page: Any, kind: Kind, site: str, number: int, rng: Random) -> tuple[str, str]:
    name, unit, low, high = kind.series
    values = rng.sample(range(low, high), len(MONTHS))
    top = max(range(len(values)), key=values.__getitem__)
    bottom = min(range(len(values)), key=values.__getitem__)
    _bars(page, 120, values)
    caption = (
        f"Figure {number}: Monthly {name} of the {site} {kind.noun}; highest in {MONTHS[top]} with {values[top]} "
        f"{unit}, lowest in {MONTHS[bottom]} with {values[bottom]} {unit}."
    )
    _paragraph(page, 350, caption)
    return rng.choice(
        [
            (f"In which month was the {name} of the {site} {kind.noun} highest?", MONTHS[top]),
            (f"In which month was the {name} of the {site} {kind.noun} lowest?", MONTHS[bottom]),
            (f"What was the highest monthly {name} of the {site} {kind.noun}?", f"{values[top]} {unit}"),
        ]
    )


def _heading(page: Any, text: str) -> None:
    page.insert_text((LEFT, 90), text, fontsize=16, fontname="hebo")


def _paragraph(page: Any, top: float, text: str) -> None:
    if page.insert_textbox((LEFT, top - 12, WIDTH - LEFT, top + 120), text, fontsize=11, fontname="helv") < 0:
        raise ValueError(f"does not fit: {text}")


def _grid(page: Any, top: float, rows: list[list[str]]) -> None:
    width, height = (WIDTH - 2 * LEFT) / len(rows[0]), 22.0
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            x, y = LEFT + c * width, top + r * height
            page.draw_rect((x, y, x + width, y + height), color=(0, 0, 0), width=0.7)
            page.insert_text((x + 4, y + 9), cell, fontsize=8, fontname="hebo" if r == 0 else "helv")


def _bars(page: Any, top: float, values: list[int]) -> None:
    scale = 190 / max(values)
    for number, value in enumerate(values):
        x = LEFT + 20 + number * 65
        page.draw_rect((x, top + 200 - value * scale, x + 40, top + 200), fill=(0.3, 0.5, 0.7), color=(0.2, 0.3, 0.5))
        page.insert_text((x, top + 212), MONTHS[number][:3], fontsize=8)


def _names(rng: Random) -> Iterator[str]:
    """Yield names of sites, none twice."""
    seen: set[str] = set()
    while True:
        name = (rng.choice(SYLLABLES) + rng.choice(SYLLABLES) + rng.choice(ENDINGS)).capitalize()
        if name not in seen:
            seen.add(name)
            yield name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reports", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"{len(write_reports(given.folder, given.reports, given.seed))} questions in {given.folder}")
