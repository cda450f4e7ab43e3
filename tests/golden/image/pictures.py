"""Small picture files of every kind that image-codec reads, and what Pillow makes of them."""
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms, ImageOps

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


def webp(array, mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, "WEBP", **options)
    return out.getvalue()


def riff_chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)


def riff(*chunks):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def u24(n):
    return struct.pack("<I", n)[:3]


def vp8x(flags, w, h):
    return riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + u24(w - 1) + u24(h - 1))


def frame_chunks(data):
    """The chunks of the picture in a still WebP file: [ALPH] VP8, or VP8L."""
    out, at = b"", 12
    while at < len(data):
        n = struct.unpack_from("<I", data, at + 4)[0]
        step = 8 + n + (n & 1)
        if data[at:at + 4] in (b"ALPH", b"VP8 ", b"VP8L"):
            out += data[at:at + step]
        at += step
    return out


def anmf(x, y, w, h, chunks):
    return riff_chunk(b"ANMF", u24(x // 2) + u24(y // 2) + u24(w - 1) + u24(h - 1) + u24(100) + b"\0" + chunks)


EXIF, ALPHA, ANIMATION, PROFILE = 8, 16, 2, 32


def webp_files():
    w, h = 45, 31
    rgb = picture(w, h, 60)
    alpha = np.concatenate([rgb, picture(w, h, 61)[:, :, :1]], axis=2)
    yield "webp-lossy.webp", webp(rgb, quality=80)
    yield "webp-lossy-low.webp", webp(picture(64, 48, 62), quality=5, method=6)
    yield "webp-lossy-alpha.webp", webp(alpha, "RGBA", quality=70)
    yield "webp-lossless.webp", webp(rgb, lossless=True)
    yield "webp-lossless-alpha.webp", webp(alpha, "RGBA", lossless=True, exact=True)
    yield "webp-lossless-palette.webp", webp(rgb & 0xC0, lossless=True)
    for name, (pw, ph) in {"1x1": (1, 1), "1x50": (1, 50), "50x1": (50, 1), "17x33": (17, 33)}.items():
        yield f"webp-{name}.webp", webp(picture(pw, ph, 63), quality=90)
    turned = frame_chunks(webp(picture(24, 17, 64), lossless=True))
    for o in (1, 3, 6, 8):
        prefix = b"Exif\0\0" if o == 3 else b""
        exif = riff_chunk(b"EXIF", prefix + tiff(o, "<>"[o % 2]))
        yield f"webp-exif-{o}.webp", riff(vp8x(EXIF, 24, 17), *([exif, turned] if o == 8 else [turned, exif]))
    yield "webp-exif-unflagged.webp", riff(vp8x(0, 24, 17), turned, riff_chunk(b"EXIF", tiff(6)))
    lossy_alpha, lossless_alpha = frame_chunks(webp(alpha, "RGBA", quality=70)), frame_chunks(webp(alpha, "RGBA", lossless=True, exact=True))
    yield "webp-alpha-unflagged.webp", riff(vp8x(0, w, h), lossy_alpha)
    yield "webp-alpha-flagged-only.webp", riff(vp8x(ALPHA, w, h), frame_chunks(webp(rgb, quality=80)))
    anim = riff_chunk(b"ANIM", b"\x10\x20\x30\xff\0\0")
    second = anmf(0, 0, w, h, lossless_alpha)
    yield "webp-animated.webp", riff(vp8x(ANIMATION | ALPHA, w, h), anim, anmf(0, 0, w, h, lossy_alpha), second)
    yield "webp-animated-corner.webp", riff(vp8x(ANIMATION | ALPHA, 60, 50), anim, anmf(14, 18, w, h, lossless_alpha), second)
    yield "webp-animated-opaque.webp", riff(vp8x(ANIMATION, 60, 50), anim, anmf(2, 4, w, h, frame_chunks(webp(rgb, quality=80))), second)
    yield "webp-chunks.webp", riff(vp8x(4 | EXIF, 24, 17), riff_chunk(b"XMP ", b"<x/>"), riff_chunk(b"teSt", b"odd"), turned,
                                   riff_chunk(b"EXIF", tiff(6)))


def lzw(indices, bits):
    """GIF's LZW with a real dictionary, in sub-blocks."""
    clear, out, held, n_held = 1 << bits, bytearray([bits]), 0, 0
    packed = bytearray()

    def put(code, size):
        nonlocal held, n_held
        held |= code << n_held
        n_held += size
        while n_held >= 8:
            packed.append(held & 255)
            held >>= 8
            n_held -= 8

    size, table = bits + 1, {bytes([i]): i for i in range(clear)}
    put(clear, size)
    word, following = b"", clear + 2
    for i in indices:
        longer = word + bytes([i])
        if longer in table:
            word = longer
            continue
        put(table[word], size)
        if following == 4096:
            put(clear, size)
            size, table, following = bits + 1, {bytes([k]): k for k in range(clear)}, clear + 2
        else:
            table[longer] = following
            if following == 1 << size:
                size += 1
            following += 1
        word = bytes([i])
    put(table[word], size)
    put(clear + 1, size)
    if n_held:
        packed.append(held & 255)
    for at in range(0, len(packed), 255):
        piece = packed[at:at + 255]
        out += bytes([len(piece)]) + piece
    return bytes(out) + b"\0"


def gif_frame(indices, x, y, bits, palette=b"", transparent=None, interlaced=False):
    h, w = indices.shape
    rows = indices
    if interlaced:
        rows = np.concatenate([indices[begin::step] for begin, step in ((0, 8), (4, 8), (2, 4), (1, 2)) if indices[begin::step].size])
    control = b"" if transparent is None else b"\x21\xf9\x04" + bytes([1, 5, 0, transparent]) + b"\0"
    depth = (len(palette) // 3).bit_length() - 2
    flags = (0x80 | depth if palette else 0) | (0x40 if interlaced else 0)
    return control + b"," + struct.pack("<HHHHB", x, y, w, h, flags) + palette + lzw(rows.reshape(-1).tolist(), bits)


def gif(w, h, palette, *frames, version=b"89a", background=0, extra=b""):
    depth = (len(palette) // 3).bit_length() - 2
    flags = 0x80 | depth | 0x70 if palette else 0x70
    return b"GIF" + version + struct.pack("<HHBBB", w, h, flags, background, 0) + palette + extra + b"".join(frames) + b";"


def gif_files():
    w, h = 45, 31
    for bits in (1, 2, 4, 8):
        palette = picture(1 << bits, 1, 70 + bits).tobytes()
        indices = picture(w, h, 71)[:, :, 0] >> (8 - bits)
        code = max(bits, 2)
        yield f"gif-{bits}.gif", gif(w, h, palette, gif_frame(indices, 0, 0, code), version=b"87a" if bits == 1 else b"89a")
        yield f"gif-{bits}-i.gif", gif(w, h, palette, gif_frame(indices, 0, 0, code, interlaced=True, transparent=1))
    four, other = picture(4, 1, 72).tobytes(), picture(4, 1, 73).tobytes()
    two = picture(20, 12, 74)[:, :, 1] >> 6
    comment = b"\x21\xfe\x05hello\x03abc\0" + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    yield "gif-local.gif", gif(20, 12, four, gif_frame(two, 0, 0, 2, other), extra=comment)
    yield "gif-local-only.gif", gif(20, 12, b"", gif_frame(two, 0, 0, 2, other))
    yield "gif-grey.gif", gif(20, 12, b"", gif_frame(two, 0, 0, 2))
    yield "gif-corner.gif", gif(30, 25, four, gif_frame(two, 7, 9, 2), background=2)
    yield "gif-corner-transparent.gif", gif(30, 25, four, gif_frame(two, 7, 9, 2, transparent=2, interlaced=True), background=1)
    yield "gif-beyond.gif", gif(10, 10, four, gif_frame(two, 5, 3, 2))
    yield "gif-no-screen.gif", gif(0, 0, four, gif_frame(two, 0, 0, 2))
    yield "gif-past-palette.gif", gif(20, 12, four, gif_frame(two * 2, 0, 0, 3))
    yield "gif-transparent-past.gif", gif(30, 12, four, gif_frame(two, 0, 0, 2, transparent=200))
    yield "gif-animated.gif", gif(20, 12, four, gif_frame(two, 0, 0, 2), *[gif_frame(two[:4, :5], 3, 2, 2, transparent=k) for k in range(3)])
    for name, (pw, ph) in {"1x1": (1, 1), "1x50": (1, 50), "50x1": (50, 1), "5x3-i": (5, 3)}.items():
        yield f"gif-{name}.gif", gif(pw, ph, four, gif_frame(picture(pw, ph, 75)[:, :, 2] >> 6, 0, 0, 2, interlaced=name.endswith("i")))
    long = (np.arange(120 * 90) % 251).astype(np.uint8).reshape(90, 120) ^ picture(120, 90, 76)[:, :, 0]
    yield "gif-long.gif", gif(120, 90, picture(256, 1, 77).tobytes(), gif_frame(long, 0, 0, 8))
    yield "gif-pillow.gif", pillow_gif(Image.fromarray(picture(60, 40, 78)).quantize(100))


def pillow_gif(image):
    out = io.BytesIO()
    image.save(out, "GIF")
    return out.getvalue()


def profile_files():
    """Each picture twice, without and with a colour profile that would change every pixel."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    rgb = picture(24, 17, 80)
    for icc in ({}, {"icc_profile": profile}):
        name = "icc" if icc else "plain"
        yield f"profile-{name}.jpg", jpeg(rgb, quality=90, **icc)
        png_out = io.BytesIO()
        Image.fromarray(rgb).save(png_out, "PNG", **icc)
        yield f"profile-{name}.png", png_out.getvalue()
        yield f"profile-{name}.webp", webp(rgb, lossless=True, **icc)


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
        for name, data in [*png_files(), *jpeg_files(), *webp_files(), *gif_files(), *profile_files()]:
            pixels = expected(data)
            with open(os.path.join(folder, name), "wb") as out:
                out.write(data)
            if name.endswith(".jpg"):
                with open(os.path.join(folder, name[:-4] + ".rgb"), "wb") as out:
                    out.write(pixels.tobytes())
            table.write(f"{name} {pixels.shape[1]} {pixels.shape[0]} {fnv64(pixels.tobytes()):016x}\n")
