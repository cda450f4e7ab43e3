#!/usr/bin/env python3
"""Prints the tables of core/text that Unicode's categories alone do not give, as this Python's str methods have them.

    python make_unicode.py case   > core/text/unicode_case.inc
    python make_unicode.py ranges > core/text/unicode_ranges.inc

Python 3.11 (Unicode 14) made what is committed. Each file's opening comment is printed too.
"""
import sys
from unicodedata import category

CHARS = [chr(cp) for cp in range(0x110000) if not 0xD800 <= cp < 0xE000]


def print_case():
    print("/* Characters whose lower, upper or title case is more than one character (Unicode SpecialCasing, unconditional),\n"
          " * ascending; a field of zeros ends early. Made by tests/golden/text/make_unicode.py from Python's str methods. */")
    show = lambda s: "{" + ", ".join("0x%04X" % ord(c) for c in s) + "}"
    for c in CHARS:
        forms = c.lower(), c.upper(), c.title()
        if max(map(len, forms)) > 1:
            print("\t{0x%04X, {%s}}," % (ord(c), ", ".join(map(show, forms))))


def is_ignorable(c):
    """A final sigma stays one after it, though it is no letter with case itself."""
    return ("a" + c + "Σ").lower()[-1] == "ς" and (c + "Σ").lower()[-1] != "ς"


RANGES = [
    ("LOWER", lambda c: c.islower() and category(c) != "Ll"),
    ("UPPER", lambda c: c.isupper() and category(c) != "Lu"),
    ("DIGIT", lambda c: c.isdigit() and category(c) != "Nd"),
    ("IGNORABLE", lambda c: is_ignorable(c) and category(c) not in ("Mn", "Me", "Cf", "Lm", "Sk")),
]


def print_ranges():
    print("/* Characters with a property that their category does not give, ascending: lower and upper case beside Ll and Lu,\n"
          " * digits beside Nd, and what case mapping looks past beside Mn, Me, Cf, Lm and Sk. Made by\n"
          " * tests/golden/text/make_unicode.py from Python's str methods. */")
    for name, has in RANGES:
        print("static const struct range other_%s[] = {" % name.lower())
        ranges = []
        for c in filter(has, CHARS):
            if ranges and ranges[-1][1] == ord(c) - 1:
                ranges[-1][1] += 1
            else:
                ranges.append([ord(c), ord(c)])
        for i in range(0, len(ranges), 6):
            print("\t" + " ".join("{0x%04X, 0x%04X}," % tuple(r) for r in ranges[i:i + 6]))
        print("};")


if __name__ == "__main__":
    {"case": print_case, "ranges": print_ranges}[sys.argv[1]]()
