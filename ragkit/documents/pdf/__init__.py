"""PDF through PyMuPDF: headings, text, tables and figures with their boxes, in reading order, page by page."""

from ragkit.documents.pdf.read import read_pdf
from ragkit.documents.pdf.settings import READER, PdfSettings

__all__ = ["READER", "PdfSettings", "read_pdf"]
