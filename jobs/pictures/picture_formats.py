"""The formats of init images: the one list of what is opened, and names for what is not."""

import re

from pillow_heif import register_heif_opener

FORMATS = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WebP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "HEIC": "image/heic",
}
"""Name -> media type. Formats that are not here are never handed to a decoder: most of Pillow's
past vulnerabilities were in rare ones."""
PILLOW_NAMES = tuple("HEIF" if name == "HEIC" else name.upper() for name in FORMATS)
*_first, _last = FORMATS
IN_WORDS = f"{', '.join(_first)} or {_last}"

# Without the thumbnails, depth maps and other pictures of a file.
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)

_OTHERS = {
    "an SVG": rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg\b",
    "a web page": rb"\s*<(!doctype html|html)\b",
    "a Photoshop file (PSD)": rb"8BPS",
    "an EPS or PostScript file": rb"%!PS|\xc5\xd0\xd3\xc6",
    "a PDF": rb"%PDF-",
    "an icon (ICO)": rb"\0\0[\x01\x02]\0(?!\0\0)",
    "a JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "a JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "an OpenEXR file": rb"v/1\x01",
    "a DDS file": rb"DDS ",
    "a ZIP archive": rb"PK\x03\x04",
    "a gzip archive": rb"\x1f\x8b",
    "a BigTIFF": rb"II\+\0|MM\0\+",
    "a video": rb"....ftyp(?!avi|hei|hev|mif1|msf1)|\x1aE\xdf\xa3|RIFF....AVI ",
    "base64 twice": rb"iVBORw0KGgo|/9j/|UklGR|R0lGOD|data:",
}
_NAMED = {name: re.compile(start, re.DOTALL | re.IGNORECASE) for name, start in _OTHERS.items()}


def begins_as_one(data: bytes) -> bool:
    """Whether a file that could not be opened begins as an AVIF or HEIC, whose headers are long."""
    return data[4:12] in (b"ftypavif", b"ftypavis", b"ftypheic", b"ftypheix", b"ftypmif1")


def name_of_other(data: bytes) -> str:
    """What a file that is in none of the formats is, such as `an SVG`; empty if it is not known."""
    start = data[:1024]
    return next((name for name, known in _NAMED.items() if known.match(start)), "")
