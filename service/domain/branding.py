"""What a tenant may put on its connect pages: a logo, and a colour that text can be read on."""

import base64
import re

MAX_LOGO_BYTES = 16 * 1024
MIN_CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3, for text of any size."""
COLOUR = re.compile(r"#[0-9a-f]{6}", re.ASCII | re.IGNORECASE)


def logo_of(content: bytes) -> str:
    """Return a data URI of the image. Raise ValueError.

    By its first bytes: a PNG, a JPEG or a WebP. These are pixels only; an SVG can hold scripts.
    """
    if len(content) > MAX_LOGO_BYTES:
        raise ValueError(f"must be at most {MAX_LOGO_BYTES} bytes")
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        kind = "png"
    elif content.startswith(b"\xff\xd8\xff"):
        kind = "jpeg"
    elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        kind = "webp"
    else:
        raise ValueError("must be a PNG, JPEG or WebP image")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def colour_of(text: str) -> str:
    """Return the colour in lower case. Raise ValueError unless white text on it can be read."""
    if not COLOUR.fullmatch(text):
        raise ValueError("must be a colour of the form #rrggbb")
    if (contrast := contrast_with_white(text)) < MIN_CONTRAST:
        raise ValueError(
            f"has a contrast of {contrast:.1f} to the white text on it; {MIN_CONTRAST} is needed: "
            "take a darker colour"
        )
    return text.lower()


def contrast_with_white(colour: str) -> float:
    """Return the contrast ratio of #rrggbb to white, from 1 to 21, by WCAG's formula."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
