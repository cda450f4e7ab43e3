"""Every picture passes one gate: size, type and header before any pixel, fixed words in every refusal (goals 16-19, 27)."""

import base64
import http.server
import io
import json
import random
import re
import struct
import threading
import time
import zlib

import pytest
from PIL import Image

from harness import PATIENCE, ask, error_of


def data_url(data, mime="image/png"):
    return "data:%s;base64,%s" % (mime, base64.b64encode(data).decode())


def look(url, **fields):
    return {**ask(**{"max_tokens": 2, **fields}), "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


def encode(kind="PNG", size=(16, 16), mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks, depth=8, color=2, idat=b""):
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


def jpeg(width, height):
    data = bytearray(encode("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at:at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def large_progressive():
    """4:4:4: libjpeg would take 250 MB for its coefficients."""
    data = bytearray(encode("JPEG", progressive=True, subsampling=0))
    at = data.index(b"\xff\xc2") + 5
    data[at:at + 4] = struct.pack(">HH", 6400, 6500)
    return bytes(data)


def webp(*chunks):
    """Kinds and contents in turn."""
    body = b"WEBP" + b"".join(k + struct.pack("<I", len(d)) + d + b"\0" * (len(d) % 2) for k, d in zip(chunks[::2], chunks[1::2]))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8l(width, height):
    data = b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + bytes(9)
    return b"VP8L" + struct.pack("<I", len(data)) + data


def gif_image(width, height):
    return struct.pack("<cHHHHB", b",", 0, 0, width, height, 0) + b"\2\2\x4c\1\0"


def gif(width, height, frames):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frames + b";"


ZEROS = zlib.compress(b"\0" * 50_000_000, 9)

BOMBS = {
    "PNG 30000 x 30000": (png(30_000, 30_000, idat=zlib.compress(b"\0" * 1000)), "image/png"),
    "PNG 2^31-1": (png(2**31 - 1, 2**31 - 1, idat=b""), "image/png"),
    "PNG 65535 x 1 x 16 bit": (png(65_535, 65_535, depth=16, color=6), "image/png"),
    "PNG of zero width": (png(0, 10), "image/png"),
    "zTXt of 50 MB": (png(16, 16, chunk(b"zTXt", b"a\0\0" + ZEROS), idat=zlib.compress(b"\0" * 49 * 16)), "image/png"),
    "iCCP of 50 MB": (png(16, 16, chunk(b"iCCP", b"a\0\0" + ZEROS), idat=zlib.compress(b"\0" * 49 * 16)), "image/png"),
    "IDAT of 50 MB": (png(16, 16, idat=ZEROS), "image/png"),
    "10,000 chunks": (png(16, 16, *[chunk(b"tEXt", b"a\0b")] * 10_000, idat=zlib.compress(b"\0" * 49 * 16)), "image/png"),
    "JPEG 65500 x 65500": (jpeg(65_500, 65_500), "image/jpeg"),
    "WebP 16383 x 16383": (webp(b"VP8X", b"\0\0\0\0" + b"\xfe\x3f\0" * 2), "image/webp"),
    "lossless WebP 16384 x 16384": (webp(b"VP8L", b"\x2f" + struct.pack("<I", 0x3fff | 0x3fff << 14) + bytes(8)), "image/webp"),
    "small frame of a WebP 2^24 x 2^24": (webp(b"VP8X", b"\2\0\0\0" + b"\xff" * 6, b"ANMF", bytes(6) + b"\x0f\0\0" * 2 + bytes(4) + vp8l(16, 16)),
                                          "image/webp"),
    "GIF 65535 x 65535": (gif(65_535, 65_535, gif_image(1, 1)), "image/gif"),
    "GIF frame of 65535 x 65535": (gif(1, 1, gif_image(65_535, 65_535)), "image/gif"),
    "GIF of 100,000 frames": (gif(16, 16, gif_image(1, 1) * 100_000), "image/gif"),
    "progressive JPEG 6500 x 6400": (large_progressive(), "image/jpeg"),
}


# The picture itself is small: what is too large may also be skipped unread.
HARMLESS = ("zTXt of 50 MB", "iCCP of 50 MB", "IDAT of 50 MB", "10,000 chunks", "GIF of 100,000 frames")


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_cheap(hostile, name):
    data, mime = BOMBS[name]
    before, start = hostile.memory_peak(), time.monotonic()
    status, _, answer = hostile.chat(look(data_url(data, mime)))
    assert time.monotonic() - start < 1.5 * PATIENCE
    assert hostile.memory_peak() - before < ((32 << 20) + 4 * len(data)) * PATIENCE
    allowed = (200, 400, 413) if name in HARMLESS else (400, 413) if mime in hostile.media_types() else (415,)
    assert status in allowed, answer


def progressive(scans):
    data = encode("JPEG", (64, 64), progressive=True)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    return data[:second] + data[first:second] * scans + data[second:]


def test_a_jpeg_of_many_scans_is_refused(hostile):
    start = time.monotonic()
    status, _, _ = hostile.chat(look(data_url(progressive(10_000), "image/jpeg")))
    assert status in (400, 413) or status == 200 and time.monotonic() - start < 1
    assert time.monotonic() - start < 3


ODD = {
    "1x1": (encode(size=(1, 1)), "image/png"),
    "1x4000": (encode(size=(1, 4000)), "image/png"),
    "4000x1": (encode(size=(4000, 1)), "image/png"),
    "400x800": (encode(size=(400, 800)), "image/png"),
    "gray": (encode(mode="L"), "image/png"),
    "palette": (encode(mode="P"), "image/png"),
    "bits": (encode(mode="1"), "image/png"),
    "alpha": (encode(mode="RGBA"), "image/png"),
    "16 bit": (encode(mode="I;16"), "image/png"),
    "CMYK": (encode("JPEG", mode="CMYK"), "image/jpeg"),
    "gray JPEG": (encode("JPEG", mode="L"), "image/jpeg"),
    "progressive": (encode("JPEG", (64, 64), progressive=True), "image/jpeg"),
    "WebP": (encode("WEBP"), "image/webp"),
    "lossless WebP": (encode("WEBP", lossless=True), "image/webp"),
    "animated WebP": (encode("WEBP", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")]), "image/webp"),
    "WebP with alpha": (encode("WEBP", mode="RGBA"), "image/webp"),
    "GIF": (encode("GIF", mode="P"), "image/gif"),
    "animated GIF": (encode("GIF", mode="P", save_all=True, append_images=[Image.new("P", (16, 16), 1)]), "image/gif"),
    "interlaced GIF": (encode("GIF", (40, 30), mode="P", interlace=True), "image/gif"),
    "APNG": (encode("PNG", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")]), "image/png"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_is_never_a_500(hostile, name):
    status, _, answer = hostile.chat(look(data_url(*ODD[name])))
    assert status in (200, 400, 413, 415), answer


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_cut_picture_is_never_a_500(hostile, kind):
    rng = random.Random(7)
    file = io.BytesIO()
    Image.frombytes("RGB", (48, 48), rng.randbytes(48 * 48 * 3)).save(file, kind)
    data = file.getvalue()
    for percent in range(1, 100, 3):
        status, _, answer = hostile.chat(look(data_url(data[:len(data) * percent // 100], "image/" + kind.lower())))
        assert status in (200, 400, 415), answer


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_damaged_picture_is_never_a_500(hostile, kind):
    rng = random.Random(11)
    data = encode(kind, (40, 40))
    for _ in range(40):
        broken = bytearray(data)
        for _ in range(rng.randrange(1, 8)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        status, _, answer = hostile.chat(look(data_url(bytes(broken), "image/" + kind.lower())))
        assert status in (200, 400, 413, 415), answer


NOT_PICTURES = {
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
    "HTML": b"<!doctype html><img src=http://127.0.0.1/>",
    "PDF": b"%PDF-1.7\n1 0 obj\n",
    "TIFF": b"II*\0\x08\0\0\0" + b"\0" * 64,
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 64,
    "GIF without a picture": b"GIF89a\x01\0\x01\0\0\0\0;",
    "WAVE": b"RIFF\x24\0\0\0WAVEfmt " + bytes(28),
    "BMP": b"BM" + b"\0" * 64,
    "ZIP": b"PK\x03\x04" + b"\0" * 64,
    "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "text": b"hello",
    "one byte": b"\x89",
}


@pytest.mark.parametrize("name", NOT_PICTURES)
def test_other_types_are_refused_by_their_bytes(hostile, name):
    for mime in ("image/png", "image/svg+xml"):
        status, _, answer = hostile.chat(look(data_url(NOT_PICTURES[name], mime)))
        assert status in (400, 415), answer
        error_of(answer)


GOOD = base64.b64encode(encode()).decode()
URLS = {
    "no comma": ("data:image/png;base64" + GOOD, 400),
    "no base64": ("data:image/png," + GOOD, 400),
    "percent encoding": ("data:image/png,%89PNG", 400),
    "parameter": ("data:image/png;charset=utf-8;base64," + GOOD, 400),
    "marker first": ("data:;base64;image/png," + GOOD, 400),
    "bad alphabet": ("data:image/png;base64," + GOOD[:8] + "!" + GOOD[9:], 400),
    "url-safe alphabet": ("data:image/png;base64,-_-_", 400),
    "blank": ("data:image/png;base64, " + GOOD, 400),
    "newline": ("data:image/png;base64," + GOOD[:40] + "\n" + GOOD[40:], 400),
    "trailing newline": ("data:image/png;base64," + GOOD + "\n", 400),
    "no padding": ("data:image/png;base64,QQ", 400),
    "too much padding": ("data:image/png;base64,QQ====", 400),
    "three equals": ("data:image/png;base64,Q===", 400),
    "padding inside": ("data:image/png;base64,QQ==QQ==", 400),
    "stray bits": ("data:image/png;base64,QR==", 400),
    "NUL": ("data:image/png;base64,\0" + GOOD, 400),
    "empty": ("data:image/png;base64,", 400),
    "nothing": ("", 400),
    "only the scheme": ("data:", 400),
    "bad type": ("data:image;base64," + GOOD, 400),
    "bad type 2": ("data:/png;base64," + GOOD, 400),
    "bad type 3": ("data:image/p ng;base64," + GOOD, 400),
    "long type": ("data:image/" + "x" * 100 + ";base64," + GOOD, 400),
    "other scheme": ("ftp://127.0.0.1/x.png", 400),
    "path": ("/etc/passwd", 400),
    "good": ("data:image/png;base64," + GOOD, 200),
    "upper case": ("DATA:IMAGE/PNG;BASE64," + GOOD, 200),
}


@pytest.mark.parametrize("name", URLS)
def test_data_urls_are_read_strictly(hostile, name):
    url, expected = URLS[name]
    status, _, answer = hostile.chat(look(url))
    assert status == expected, answer
    if expected != 200:
        assert error_of(answer)["param"] == "messages[0].content[0].image_url"


def test_a_picture_above_the_cap_is_413_undecoded(hostile):
    status, _, answer = hostile.chat(look("data:image/png;base64," + "!" * (28 << 20)))
    assert status == 413 and error_of(answer)["param"] == "messages[0].content[0].image_url"


def test_a_body_above_the_cap_is_413(hostile):
    status, _, answer = hostile.chat(look("data:image/png;base64," + "A" * (33 << 20)))
    assert status == 413
    error_of(answer)


def test_more_pictures_than_allowed_are_400(hostile):
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + GOOD}}
    status, _, answer = hostile.chat({"messages": [{"role": "user", "content": [part] * 17}]})
    assert status == 400 and "--limit-mm-per-prompt" in error_of(answer)["message"]


# ---- no URL is ever opened -------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def canary():
    class Counter(http.server.BaseHTTPRequestHandler):
        hits = 0

        def do_GET(self):
            Counter.hits += 1
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counter)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield listener.server_address[1], Counter
    listener.shutdown()


FETCH = ["http://127.0.0.1:%d/x.png", "https://127.0.0.1:%d/x.png", "HTTP://localhost:%d/", "http://[::1]:%d/", "http://2130706433:%d/",
         "http://0x7f000001:%d/", "http://a@127.0.0.1:%d/", "http://127.0.0.1:%d\\@example.com/", "http://169.254.169.254/latest/%d"]


@pytest.mark.parametrize("url", FETCH)
def test_http_urls_are_refused_and_never_fetched(server, canary, url):
    port, counter = canary
    status, _, answer = server.chat(look(url % port))
    assert status == 400 and "--allowed-media-domains" in error_of(answer)["message"]
    assert counter.hits == 0


def test_links_in_text_are_not_fetched(server, canary):
    port, counter = canary
    assert server.chat(ask("![x](http://127.0.0.1:%d/x.png) <img src='http://127.0.0.1:%d/'>" % (port, port)))[0] == 200
    assert counter.hits == 0


@pytest.mark.parametrize("url", ["file:///etc/passwd", "FILE:///proc/self/environ", "file://localhost/etc/passwd", "file:/etc/passwd"])
def test_file_urls_are_refused_and_never_read(server, url):
    status, _, answer = server.chat(look(url))
    assert status == 400 and "--allowed-local-media-path" in error_of(answer)["message"]


# ---- what a refusal says -----------------------------------------------------------------------------------------------------

LEAKS = re.compile(r"0x[0-9a-fA-F]{4,}|/work|/home|/usr|/tmp|\.c:\d|libpng|libjpeg|libwebp|IDAT|CRC|Traceback|CANARY")


def test_refusals_use_fixed_words(server):
    secret = "CANARY7731"
    urls = [data_url(d, m) for d, m in BOMBS.values()] + [data_url(d) for d in NOT_PICTURES.values()] + [u for u, s in URLS.values() if s != 200]
    urls += ["data:image/png;base64," + secret, "data:" + secret + ";base64," + GOOD, "http://" + secret, "file:///" + secret, secret]
    for url in urls:
        status, _, answer = server.chat(look(url))
        if status != 200:
            assert not LEAKS.search(json.dumps(answer)), answer
