"""Models that are made of the goldens' on the spot: other tokenizer files with as many rows as they need, a GGUF file in parts."""

import json
import pathlib
import shutil
import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of GGUF's plain values
ALIGNMENT = 32


def with_rows(source, folder, rows, *tokenizer):
    """The Hugging Face directory `source` with these files for a tokenizer, and its vocabulary's matrices repeated up to so many rows."""
    folder = pathlib.Path(folder)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("tokenizer*"))
    for file in tokenizer:
        shutil.copy(file, folder)
    config = json.loads((folder / "config.json").read_text())
    old, config["vocab_size"] = config["vocab_size"], rows
    (folder / "config.json").write_text(json.dumps(config))
    data = (folder / "model.safetensors").read_bytes()
    (n,) = struct.unpack_from("<Q", data)
    header, body = json.loads(data[8:8 + n]), b""
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end = tensor["data_offsets"]
        values = data[8 + n + begin:8 + n + end]
        if tensor["shape"][0] == old:
            values = (values * (rows // old + 1))[:len(values) // old * rows]
            tensor["shape"][0] = rows
        tensor["data_offsets"] = [len(body), len(body) + len(values)]
        body += values
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + body)
    return str(folder)


def in_parts(source, folder, parts=3):
    """A GGUF file as NAME-0000i-of-0000n.gguf, its keys in the first one. -> that one's path"""
    data, at = pathlib.Path(source).read_bytes(), 0

    def take(form):
        nonlocal at
        got = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return got if len(got) > 1 else got[0]

    def skip(kind):
        nonlocal at
        if kind == 8:
            n = take("Q")
            at += n
        elif kind == 9:
            kind, n = take("IQ")
            for _ in range(n):
                skip(kind)
        else:
            at += SIZES[kind]

    _, _, n_tensors, n_keys = take("4sIQQ")
    start = at
    for _ in range(n_keys):
        skip(8)
        skip(take("I"))
    keys, tensors = data[start:at], []
    for _ in range(n_tensors):
        begin = at
        skip(8)
        dimensions = take("I")
        at += 8 * dimensions + 4
        tensors.append((data[begin:at], take("Q")))
    base = (at + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    ends = sorted([offset for _, offset in tensors[1:]] + [len(data) - base])

    def key(name, kind, form, value):
        return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I" + form, kind, value)

    for part in range(parts):
        infos, body = b"", b""
        mine = tensors[part::parts]
        for info, offset in mine:
            body += b"\0" * (-len(body) % ALIGNMENT)
            infos += info + struct.pack("<Q", len(body))
            body += data[base + offset:base + min(e for e in ends if e > offset)]
        said = key("split.no", 2, "H", part) + key("split.count", 2, "H", parts) + key("split.tensors.count", 5, "i", n_tensors)
        head = struct.pack("<4sIQQ", b"GGUF", 3, len(mine), 3 + (0 if part else n_keys)) + (b"" if part else keys) + said + infos
        head += b"\0" * (-len(head) % ALIGNMENT)
        (pathlib.Path(folder) / ("m-%05d-of-%05d.gguf" % (part + 1, parts))).write_bytes(head + body)
    return str(pathlib.Path(folder) / ("m-00001-of-%05d.gguf" % parts))
