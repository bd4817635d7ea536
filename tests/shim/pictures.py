"""The pictures that the examples of the API name, drawn: a size, a mode and a format each, no two alike."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image, ImageDraw

SHAPES = {
    "bear": ("RGB", (512, 512), "JPEG"),
    "room": ("RGB", (640, 512), "JPEG"),
    "mask": ("L", (640, 512), "PNG"),
    "face": ("RGB", (384, 512), "PNG"),
    "style": ("RGB", (512, 512), "PNG"),
    "logo": ("RGBA", (256, 256), "PNG"),
}


@cache
def picture(name: str) -> bytes:
    """The file of that name."""
    mode, size, form = SHAPES[name]
    image = Image.new(mode, size)
    if name == "mask":
        ImageDraw.Draw(image).rectangle((200, 150, 420, 380), fill=255)
    else:
        shade = 40 * (1 + list(SHAPES).index(name))
        ImageDraw.Draw(image).ellipse((20, 20, size[0] - 20, size[1] - 20), fill=(shade, 200 - shade // 2, 90))
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def base64_of(name: str) -> str:
    return base64.b64encode(picture(name)).decode()


def media_of(name: str) -> str:
    return f"image/{SHAPES[name][2].lower()}"


def file_name(name: str) -> str:
    return f"{name}.{SHAPES[name][2].lower()}"


def tiny(extension: str = "PNG", color: str = "teal") -> bytes:
    """A picture of 16×16 pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(buffer, extension)
    return buffer.getvalue()


@contextmanager
def served_pictures() -> Iterator[str]:
    """A web server that has them under their names; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = picture(self.path.removeprefix("/"))
            self.send_response(200)
            self.send_header("Content-Type", media_of(self.path.removeprefix("/")))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is told."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
