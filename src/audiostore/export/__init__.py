"""Export: a book, its chapters and sections, becomes files to hand over; in a folder, as a ZIP, or back in the store.

>>> from audiostore.export import Book
>>> Book.from_project('{"title": "Tides", "chapters": []}', owner="alice").title
'Tides'

Audio needs the extra: ``pip install "audiostore[audio]"``. Metadata alone does not.
"""

from audiostore.export.books import Book
from audiostore.export.exporting import export
from audiostore.export.exports import Exports, ExportSweep
from audiostore.export.options import ExportOptions
from audiostore.export.results import Export, ExportedFile, MissingSection
from audiostore.export.sections import BookChapter, BookSection
from audiostore.export.zipping import ZipStream

__all__ = [
    "Book",
    "BookChapter",
    "BookSection",
    "Export",
    "ExportOptions",
    "ExportSweep",
    "ExportedFile",
    "Exports",
    "MissingSection",
    "ZipStream",
    "export",
]
