"""Small picture files of every kind that image-codec reads, and what Pillow makes of them."""
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from common import fnv64, picture

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(samples, depth):
    """u16 [h, w, c] -> scanlines with filter 0 and 1 in turn (1 only where a sample is a whole number of bytes)."""
    out = bytearray()
    for y, row in enumerate(samples):
        flat = row.reshape(-1)
        if depth == 16:
            line = flat.astype(">u2").tobytes()
        elif depth == 8:
            line = flat.astype("u1").tobytes()
        else:
            bits = np.unpackbits(flat.astype("u1")[:, None], axis=1)[:, 8 - depth:].reshape(-1)
            line = np.packbits(bits).tobytes()
        if depth >= 8 and y % 2:
            step = row.shape[-1] * depth // 8
            raw = np.frombuffer(line, "u1").astype(int)
            raw[step:] -= np.frombuffer(line, "u1").astype(int)[:-step]
            out += b"\x01" + (raw % 256).astype("u1").tobytes()
        else:
            out += b"\0" + line
    return bytes(out)


def png(samples, colour, depth, interlace=False, extra=(), after=()):
    """samples: integers [h, w, channels]. extra: chunks before the pixels, after: chunks behind them."""
    h, w, _ = samples.shape
    if interlace:
        data = b"".join(pack_rows(samples[y0::dy, x0::dx], depth) for x0, y0, dx, dy in ADAM7 if samples[y0::dy, x0::dx].size)
    else:
        data = pack_rows(samples, depth)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlace))
            + b"".join(chunk(*e) for e in extra) + chunk(b"IDAT", zlib.compress(data, 9)) + b"".join(chunk(*e) for e in after)
            + chunk(b"IEND", b""))


def samples(w, h, channels, depth, seed):
    base = np.concatenate([picture(w, h, seed), picture(w, h, seed + 1)], axis=2)[:, :, :channels].astype(np.uint32)
    if depth == 16:
        return base * 257 ^ (picture(w, h, seed + 2)[:, :, :1].astype(np.uint32) & 0x7F)
    return base >> (8 - depth)


def tiff(orientation, order=">"):
    mark = b"MM" if order == ">" else b"II"
    return mark + struct.pack(order + "HIHHHIHH", 42, 8, 1, 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"


def jpeg(array, mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, "JPEG", **options)
    return out.getvalue()


def png_files():
    w, h = 37, 23
    for colour, depths in ((GREY, (1, 2, 4, 8, 16)), (RGB, (8, 16)), (PALETTE, (1, 2, 4, 8)), (GREY_ALPHA, (8, 16)), (RGB_ALPHA, (8, 16))):
        for depth in depths:
            for interlace in (False, True):
                s = samples(w, h, CHANNELS[colour], depth, colour * 16 + depth)
                extra = []
                if colour == PALETTE:
                    extra = [(b"PLTE", picture(1 << depth, 1, 5).tobytes())]
                yield f"png-{colour}-{depth}{'-i' if interlace else ''}.png", png(s, colour, depth, interlace, extra)
    s = samples(w, h, 1, 4, 9)
    plte = (b"PLTE", picture(16, 1, 6).tobytes())
    yield "png-palette-alpha.png", png(s, PALETTE, 4, True, [plte, (b"tRNS", bytes([0, 255, 128, 3, 77, 200, 254, 1]))])
    yield "png-grey-key.png", png(samples(w, h, 1, 8, 3) & 0xF0, GREY, 8, False, [(b"tRNS", struct.pack(">H", 0x30))])
    key = samples(w, h, 3, 8, 4) & 0xC0
    yield "png-rgb-key.png", png(key, RGB, 8, False, [(b"tRNS", struct.pack(">HHH", *key[3, 5]))])
    for name, (pw, ph) in {"1x1": (1, 1), "1x9": (1, 9), "9x1": (9, 1), "3x2": (3, 2)}.items():
        yield f"png-{name}-i.png", png(samples(pw, ph, 3, 8, 8), RGB, 8, True)
    long = (np.arange(65535, dtype=np.uint32) // 91 % 256)[:, None, None]
    yield "png-1x65535.png", png(long, GREY, 8)
    yield "png-65535x1.png", png(long.transpose(1, 0, 2), GREY, 8)
    for o in (3, 6):
        yield f"png-exif-{o}.png", png(samples(w, h, 3, 8, 20), RGB, 8, o == 6, [(b"eXIf", tiff(o, "<"))])
    yield "png-noise-chunks.png", png(samples(w, h, 3, 8, 21), RGB, 8, False,
                                      [(b"gAMA", struct.pack(">I", 100000)), (b"tEXt", b"Comment\0hello")],
                                      [(b"teSt", bytes(100))] * 50)


def jpeg_files():
    w, h = 45, 31
    rgb = picture(w, h, 40)
    for sub in (0, 1, 2):
        yield f"jpeg-sub{sub}.jpg", jpeg(rgb, quality=85, subsampling=sub)
    yield "jpeg-progressive.jpg", jpeg(rgb, quality=80, progressive=True)
    yield "jpeg-progressive-grey.jpg", jpeg(rgb[:, :, 0].copy(), "L", quality=80, progressive=True)
    yield "jpeg-grey.jpg", jpeg(rgb[:, :, 1].copy(), "L")
    yield "jpeg-restart.jpg", jpeg(rgb, quality=70, restart_marker_blocks=2)
    yield "jpeg-rgb.jpg", jpeg(rgb, quality=90, keep_rgb=True)
    cmyk = np.concatenate([rgb, picture(w, h, 41)[:, :, :1]], axis=2)
    plain = jpeg(cmyk, "CMYK", quality=90)
    yield "jpeg-cmyk.jpg", plain
    at = plain.index(b"Adobe") + 11
    yield "jpeg-ycck.jpg", plain[:at] + b"\x02" + plain[at + 1:]
    for name, (pw, ph) in {"1x1": (1, 1), "1x50": (1, 50), "50x1": (50, 1), "16x16": (16, 16), "17x33": (17, 33)}.items():
        yield f"jpeg-{name}.jpg", jpeg(picture(pw, ph, 42))
    for o in range(1, 9):
        yield f"jpeg-exif-{o}.jpg", jpeg(picture(24, 17, 43), exif=b"Exif\0\0" + tiff(o, "<>"[o % 2]))


def expected(data):
    """As transformers' convert_to_rgb does it; 16-bit grey keeps its high byte (Pillow would clip at 255)."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.asarray(image.convert("RGB"))


def make(here):
    folder = os.path.join(here, "decode")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(here, "decode.txt"), "w") as table:
        table.write("# file w h hash\n")
        for name, data in [*png_files(), *jpeg_files()]:
            pixels = expected(data)
            with open(os.path.join(folder, name), "wb") as out:
                out.write(data)
            if name.endswith(".jpg"):
                with open(os.path.join(folder, name[:-4] + ".rgb"), "wb") as out:
                    out.write(pixels.tobytes())
            table.write(f"{name} {pixels.shape[1]} {pixels.shape[0]} {fnv64(pixels.tobytes()):016x}\n")
