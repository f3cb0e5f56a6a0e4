"""PDFs that are broken or mean, made from a few small ones: always the same ones, more than 300 of them."""

import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pymupdf

PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
TEXT = b"BT /F1 12 Tf 20 200 Td (Wheat needs rain in spring.) Tj ET"


def stream(data: bytes, entries: bytes = b"", length: bytes | None = None) -> bytes:
    """Return a stream object; `length` in place of the true one."""
    written = str(len(data)).encode() if length is None else length
    return b"<< /Length " + written + b" " + entries + b" >>\nstream\n" + data + b"\nendstream"


def deflated(data: bytes, entries: bytes = b"") -> bytes:
    return stream(zlib.compress(data, 9), b"/Filter /FlateDecode " + entries)


def simple(changes: dict[int, bytes] | None = None, trailer: bytes = b"") -> bytes:
    """Return a PDF of one page with a line of text, with some of its objects replaced or added."""
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: PAGE,
        4: stream(TEXT),
        5: FONT,
    } | (changes or {})
    out = bytearray(b"%PDF-1.7\n")
    offsets = {}
    for number, content in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    xref = len(out)
    top = max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % top
    for number in range(1, top):
        out += b"%010d 00000 n \n" % offsets[number] if number in offsets else b"0000000000 00000 f \n"
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (top, trailer, xref)
    return bytes(out)


def bases() -> dict[str, bytes]:
    """Return the sound PDFs that the broken ones are made from."""
    prose = "Winter wheat is sown in autumn and harvested in the summer after it. " * 8
    with pymupdf.open() as columns:
        for _ in range(2):
            page = columns.new_page()
            page.insert_textbox((50, 50, 280, 400), prose)
            page.insert_textbox((310, 50, 540, 400), prose)
        first = columns.tobytes(deflate=True, no_new_id=True)
    with pymupdf.open() as table:
        page = table.new_page()
        for row in range(6):
            for column in range(4):
                box = pymupdf.Rect(50 + 100 * column, 50 + 30 * row, 150 + 100 * column, 80 + 30 * row)
                page.draw_rect(box)
                page.insert_textbox((box.x0 + 5, box.y0 + 5, box.x1 - 5, box.y1 - 5), f"{row} and {column}")
        image = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 40, 40))
        image.set_rect(image.irect, (200, 30, 30))
        page.insert_image((50, 300, 150, 400), pixmap=image)
        table.set_toc([[1, "Tables", 1]])
        second = table.tobytes(deflate=True, no_new_id=True)
    return {"columns": first, "table": second, "simple": simple()}


def mutations(name: str, data: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    """Return damaged versions of a PDF: cut off, bits and bytes changed, pieces lost, doubled and moved."""
    dice = random.Random(name)
    for number in range(count):
        broken = bytearray(data)
        match number % 6:
            case 0:
                del broken[dice.randrange(8, len(data)) :]
            case 1:
                for _ in range(dice.randint(1, 60)):
                    broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
            case 2:
                for _ in range(dice.randint(1, 20)):
                    broken[dice.randrange(9, len(broken))] = dice.randrange(256)
            case 3:
                start = dice.randrange(9, len(data))
                del broken[start : start + dice.randint(1, 400)]
            case 4:
                start = dice.randrange(9, len(data))
                broken[start:start] = broken[start : start + dice.randint(1, 400)]
            case 5:
                # Numbers are what offsets, lengths and references are made of.
                places = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
                for place in dice.sample(places, min(len(places), dice.randint(1, 30))):
                    broken[place] = dice.choice(b"0123456789-")
        yield f"{name}-{number:03}", bytes(broken)


def structures() -> Iterator[tuple[str, bytes]]:
    """Return PDFs whose objects, references and page trees are wrong."""
    yield "empty", b""
    yield "header-only", b"%PDF-1.7\n"
    yield "header-and-noise", b"%PDF-1.7\n" + random.Random(1).randbytes(5000)
    yield "html", b"<html><body>%PDF- is what it is not</body></html>"
    yield "zip", b"PK\x03\x04" + b"%PDF-1.4 " * 50
    yield "late-header", b"\0" * 900 + simple()
    sound = simple()
    yield "xref-shifted", b"%PDF-1.7\n%%%% padding\n" + sound[9:]
    yield "xref-far-away", sound.replace(b"startxref\n", b"startxref\n99999")
    yield "xref-negative", sound.replace(b"startxref\n", b"startxref\n-")
    yield "xref-none", sound[: sound.index(b"xref\n0")]
    yield "xref-zeros", sound.replace(b" 00000 n", b" 00000 f")
    yield "xref-size", sound.replace(b"/Size 6", b"/Size 2000000000")
    yield "trailer-previous-loop", simple(trailer=b"/Prev %d" % sound.index(b"xref\n0"))
    yield "trailer-no-root", sound.replace(b"/Root 1 0 R", b"")
    yield "root-is-a-page", sound.replace(b"/Root 1 0 R", b"/Root 3 0 R")
    yield "no-pages", simple({2: b"<< /Type /Pages /Kids [] /Count 0 >>"})
    yield "count-is-negative", simple({2: b"<< /Type /Pages /Kids [3 0 R] /Count -5 >>"})
    yield "count-is-huge", simple({2: b"<< /Type /Pages /Kids [3 0 R] /Count 2147483647 >>"})
    yield "count-is-a-million", simple({2: b"<< /Type /Pages /Kids [3 0 R] /Count 1000000 >>"})
    yield "kids-hold-themselves", simple({2: b"<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 2 >>"})
    yield "kids-are-missing", simple({2: b"<< /Type /Pages /Kids [3 0 R 90 0 R null 7] /Count 4 >>"})
    yield "kids-are-no-list", simple({2: b"<< /Type /Pages /Kids 3 0 R /Count 1 >>"})
    yield "kids-repeat-a-page", simple({2: b"<< /Type /Pages /Kids [" + b"3 0 R " * 200 + b"] /Count 200 >>"})
    yield "object-is-itself", simple({4: b"4 0 R"})
    yield "objects-in-a-ring", simple({4: b"6 0 R", 6: b"7 0 R", 7: b"4 0 R"})
    yield "contents-are-the-page", simple({3: PAGE.replace(b"4 0 R", b"3 0 R")})
    yield "contents-hold-themselves", simple({4: b"[4 0 R 4 0 R]"})
    yield "parent-is-itself", simple({3: PAGE.replace(b"/Parent 2 0 R", b"/Parent 3 0 R")})
    depth = 3000
    tree = {
        10 + n: b"<< /Type /Pages /Kids [%d 0 R] /Count 1 /Parent %d 0 R >>" % (11 + n, 9 + n) for n in range(depth)
    }
    yield "page-tree-is-deep", simple({2: b"<< /Type /Pages /Kids [10 0 R] /Count 1 >>"} | tree | {10 + depth: PAGE})
    for depth in (50, 5000, 200_000):
        yield f"lists-{depth}-deep", simple({6: b"[" * depth + b"]" * depth})
        yield f"dicts-{depth}-deep", simple({6: b"<< /A " * depth + b"1" + b" >>" * depth})
        yield f"lists-{depth}-deep-in-contents", simple({4: stream(TEXT + b"[" * depth + TEXT)})
        yield f"states-{depth}-deep", simple({4: stream(b"q " * depth + TEXT)})
    yield "50000-objects", simple({n: b"<< /N %d >>" % n for n in range(6, 50_006)})
    annotations = dict.fromkeys(range(6, 5006), b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] >>")
    listed = b" ".join(b"%d 0 R" % n for n in annotations)
    yield "5000-notes", simple({3: PAGE[:-2] + b"/Annots [" + listed + b"] >>"} | annotations)
    for length in (b"0", b"7", b"-1", b"99999999", b"4 0 R", b"90 0 R", b"null", b"(x)", b"2147483648"):
        yield f"length-{length.decode().replace(' ', '')}", simple({4: stream(TEXT, length=length)})


def pages() -> Iterator[tuple[str, bytes]]:
    """Return PDFs whose pages are wrong or too much."""
    boxes = [
        "0 0 0 0", "0 0 1000000000 1000000000", "0 0 1e38 1e38", "0 0 nan nan", "0 0 inf inf", "-500 -500 -100 -100",
        "300 300 0 0", "0 0 -300 300", "0 0 .00001 .00001", "0 0 300", "(a) (b) (c) (d)", "", "null null null null",
        "0 0 99999999999999999999 1", "1 2 3 4 5 6 7 8",
    ]  # fmt: skip
    for number, box in enumerate(boxes):
        changed = PAGE.replace(b"[0 0 300 300]", b"[" + box.encode() + b"]")
        yield f"box-{number}", simple({3: changed})
        yield f"cropped-{number}", simple({3: PAGE[:-2] + b"/CropBox [" + box.encode() + b"] >>"})
    yield "box-is-missing", simple({3: PAGE.replace(b"/MediaBox [0 0 300 300]", b"")})
    for entry in ("/UserUnit 1000000", "/UserUnit -1", "/Rotate 45", "/Rotate 99999999", "/Rotate -90"):
        yield f"page{entry.replace('/', '-').replace(' ', '-')}", simple({3: PAGE[:-2] + entry.encode() + b" >>"})
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 300 300] /Resources << /XObject << /X %d 0 R /Y %d 0 R >> >>"
    drawing = PAGE.replace(b"/Font", b"/XObject << /X 6 0 R >> /Font")
    yield (
        "form-draws-itself",
        simple({3: drawing, 4: stream(TEXT + b" /X Do"), 6: stream(b"/X Do /X Do", form % (6, 6))}),
    )
    yield (
        "forms-draw-each-other",
        simple(
            {
                3: drawing,
                4: stream(TEXT + b" /X Do"),
                6: stream(b"/X Do /Y Do", form % (7, 6)),
                7: stream(b"/X Do /Y Do", form % (6, 7)),
            }
        ),
    )
    # Each of 12 forms draws the next one eight times: 8^12 drawings.
    laughs = {6 + n: stream(b"/X Do " * 8, form % (7 + n, 7 + n)) for n in range(12)}
    yield (
        "billion-laughs",
        simple({3: drawing, 4: stream(TEXT + b" /X Do"), 18: stream(b"0 0 m 9 9 l S", form % (18, 18))} | laughs),
    )
    yield "million-lines", simple({4: deflated(TEXT + b" 0 0 m 9 9 l S" * 1_000_000)})
    yield "million-rectangles", simple({4: deflated(TEXT + b" 1 1 9 9 re f" * 1_000_000)})
    yield "100000-words", simple({4: deflated(b"BT /F1 1 Tf " + b"1 0 Td (word) Tj " * 100_000 + b"ET")})
    yield "unbalanced", simple({4: stream(b"Q Q Q ET ET EMC " + TEXT + b" BT BT q q BDC")})
    yield "unknown-operators", simple({4: stream(b"foo bar 1 2 3 baz " * 1000 + TEXT)})
    yield "inline-image-without-end", simple({4: stream(TEXT + b" BI /W 9 /H 9 /BPC 8 /CS /RGB ID " + b"x" * 5000)})
    picture = b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8"
    show = stream(TEXT + b" q 300 0 0 300 0 0 cm /X Do Q")
    for width, height in ((60_000, 60_000), (2_000_000_000, 2_000_000_000), (-5, 10), (0, 0)):
        image = deflated(b"\0" * 1000, picture % (width, height))
        yield f"image-{width}x{height}", simple({3: drawing, 4: show, 6: image})
    bomb = b" " * (200 << 20)
    yield "bomb", simple({4: deflated(bomb)})
    twice = zlib.compress(zlib.compress(bomb, 9), 9)
    yield "bomb-in-a-bomb", simple({4: stream(twice, b"/Filter [/FlateDecode /FlateDecode] ")})
    yield "bomb-of-letters", simple({4: deflated(b"BT /F1 9 Tf " + (b"(" + b"a" * 1000 + b") Tj ") * 8000 + b"ET")})
    yield "bomb-of-text", simple({4: deflated(b"BT /F1 9 Tf " + b"(a) Tj " * 1_000_000 + b"ET")})
    for name in ("LZWDecode", "ASCII85Decode", "RunLengthDecode", "DCTDecode", "JBIG2Decode", "JPXDecode", "Nonsense"):
        yield (
            f"filter-{name}",
            simple({4: stream(random.Random(name).randbytes(2000), b"/Filter /%s " % name.encode())}),
        )


def fonts_and_actions() -> Iterator[tuple[str, bytes]]:
    """Return PDFs with broken fonts, and with what would do something if a viewer let it."""
    noise = random.Random(2).randbytes(3000)
    described = b"<< /Type /Font /Subtype /TrueType /BaseFont /Broken /FontDescriptor 6 0 R >>"
    descriptor = b"<< /Type /FontDescriptor /FontName /Broken /%s 7 0 R >>"
    for name in (b"FontFile", b"FontFile2", b"FontFile3"):
        yield f"font-{name.decode()}-is-noise", simple({5: described, 6: descriptor % name, 7: stream(noise)})
    yield "font-is-missing", simple({5: b"null"})
    yield "font-is-itself", simple({5: b"<< /Type /Font /Subtype /Type0 /BaseFont /A /DescendantFonts [5 0 R] >>"})
    glyphs = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 9 9] /FontMatrix [1 0 0 1 0 0] /CharProcs << /a 6 0 R >> "
        b"/Encoding << /Differences [0 " + b"/a " * 256 + b"] >> /FirstChar 0 /LastChar 255 /Widths [9] "
        b"/Resources << /Font << /F1 5 0 R >> >> >>"
    )
    yield "font-draws-itself", simple({5: glyphs, 6: stream(b"9 0 0 0 9 9 d1 " + TEXT)})
    maps = {
        "is-noise": noise,
        "is-endless": b"begincmap 1 beginbfrange <0000> <FFFFFFFF> <0000> endbfrange endcmap",
        "is-odd": b"begincmap 2 beginbfchar <57> <D800> <68> <> endbfchar endcmap",
        "uses-itself": b"/Self usecmap begincmap endcmap",
        "is-long": b"begincmap " + b"1 beginbfchar <57> <0041> endbfchar " * 20_000 + b"endcmap",
    }
    for name, content in maps.items():
        extra = b"/CMapName /Self /UseCMap 6 0 R " if name == "uses-itself" else b""
        yield f"tounicode-{name}", simple({5: FONT[:-2] + b"/ToUnicode 6 0 R >>", 6: stream(content, extra)})
    actions = {
        "javascript": b"<< /S /JavaScript /JS (app.alert\\(1\\); while\\(true\\){}) >>",
        "launch": b"<< /S /Launch /F (/bin/sh) /NewWindow true >>",
        "uri": b"<< /S /URI /URI (file:///etc/passwd) >>",
        "goto-remote": b"<< /S /GoToR /F (../../x.pdf) /D [0 /Fit] >>",
        "submit": b"<< /S /SubmitForm /F (http://127.0.0.1:9/) >>",
    }
    for name, action in actions.items():
        yield f"action-{name}", simple({1: b"<< /Type /Catalog /Pages 2 0 R /OpenAction " + action + b" >>"})
    info = b"<< /Title (../../../../tmp/x.pdf) /Author (\\000\\001) >>"
    yield "title-is-a-path", simple({6: info}, b"/Info 6 0 R")
    yield "title-is-long", simple({6: b"<< /Title (" + b"long " * 200_000 + b") >>"}, b"/Info 6 0 R")
    yield (
        "encryption-is-noise",
        simple({6: b"<< /Filter /Standard /V 5 /R 6 /O (x) /U (y) /P -1 >>"}, b"/Encrypt 6 0 R"),
    )
    yield "encryption-is-unknown", simple({6: b"<< /Filter /Nobody /V 99 >>"}, b"/Encrypt 6 0 R")
    with pymupdf.open("pdf", simple()) as pdf:
        for number in range(5):
            pdf.embfile_add(f"../../../x{number}.pdf", simple(), filename="../../../x.pdf")
        yield "embedded-files", pdf.tobytes(no_new_id=True)
        for name, owner, user in (("with", "o", "secret"), ("without", "o", "")):
            data = pdf.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw=owner, user_pw=user)
            yield f"encrypted-{name}-password", data


def write_hostile(folder: Path) -> list[Path]:
    """Write all of them into a folder."""
    cases = [*structures(), *pages(), *fonts_and_actions()]
    for name, data in bases().items():
        cases += mutations(name, data, 60)
    paths = []
    for name, data in cases:
        paths.append(folder / f"{name}.pdf")
        paths[-1].write_bytes(data)
    return paths
