"""Hostile clips: small files of the fuzz target's corpus with boxes, elements and chunks put in, so that what is around the lie is right.
ESCAPES point at a file and a port; BOMBS say that they are larger than they are, or are."""

import io
import struct
import zlib

from PIL import Image

from containers import as_live, changed, corpus, elsewhere
from sounds import REFUSED

MP4, MOV, MKV, WEBM, AVI, TS = (corpus(n) for n in ("h264.mp4", "turned.mov", "hevc.mkv", "vp9.webm", "mjpeg.avi", "h264.ts"))
GIF, APNG, WEBP = (corpus("moving." + n) for n in ("gif", "apng", "webp"))
ALL = {"video/mp4": MP4, "video/quicktime": MOV, "video/x-matroska": MKV, "video/webm": WEBM, "video/x-msvideo": AVI, "video/mp2t": TS, "image/gif": GIF, "image/apng": APNG,
       "image/webp": WEBP}
MAY_BE_READ = (200, *REFUSED)


# ---- MP4: boxes ----------------------------------------------------------------------------------------------------------------

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta")


def box(kind, *inside):
    data = b"".join(inside)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def edited(data, path, edit):
    """The first box of that path is what edit makes of its content, as content; those around it grow. Its samples must come before it."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == path[0]:
            inside = data[at + 8:at + size]
            inside = edit(inside) if len(path) == 1 else edited(inside, path[1:], edit)
            return data[:at] + box(kind, inside) + data[at + size:]
        at += size
    raise ValueError(path)


def trak(data):
    """The whole first track."""
    at = data.index(b"trak") - 4
    return data[at:at + struct.unpack_from(">I", data, at)[0]]


def reference(url):
    """A reference movie: what to play instead is elsewhere."""
    return box(b"rmra", box(b"rmda", box(b"rdrf", b"\0\0\0\0url ", struct.pack(">I", len(url) + 1), url, b"\0")))


def alias(path):
    """A Mac's alias record: folders, name and path of the file that has the samples."""
    name = path.rsplit(b"/", 1)[-1][:63]
    head = bytes(4) + struct.pack(">HHH", 150, 2, 0) + struct.pack("B27s", 4, b"Disk") + bytes(4) + b"H+" + bytes(6) + struct.pack("B63s", len(name), name) + bytes(16)
    head += struct.pack(">hh", 1, 1) + bytes(16)
    text = lambda kind, s: struct.pack(">hh", kind, len(s)) + s + b"\0" * (len(s) % 2)
    return head + text(2, path[1:].replace(b"/", b":")) + text(18, path) + text(19, b"/") + text(-1, b"")


def with_alias(path):
    entry = alias(path)
    return edited(MOV, (b"moov", b"trak", b"mdia", b"minf", b"dinf"), lambda _: box(b"dref", struct.pack(">II", 0, 1), box(b"alis", bytes(4), entry)))


def subtitled(kind, text):
    """A second track of text: in a codec of FFmpeg's for which there are files beside the file."""
    other = trak(MP4).replace(b"vide", b"text").replace(b"avc1", kind)
    return edited(MP4, (b"moov",), lambda m: m + other + box(b"udta", box(b"meta", text)))


# ---- Matroska: elements --------------------------------------------------------------------------------------------------------

def element(number, *inside):
    data = b"".join(inside)
    return bytes.fromhex(number) + struct.pack(">Q", 1 << 56 | len(data)) + data


def info(*inside):
    """More in the segment's description, of which the reader meets this one first."""
    return before_tracks(element("1549A966", *inside))


def before_tracks(data, mkv=MKV):
    live = as_live(mkv)
    at = live.index(b"\x16\x54\xae\x6b")
    return live[:at] + data + live[at:]


def number(data, at, raw):
    size = 9 - data[at].bit_length()
    value = int.from_bytes(data[at:at + size], "big")
    return value if raw else value & (1 << 7 * size) - 1, at + size


def rewritten(data, path, edit):
    """As edited, of elements by their numbers."""
    at = 0
    while at < len(data):
        kind, inner = number(data, at, True)
        size, inner = number(data, inner, False)
        if kind == int(path[0], 16):
            inside = data[inner:inner + size]
            return data[:at] + element(path[0], edit(inside) if len(path) == 1 else rewritten(inside, path[1:], edit)) + data[inner + size:]
        at = inner + size
    raise ValueError(path)


def encoded(algorithm, *settings):
    """Its frames are said to be compressed."""
    live = as_live(WEBM)
    at = live.index(b"\x18\x53\x80\x67") + 12
    how = element("6D80", element("6240", element("5031", b"\0"), element("5032", b"\1"), element("5033", b"\0"), element("5034", element("4254", bytes([algorithm])), *settings)))
    return live[:at] + rewritten(live[at:], ["1654AE6B", "AE"], lambda entry: entry + how)


# ---- AVI, GIF, PNG, WebP: chunks ----------------------------------------------------------------------------------------------

def chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def avi(*streams, junk=b"", index=b"", frames=5):
    """Streams: (strh's type and handler, strf, indx)."""
    lists = b""
    for kind, form, super_index in streams:
        head = kind + bytes(12) + struct.pack("<IIIIIIIHHHH", 1, 10, 0, frames, 1000, 0, 0, 0, 0, 32, 24)
        lists += chunk(b"LIST", b"strl" + chunk(b"strh", head) + chunk(b"strf", form) + (chunk(b"indx", super_index) if super_index else b""))
    main = struct.pack("<14I", 100000, 10000, 0, 0x10, frames, 0, len(streams), 0, 32, 24, 0, 0, 0, 0)
    body = b"AVI " + chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + lists) + junk + index
    return b"RIFF" + struct.pack("<I", len(body)) + body


BITMAP = struct.pack("<IiiHH4sIiiII", 40, 32, 24, 1, 24, b"MJPG", 32 * 24 * 3, 0, 0, 0, 0)
PICTURES = (b"vidsMJPG", BITMAP, b"")


def jpeg():
    file = io.BytesIO()
    Image.new("RGB", (32, 24), (9, 90, 40)).save(file, "JPEG")
    return file.getvalue()


def movi(*chunks):
    return chunk(b"LIST", b"movi" + b"".join(chunks))


def gab2(text):
    """A subtitle file inside the AVI, which libavformat opens as a file of its own, by what it looks like."""
    name = "a.srt".encode("utf-16le") + b"\0\0"
    return chunk(b"01tx", b"GAB2\0" + struct.pack("<HI", 2, len(name)) + name + struct.pack("<HI", 4, len(text)) + text)


def png(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def in_png(data, at=74):
    """Behind what says that it moves."""
    return APNG[:at] + data + APNG[at:]


def in_webp(kind, data):
    body = WEBP[8:] + chunk(kind, data)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def in_gif(text):
    at = 13 + (3 << (GIF[10] & 7) + 1 if GIF[10] & 0x80 else 0)
    return GIF[:at] + b"\x21\xfe" + bytes([len(text)]) + text + b"\0" + GIF[at:]


# ---- escapes -------------------------------------------------------------------------------------------------------------------

SCRIPTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI=\"{file}\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"{there}key\"\n#EXTINF:1,\nfile://{file}\n#EXTINF:1,\n{there}a.ts\n#EXT-X-ENDLIST\n",
    "HLS of qualities": "\ufeff#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{file}\n#EXT-X-STREAM-INF:BANDWIDTH=2\n{there}b.m3u8\n",
    "DASH": "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\"><BaseURL>file://{file}</BaseURL><Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\"><BaseURL>{there}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "concat": "ffconcat version 1.0\nfile '{file}'\nfile '{there}a.mp4'\n",
    "a concat protocol": "concat:{file}|subfile,,start,0,end,9,,:{there}",
    "SDP": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\na=control:{there}\r\nm=video {port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
    "SVG": "<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"file://{file}\"/><image href=\"{there}\"/></svg>",
    "ASX": "<asx version=\"3.0\"><entry><ref href=\"{file}\"/><ref href=\"{there}\"/></entry></asx>",
    "PLS": "[playlist]\nNumberOfEntries=2\nFile1={file}\nFile2={there}\n",
    "a redirection": "[Reference]\r\nRef1={there}?MSWMExt=.asf\r\nRef2=file://{file}\r\n",
    "RTSP in a text": "RTSPtextRTSP://127.0.0.1:{port}/a\n",
    "SMIL": "<smil><body><video src=\"{file}\"/><video src=\"{there}\"/></body></smil>",
    "SubRip": "1\n00:00:00,000 --> 00:00:01,000\n<img src=\"file://{file}\"><img src=\"{there}\">\n",
    "VobSub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n# {file} {there}\ntimestamp: 00:00:00:000, filepos: 000000000\n",
    "ASS": "[Script Info]\nScriptType: v4.00+\n[Events]\nDialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,{file} {there}\n",
    "a script of AviSynth": "FFVideoSource(\"{file}\") + HTTPSource(\"{there}\")\n",
    "a filter graph": "movie={file}[a];movie={there}[b];[a][b]overlay\n",
    "a cue sheet": "FILE \"{file}\" MP3\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n",
    "IMF": "<?xml version=\"1.0\"?><CompositionPlaylist xmlns=\"http://www.smpte-ra.org/schemas/2067-3/2016\"><Id>{file}</Id><Id>{there}</Id></CompositionPlaylist>",
    "FFMETADATA": ";FFMETADATA1\ntitle={file}\nartist={there}\n",
}


def escapes(file, there):
    """name: (bytes, type, statuses that are right)"""
    port = there.rstrip("/").rsplit(":", 1)[1]
    scripts = {n: t.format(file=file, there=there, port=port).encode() for n, t in SCRIPTS.items()}
    for name, text in scripts.items():
        yield name, text.ljust(200, b"\n"), "video/mp4", (415,)
        for kind, front in (("video/mp4", MP4[:32]), ("video/x-matroska", MKV[:40]), ("video/x-msvideo", AVI[:12]), ("video/mp2t", TS[:188]), ("image/gif", b"GIF89a"),
                            ("image/apng", APNG[:60])):
            yield "%s behind the first bytes of %s" % (name, kind), front + text, kind, REFUSED
    urls = (file, "file://" + file, file.rsplit("/", 1)[1], there + "a.mov", "subfile,,start,0,end,0,,:" + file, "concat:" + file, "data:video/mp4;base64,AAAA", "fd:0")
    for url in urls:
        yield "samples at " + url, elsewhere(MP4, url), "video/mp4", REFUSED
        yield "a movie for %s" % url, edited(MP4, (b"moov",), lambda m: m + reference(url.encode())), "video/mp4", MAY_BE_READ
        yield "nothing but a movie for %s" % url, MOV[:struct.unpack(">I", MOV[:4])[0]] + box(b"moov", reference(url.encode())), "video/quicktime", REFUSED
        text = url.encode()
        yield "a segment after %s" % url, info(element("3C83AB", text), element("3E83BB", text), element("7384", text), element("3CB923", bytes(16)), element("3EB923", bytes(16))), "video/x-matroska", (200,)
        yield "chapters of %s" % url, before_tracks(element("1043A770", element("45B9", element("45DD", b"\1"), element("B6", element("73C4", b"\1"), element("91", b"\0"), element("6E67", bytes(16)), element("80", element("85", text)))))), "video/x-matroska", (200,)
        yield "an attachment %s" % url, before_tracks(element("1941A469", element("61A7", element("466E", text), element("4660", b"application/x-truetype-font"), element("465C", scripts["HLS"]), element("46AE", b"\1")))), "video/x-matroska", (200,)
        yield "a comment %s" % url, in_gif(text[:255]), "image/gif", (200,)
        yield "a text %s" % url, in_png(png(b"tEXt", b"Software\0" + text)), "image/apng", (200,)
        yield "XMP %s" % url, in_webp(b"XMP ", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>%s</x:xmpmeta>" % text), "image/webp", (200,)
        yield "an ID3 tag for %s" % url, b"ID3\3\0\0" + bytes([0, 0, 0, len(text) + 17]) + b"APIC" + struct.pack(">IH", len(text) + 7, 0) + b"\0-->\0\3\0" + text + MP4, "video/mp4", REFUSED
    yield "an alias", with_alias(file.encode()), "video/quicktime", REFUSED
    for kind in (b"tx3g", b"text", b"mp4s", b"c608"):
        yield "subtitles as %s" % kind.decode(), subtitled(kind, scripts["SubRip"]), "video/mp4", MAY_BE_READ
    for name in ("SubRip", "ASS", "HLS", "concat", "VobSub", "DASH", "SDP"):
        film = movi(*[chunk(b"00dc", jpeg()), gab2(scripts[name])] * 5)
        yield "%s in an AVI" % name, avi(PICTURES, (b"txts\0\0\0\0", b"", b""), index=film), "video/x-msvideo", MAY_BE_READ
    beyond = struct.pack("<HBBI4s12x", 4, 0, 0, 3, b"00dc") + struct.pack("<QII", 2**63 - 1, 24, 5) + struct.pack("<QII", 0, 2**32 - 1, 5) + struct.pack("<QII", 12, 24, 2**32 - 1)
    yield "an index beyond the AVI", avi((b"vidsMJPG", BITMAP, beyond), index=movi(*[chunk(b"00dc", jpeg())] * 5)), "video/x-msvideo", MAY_BE_READ
    itself = struct.pack("<HBBI4s12x", 4, 0, 0, 1, b"00dc") + struct.pack("<QII", 12, 2**16, 5)
    yield "an index of itself", avi((b"vidsMJPG", BITMAP, itself), index=movi(*[chunk(b"00dc", jpeg())] * 5)), "video/x-msvideo", MAY_BE_READ


# ---- bombs ---------------------------------------------------------------------------------------------------------------------

def gif_frames(n, width=1, height=1):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + (b",\0\0\0\0\1\0\1\0\0\2\2D\1\0") * n + b";"


def huge_apng():
    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png(b"IHDR", head) + png(b"acTL", struct.pack(">II", 2, 0)) + png(b"IDAT", zlib.compress(bytes(30_000_000), 9)) + png(b"IEND", b"")


def huge_webp(side=16384):
    canvas = b"\x02\0\0\0" + struct.pack("<I", side - 1)[:3] + struct.pack("<I", side - 1)[:3]
    frame = bytes(6) + struct.pack("<I", side - 1)[:3] + struct.pack("<I", side - 1)[:3] + b"\x64\0\0\0" + chunk(b"VP8L", b"\x2f" + struct.pack("<I", side - 1 | side - 1 << 14) + bytes(9))
    body = b"WEBP" + chunk(b"VP8X", canvas) + chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", frame) * 2
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bombed_mjpeg(side=65500):
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0") + 5
    data[at:at + 4] = struct.pack(">HH", side, side)
    return avi(PICTURES, index=movi(*[chunk(b"00dc", bytes(data))] * 5))


def tracks(n):
    return edited(MP4, (b"moov",), lambda m: m + trak(MP4) * n)


def entries(n):
    live = as_live(WEBM)
    at = live.index(b"\x16\x54\xae\x6b")
    one = element("AE", element("D7", b"\2"), element("73C5", b"\2"), element("83", b"\1"), element("86", b"V_VP9"), element("E0", element("B0", b"\x40"), element("BA", b"\x30")))
    return live[:at] + element("1654AE6B", one * n) + live[at:]


def clock(hz, ticks):
    """Of each frame; without the list that says how much of it is shown."""
    data = changed(MOV.replace(b"edts", b"free"), b"mdhd", 12, hz)
    return changed(data, b"stts", 12, ticks)


FULL = 2**32 - 1
BOMBS = {
    "MP4 whose pictures are 65535 x 65535": lambda: (changed(MOV, b"mp4v" if b"mp4v" in MOV else b"avc1", 24, FULL), "video/quicktime", MAY_BE_READ),
    "a track of 65535 x 65535": lambda: (changed(changed(MOV, b"tkhd", 76, FULL), b"tkhd", 80, FULL), "video/quicktime", MAY_BE_READ),
    "GIF of 65535 x 65535": lambda: (gif_frames(2, 65535, 65535), "image/gif", REFUSED),
    "APNG of 30000 x 30000": lambda: (huge_apng(), "image/apng", REFUSED),
    "WebP of 16384 x 16384": lambda: (huge_webp(), "image/webp", REFUSED),
    "MJPEG of 65500 x 65500 in an AVI of 32 x 24": lambda: (bombed_mjpeg(), "video/x-msvideo", REFUSED),
    "Matroska of 2^32 x 2^32": lambda: (MKV.replace(b"\xb0\x81\x20\xba\x81\x18", b"\xb0\x84\xff\xff\xff\xff"), "video/x-matroska", MAY_BE_READ),
    "GIF of 1,100,000 frames": lambda: (gif_frames(1_100_000), "image/gif", REFUSED),
    "APNG of 2^31 - 1 frames": lambda: (APNG[:APNG.index(b"acTL") + 4] + struct.pack(">I", 2**31 - 1) + APNG[APNG.index(b"acTL") + 8:], "image/apng", MAY_BE_READ),
    "stts of 2^32 - 1 samples": lambda: (changed(MOV, b"stts", 8, FULL), "video/quicktime", REFUSED),
    "stsz of 2^32 - 1 samples": lambda: (changed(changed(MOV, b"stsz", 8, FULL), b"stsz", 4, 1), "video/quicktime", REFUSED),
    "an AVI of 2^32 - 1 frames": lambda: (avi(PICTURES, frames=FULL, index=movi(chunk(b"00dc", jpeg()))), "video/x-msvideo", MAY_BE_READ),
    "ten hours": lambda: (clock(1, 36000), "video/quicktime", REFUSED),
    "a million frames a second": lambda: (clock(10**6, 1), "video/quicktime", MAY_BE_READ),
    "a clock of 2^32 - 1 Hz": lambda: (clock(FULL, FULL), "video/quicktime", MAY_BE_READ),
    "Matroska of 10^300 s": lambda: (info(element("2AD7B1", struct.pack(">I", 10**9)), element("4489", struct.pack(">d", 1e300))), "video/x-matroska", MAY_BE_READ),
    "9 tracks": lambda: (tracks(9), "video/mp4", REFUSED),
    "1000 tracks": lambda: (tracks(1000), "video/mp4", REFUSED),
    "1000 tracks of Matroska": lambda: (entries(1000), "video/webm", REFUSED),
    "100 streams of an AVI": lambda: (avi(*[PICTURES] * 100, index=movi(chunk(b"00dc", jpeg()))), "video/x-msvideo", REFUSED),
    "boxes in boxes": lambda: (MP4[:MP4.index(b"moov") - 4] + b"".join(struct.pack(">I4s", 8 * (50000 - i), b"moov") for i in range(50000)), "video/mp4", REFUSED),
    "tracks in tracks": lambda: (MP4[:MP4.index(b"moov") - 4] + box(b"moov", b"".join(struct.pack(">I4s", 8 * (50000 - i), b"trak") for i in range(50000))), "video/mp4", REFUSED),
    "elements in elements": lambda: (before_tracks(b"".join(b"\x1c\x53\xbb\x6b" + struct.pack(">Q", 1 << 56 | 12 * (20000 - i)) for i in range(20000))), "video/x-matroska", MAY_BE_READ),
    "tags in tags": lambda: (before_tracks(element("1254C367", element("7373", b"".join(b"\x67\xc8" + struct.pack(">Q", 1 << 56 | 10 * (20000 - i)) for i in range(20000))))), "video/x-matroska", MAY_BE_READ),
    "frames that are zlib": lambda: (encoded(0), "video/webm", MAY_BE_READ),
    "frames that are LZO": lambda: (encoded(2), "video/webm", MAY_BE_READ),
    "frames behind a header of a megabyte": lambda: (encoded(3, element("4255", bytes(1 << 20))), "video/webm", MAY_BE_READ),
    "JPEG 2000": lambda: (MP4.replace(b"avc1", b"mjp2"), "video/mp4", REFUSED),
    "IAMF": lambda: (MP4.replace(b"mp4a", b"iamf").replace(b"avc1", b"iamf"), "video/mp4", REFUSED),
    "ProRes": lambda: (MP4.replace(b"avc1", b"apch"), "video/mp4", REFUSED),
    "encrypted": lambda: (MP4.replace(b"avc1", b"encv"), "video/mp4", REFUSED),
    "a codec of nobody": lambda: (WEBM.replace(b"V_VP9", b"V_XYZ"), "video/webm", REFUSED),
    "a stream of sync bytes": lambda: ((b"\x47\x00\x00\x10" + bytes(184)) * 20000, "video/mp2t", REFUSED),
    "a stream of a thousand programs": lambda: (programs(1000), "video/mp2t", REFUSED),
}


def crc32_mpeg(data):
    crc = FULL
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & FULL
    return crc


def programs(n):
    """Program tables that name ever more streams, none of which comes."""
    packets = b""
    for first in range(0, n, 30):
        section = struct.pack(">HBBB", 1, 0xC1, first // 30 & 255, 255) + b"".join(struct.pack(">HH", i + 1, 0xE000 | i + 32) for i in range(first, first + 30))
        section = b"\0" + struct.pack(">H", 0xB000 | len(section) + 4) + section
        packets += (b"\x47\x40\x00\x10\0" + section + struct.pack(">I", crc32_mpeg(section))).ljust(188, b"\xff")
    for i in range(n):
        section = struct.pack(">HBBBHH", i + 1, 0xC1, 0, 0, 0xE000 | i + 32, 0xF000) + struct.pack(">BHH", 0x1B, 0xE000 | (i + 2000) % 8000 + 32, 0xF000)
        section = b"\2" + struct.pack(">H", 0xB000 | len(section) + 4) + section
        packets += (b"\x47" + struct.pack(">H", 0x4000 | i + 32) + b"\x10\0" + section + struct.pack(">I", crc32_mpeg(section))).ljust(188, b"\xff")
    return packets
