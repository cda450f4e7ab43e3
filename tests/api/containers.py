"""Files of containers that libsndfile does not know: those that tests/fuzz/seeds.py made for the fuzz target, what a few of their bytes
turn them into, and hostile ones."""

import struct

from harness import REPO
from sounds import REFUSED


def corpus(name):
    """What the first byte says is for the target."""
    return (REPO / "tests" / "fuzz" / "corpus" / "video" / name).read_bytes()[1:]


def as_quicktime(mp4):
    return mp4[:8] + b"qt  " + mp4[12:]


def as_matroska(webm):
    """The type in the first element, which grows by four bytes; all positions are reckoned from behind it."""
    at = webm.index(b"\x42\x82\x84webm")
    size = 11 if webm[4] == 1 else 4
    head = bytearray(webm[:at] + b"\x42\x82\x88matroska")
    head[size] += 4
    return bytes(head) + webm[at + 7:]


def as_live(webm):
    """A recording whose end was not known when its head was written."""
    at = webm.index(b"\x18\x53\x80\x67") + 4
    assert webm[at] == 1
    return webm[:at] + b"\x01" + b"\xff" * 7 + webm[at + 8:]


def elsewhere(mp4, url):
    """Its data reference names another file, which has the samples. What it stands in grows; its own samples come before that."""
    entry = b"url \0\0\0\0" + url.encode() + b"\0"
    at = mp4.index(b"dref") + 12
    grown = len(entry) + 4 - 12
    data = bytearray(mp4[:at] + struct.pack(">I", 12 + grown) + entry + mp4[at + 12:])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        where = data.index(box) - 4
        struct.pack_into(">I", data, where, struct.unpack_from(">I", data, where)[0] + grown)
    return bytes(data)


# name: (the file, formats of input_audio, media types, seconds of sound)
WHOLE = {
    "m4a": (corpus("speech.m4a"), ["m4a", "mp4"], ["audio/mp4", "audio/m4a", "audio/x-m4a", "video/mp4"], 1.0),
    "aac": (corpus("speech.aac"), ["aac"], ["audio/aac", "audio/aacp", "audio/x-aac"], 0.512),
    "mp4": (corpus("h264.mp4"), ["mp4", "m4a"], ["video/mp4", "audio/mp4", "application/mp4"], 1.0),
    "mov": (as_quicktime(corpus("h264.mp4")), ["mov", "mp4"], ["video/quicktime", "audio/quicktime", "video/mp4"], 1.0),
    "webm": (corpus("vp8.webm"), ["webm"], ["audio/webm", "video/webm", "Audio/WebM"], 1.024),
    "opus in webm": (corpus("vp9.webm"), ["webm"], ["audio/webm", "video/webm"], 1.001),
    "live webm": (as_live(corpus("vp9.webm")), ["webm"], ["audio/webm"], 1.001),
    "mkv": (as_matroska(corpus("vp8.webm")), ["mkv", "mka"], ["video/x-matroska", "audio/x-matroska", "video/matroska"], 1.024),
    "ts": (corpus("h264.ts"), ["ts"], ["video/mp2t", "audio/mp2t"], 0.512),
    "avi": (corpus("mpeg4.avi"), ["avi"], ["video/x-msvideo", "video/avi"], 0.504),
}


def adts(seconds, rate=16000):
    """Silence: a frame of AAC is four bytes and its header seven."""
    index = {96000: 0, 16000: 8, 8000: 11}[rate]
    size = 11
    head = bytes([0xFF, 0xF1, 1 << 6 | index << 2, 1 << 6 | size >> 11, size >> 3 & 255, (size & 7) << 5 | 0x1F, 0xFC])
    return (head + b"\0\0\0\7") * int(seconds * rate / 1024)


def changed(data, box, offset, value, size=4):
    """Some bytes of the last box of a kind: behind its name."""
    at = data.rindex(box) + len(box) + offset
    return data[:at] + value.to_bytes(size, "big") + data[at + size:]


M4A, WEBM = WHOLE["m4a"][0], WHOLE["opus in webm"][0]
FULL = 2**32 - 1

# name: -> (bytes, format, statuses that are right)
BOMBS = {
    "AAC of a day in 7 MB": lambda: (adts(86400, 8000), "aac", REFUSED),
    "AAC of two hours and a second": lambda: (adts(7201), "aac", REFUSED),
    "AAC of no frame": lambda: (adts(0.064)[:7], "aac", REFUSED),
    "stts of 2^32-1 entries": lambda: (changed(M4A, b"stts", 4, FULL), "m4a", REFUSED),
    "stts of 2^32-1 samples": lambda: (changed(M4A, b"stts", 8, FULL), "m4a", REFUSED),
    "a sample of 2^31 ticks": lambda: (changed(M4A, b"stts", 12, 2**31 - 1), "m4a", (200, *REFUSED)),
    "stsz of 2^32-1 samples of a byte": lambda: (changed(changed(M4A, b"stsz", 8, FULL), b"stsz", 4, 1), "m4a", REFUSED),
    "stco of 2^32-1 chunks": lambda: (changed(M4A, b"stco", 4, FULL), "m4a", REFUSED),
    "stsc of 2^32-1 entries": lambda: (changed(M4A, b"stsc", 4, FULL), "m4a", REFUSED),
    "a clock of 0 Hz": lambda: (changed(M4A, b"mdhd", 12, 0), "m4a", (200, *REFUSED)),
    "a clock of 1 Hz": lambda: (changed(M4A, b"mdhd", 12, 1), "m4a", (200, *REFUSED)),
    "mp4a of 65535 channels": lambda: (changed(M4A, b"mp4a", 16, 65535, 2), "m4a", (200, *REFUSED)),
    "mp4a of 0 Hz": lambda: (changed(M4A, b"mp4a", 24, 0), "m4a", (200, *REFUSED)),
    "moov of 2^32-1 bytes": lambda: (M4A[:M4A.index(b"moov") - 4] + b"\xff" * 4 + M4A[M4A.index(b"moov"):], "m4a", REFUSED),
    "moov in moov in moov": lambda: (M4A[:M4A.index(b"moov") - 4] + b"".join(struct.pack(">I4s", 8 * (20000 - i), b"moov") for i in range(20000)), "m4a", REFUSED),
    "only ftyp": lambda: (M4A[:struct.unpack(">I", M4A[:4])[0]], "m4a", REFUSED),
    "a timestamp's tick of 16 ms": lambda: (WEBM.replace(b"\x2a\xd7\xb1\x83\x0f\x42\x40", b"\x2a\xd7\xb1\x83\xff\xff\xff"), "webm", (200, *REFUSED)),
    "a segment of 2^56 bytes": lambda: (as_live(WEBM).replace(b"\x18\x53\x80\x67\x01" + b"\xff" * 7, b"\x18\x53\x80\x67\x01" + b"\xff" * 6 + b"\xfe"), "webm", REFUSED),
    "EBML of nothing": lambda: (WEBM[:WEBM.index(b"\x18\x53\x80\x67")], "webm", REFUSED),
    "a clip without sound": lambda: (corpus("turned.mov"), "mov", REFUSED),
    "a GIF": lambda: (corpus("moving.gif"), "gif", REFUSED),
    "a playlist": lambda: (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", "m4a", REFUSED),
    "a script of files": lambda: (b"ffconcat version 1.0\nfile /etc/hostname\n", "m4a", REFUSED),
    "a description of a session": lambda: (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n", "m4a", REFUSED),
    "sync bytes of a stream": lambda: ((b"\x47" + bytes(187)) * 20000, "ts", REFUSED),
}
