"""Media types: from a name, from the first bytes, and back to a suffix.

The table is our own, because Python's ``mimetypes`` reads the machine's and has no ``.m4b``. Types that are not audio
are here too, so that a type rule can refuse a picture or a text that was renamed to ``.mp3``. A container is told,
not what is in it: ``accept(...)`` of ``audiostore.audio`` decodes.
"""

# ruff: noqa: PLR2004 - the numbers are those of the formats

from __future__ import annotations

import re

SNIFF_BYTES = 8192
"""How much of the head ``sniff`` wants to see; it makes the best of less."""

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")

# suffix -> type; the first suffix of a type is the one that files without a suffix get.
_SUFFIXES = {
    "wav": "audio/wav",
    "wave": "audio/wav",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "m4b": "audio/mp4",
    "mp4": "audio/mp4",
    "m4r": "audio/mp4",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "spx": "audio/ogg",
    "webm": "audio/webm",
    "weba": "audio/webm",
    "mka": "audio/x-matroska",
    "mkv": "video/x-matroska",
    "aiff": "audio/aiff",
    "aif": "audio/aiff",
    "aifc": "audio/aiff",
    "caf": "audio/x-caf",
    "amr": "audio/amr",
    "awb": "audio/amr-wb",
    "3gp": "audio/3gpp",
    "3gpp": "audio/3gpp",
    "3g2": "audio/3gpp2",
    "wma": "audio/x-ms-wma",
    "asf": "audio/x-ms-wma",
    "mid": "audio/midi",
    "midi": "audio/midi",
    "au": "audio/basic",
    "snd": "audio/basic",
    "mov": "video/quicktime",
    "avi": "video/x-msvideo",
    "ogv": "video/ogg",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "gz": "application/gzip",
    "exe": "application/vnd.microsoft.portable-executable",
    "json": "application/json",
    "m3u8": "application/vnd.apple.mpegurl",
    "m3u": "application/vnd.apple.mpegurl",
    "txt": "text/plain",
    "html": "text/html",
    "htm": "text/html",
    "xml": "text/xml",
}
_SUFFIX_OF = {kind: f".{suffix}" for suffix, kind in reversed(_SUFFIXES.items())}

_ALIASES = {
    "audio/wav": "audio/x-wav audio/wave audio/vnd.wave audio/x-pn-wav",
    "audio/mpeg": "audio/mp3 audio/x-mp3 audio/x-mpeg audio/mpeg3 audio/x-mpeg-3 audio/mpg",
    "audio/mp4": "audio/x-m4a audio/m4a audio/x-m4b audio/m4b audio/x-mp4",
    "audio/aac": "audio/x-aac audio/aacp audio/x-hx-aac-adts",
    "audio/flac": "audio/x-flac",
    "audio/ogg": "audio/x-ogg application/ogg audio/opus audio/x-opus audio/vorbis audio/x-vorbis+ogg",
    "audio/webm": "audio/x-webm",
    "audio/x-matroska": "audio/matroska",
    "audio/aiff": "audio/x-aiff",
    "audio/x-caf": "audio/caf",
    "audio/midi": "audio/mid audio/x-mid audio/x-midi",
    "audio/x-ms-wma": "audio/wma",
    # A playlist is a text that names other files: under this name no rule "audio/*" lets it in.
    "application/vnd.apple.mpegurl": "audio/mpegurl audio/x-mpegurl application/x-mpegurl",
}
_CANONICAL = {alias: kind for kind, aliases in _ALIASES.items() for alias in aliases.split()}


def normalise(content_type: str) -> str:
    """Give a media type in its one form: lower case, without parameters, under the usual name.

    >>> normalise("audio/X-WAV; rate=44100"), normalise("audio/mp3")
    ('audio/wav', 'audio/mpeg')

    Raises:
        ValueError: not ``type/subtype``, or with a character that could break out of a header.
    """
    if not isinstance(content_type, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a media type is text, not {type(content_type).__name__}")
    kind = content_type.partition(";")[0].strip(" ").lower()
    if not _TYPE.fullmatch(kind) or any(each < " " or each == "\x7f" for each in content_type):
        raise ValueError(f"not a media type: {content_type[:80]!r} (write e.g. 'audio/mpeg')")
    return _CANONICAL.get(kind, kind)


def type_of_name(filename: str) -> str | None:
    """Give the media type that a filename's last suffix promises, or None.

    >>> type_of_name("Kapitel 1.M4B"), type_of_name("notes"), type_of_name(".mp3")
    ('audio/mp4', None, None)
    """
    return _SUFFIXES.get(_suffix(filename))


def has_suffix(filename: str) -> bool:
    """Tell whether a filename ends in a suffix of the table (``"Vol. 2"`` does not).

    >>> has_suffix("take.mp3"), has_suffix("Vol. 2")
    (True, False)
    """
    return _suffix(filename) in _SUFFIXES


def suffix_for(content_type: str) -> str:
    """Give the suffix for a file of this type, with its dot; empty for a type that has none.

    >>> suffix_for("audio/mpeg"), suffix_for("application/octet-stream")
    ('.mp3', '')
    """
    return _SUFFIX_OF.get(content_type, "")


def _suffix(filename: str) -> str:
    name = filename.replace("\\", "/").rpartition("/")[2]
    stem, _, suffix = name.rpartition(".")
    return suffix.strip().lower() if stem else ""


def sniff(head: bytes) -> str | None:
    r"""Give the media type of a file by its first ``SNIFF_BYTES``; None when nothing is sure.

    Only marks at offset 0 count: an mp3 inside a web page is a web page.

    >>> sniff(b"RIFF\x24\0\0\0WAVEfmt "), sniff(b"Dear diary,\n")
    ('audio/wav', 'text/plain')
    """
    head = bytes(head[:SNIFF_BYTES])
    for look in (_tagged, _container, _magic, _mp3, _adts, _text):
        if kind := look(head):
            return kind
    return None


def _tagged(head: bytes) -> str | None:
    """ID3v2: what follows the tag decides, if it can be seen; the tag alone is the mark of an mp3."""
    if not head.startswith(b"ID3") or len(head) < 10 or head[3] not in (2, 3, 4) or max(head[6:10]) > 0x7F:
        return None
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    # A tag may be followed by padding that its size does not count.
    after = head[10 + size :].lstrip(b"\0")
    if after.startswith(b"fLaC"):
        return "audio/flac"
    return _adts(after) or "audio/mpeg"


_RIFF = {b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo", b"WEBP": "image/webp", b"RMID": "audio/midi"}
_FORM = {b"AIFF": "audio/aiff", b"AIFC": "audio/aiff"}
_BRANDS = {
    b"qt  ": "video/quicktime",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"crx ": "image/x-canon-cr3",
}
_VIDEO_CODECS = (b"V_VP8", b"V_VP9", b"V_AV1", b"V_MPEG")


def _container(head: bytes) -> str | None:
    """Formats whose first mark needs a second look."""
    mark, form = head[:4], head[8:12]
    if mark in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return _RIFF.get(form)
    if mark == b"FORM":
        return _FORM.get(form)
    if head[4:8] == b"ftyp" and head[:2] == b"\0\0" and len(form) == 4:
        # Phones say 3gp4 … 3gp9 and 3g2a …; M4A, M4B, isom, mp42, dash and their like are all MPEG-4.
        by_family = {b"3gp": "audio/3gpp", b"3g2": "audio/3gpp2"}.get(form[:3])
        return by_family or _BRANDS.get(form, "audio/mp4")
    if head.startswith(b"OggS\0"):
        return "video/ogg" if b"\x80theora" in head[:128] else "audio/ogg"
    if mark == b"\x1aE\xdf\xa3":
        kind = "video" if any(codec in head for codec in _VIDEO_CODECS) else "audio"
        return f"{kind}/webm" if b"webm" in head[:128] else f"{kind}/x-matroska"
    return None


# Marks that a word could begin with ("caffeine") go on to the first byte that no text has.
_MAGIC = (
    (b"fLaC\0", "audio/flac"),
    (b"fLaC\x80", "audio/flac"),
    (b"caff\0", "audio/x-caf"),
    (b"#!AMR-WB\n", "audio/amr-wb"),
    (b"#!AMR\n", "audio/amr"),
    (b"MThd\0", "audio/midi"),
    (b".snd\0", "audio/basic"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "audio/x-ms-wma"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\x7fELF", "application/x-elf"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"#EXTM3U", "application/vnd.apple.mpegurl"),
    (b"\xef\xbb\xbf#EXTM3U", "application/vnd.apple.mpegurl"),
)


def _magic(head: bytes) -> str | None:
    return next((kind for mark, kind in _MAGIC if head.startswith(mark)), None)


def _mp3(head: bytes) -> str | None:
    """A frame header alone is 11 set bits, which noise has too: the next frame must follow where it should."""
    length = _mp3_frame(head)
    if not length:
        return None
    following = head[length : length + 4]
    alike = len(following) < 4 or (_mp3_frame(following) and not (following[1] ^ head[1]) & 0xFE)
    return "audio/mpeg" if alike else None


_MP3_KBPS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _mp3_frame(head: bytes) -> int:
    """Give the length in bytes of the MPEG 1/2/2.5 layer III frame that starts here; 0 if none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    kbps, hz = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer != 1 or kbps in (0, 15) or hz == 3 or head[3] & 3 == 2:
        return 0
    samples = 144 if version == 3 else 72
    return samples * 1000 * _MP3_KBPS[version == 3][kbps - 1] // _MP3_HZ[version][hz] + (head[2] >> 1 & 1)


def _adts(head: bytes) -> str | None:
    length = _adts_frame(head)
    if not length:
        return None
    following = head[length : length + 7]
    # The longest frames that are written are shorter than this; so here, the next one can be seen.
    lone = len(following) < 7 and len(head) < 2048
    return "audio/aac" if lone or _adts_frame(following) else None


def _adts_frame(head: bytes) -> int:
    """Give the length in bytes of the ADTS frame that starts here; 0 if none does."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


_BINARY = bytes(each for each in range(32) if each not in b"\t\n\x0c\r\x1b")
_MARKUP = {
    "text/html": (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--"),
    "image/svg+xml": (b"<svg",),
    "text/xml": (b"<?xml",),
}


def _text(head: bytes) -> str | None:
    """As browsers tell: bytes without a binary control code are text, in whatever encoding."""
    if head.startswith((b"\xfe\xff", b"\xff\xfe")):
        return "text/plain"
    if not head or len(head.translate(None, _BINARY)) != len(head):
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:32].lower()
    return next((kind for kind, marks in _MARKUP.items() if start.startswith(marks)), "text/plain")
