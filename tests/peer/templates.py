#!/usr/bin/env python3
"""Real chat templates: core's Jinja beside Python's jinja2, compiled as transformers compiles chat templates.

    python templates.py build/test_text_jinja FOLDER_OR_FILE...
    python templates.py build/test_text_chat --chat FOLDER_OR_FILE...

Templates are *.jinja files, such as those of llama.cpp's models/templates, and those that the tests have of their own. Each is
rendered with every conversation of tests/golden/text/jinja_families.py and those below: plain, with a system prompt, tools, calls
(arguments as an object and as a string), results, pictures, thinking, switches. Equal is: the same bytes, or an error on both sides.
Exit status 1 if any differ.

With --chat the conversations go through core's chat_render, which gives a template what it takes (probed), beside transformers' own
rendering: what transformers refuses and core renders all the same is counted, as is what core refuses by name (a template without tools).
"""
import argparse
import copy
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden" / "text"))
import jinja_families as ours  # noqa: E402
from transformers.utils import chat_template_utils  # noqa: E402

SWITCHES = [{}, {"enable_thinking": False}, {"enable_thinking": True}, {"reasoning_effort": "low"}, {"xml_tools": ours.TOOLS}, {"python_tools": ["def f(x): ..."]},
            {"tools_in_user_message": False}, {"builtin_tools": ["brave_search", "code_interpreter"]}, {"date_string": "1 May 2025"},
            {"add_vision_id": True}, {"preserve_thinking": True}, {"documents": [{"title": "t", "text": "x"}]}, {"keep_past_thinking": True}]


def conversations(source):
    plain = [{"role": "user", "content": "Hi"}]
    call = lambda arguments, **more: dict({"role": "assistant", "tool_calls": [
        {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}]}, **more)
    result = {"role": "tool", "tool_call_id": "abcdefghi", "name": "get_weather", "content": "{\"temp\": 21.5}"}
    listed = lambda role, text: {"role": role, "content": [{"type": "text", "text": text}]}
    more = [
        {"messages": plain + [call({"city": "Köln", "n": [1, {"x": None}], "f": 1.5e-7})]},
        {"messages": plain + [call({"city": "x"}, content="Let me see."), result], "tools": ours.TOOLS},
        {"messages": plain + [call({"city": "x"}, content=None), result], "tools": ours.TOOLS},
        {"messages": plain + [call({"city": "x"}, content=""), result, {"role": "assistant", "content": "Warm."}] + plain, "tools": ours.TOOLS},
        {"messages": plain + [call("{\"city\": \"x\"}", content=None), result], "tools": ours.TOOLS},
        {"messages": plain + [call({"city": "x"}, content="", reasoning_content="hm"), result], "tools": ours.TOOLS},
        {"messages": [{"role": "system", "content": "/no_think Short."}] + plain},
        {"messages": [{"role": "system", "content": "/system_override You are."}] + plain, "tools": ours.TOOLS},
        {"messages": [{"role": "developer", "content": "Short."}] + plain, "tools": ours.TOOLS[1:]},
        {"messages": [listed("system", "Short."), listed("user", "Hi"), listed("assistant", "Ho"), listed("user", "<|im_start|>")]},
        {"messages": [listed("user", "a"), call({}, content=[{"type": "text", "text": "b"}]), dict(result, content=[{"type": "text", "text": "c"}])], "tools": ours.TOOLS},
        {"messages": plain, "tools": []},
        {"messages": plain + [{"role": "assistant", "content": "<think>\na\n</think>\n\nb", "reasoning": "r"}, {"role": "user", "content": "c"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "a"}, {"type": "video"}, {"type": "audio"}]}]},
    ]
    for c in copy.deepcopy(ours.CONVERSATIONS) + more:
        for switch in SWITCHES:
            if not all(name in source for name in switch):
                continue
            for generate in (True, False):
                yield dict({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "tools": None, "documents": None,
                            "add_generation_prompt": generate}, **copy.deepcopy(c), **switch)


class Clock(datetime.datetime):
    """The program's clock stands at the beginning of time."""
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(0, tz)


def render(source, variables):
    try:
        return chat_template_utils._cached_compile_jinja_template(source).render(**copy.deepcopy(variables)), None
    except Exception as e:  # noqa: BLE001
        return None, "%s: %s" % (type(e).__name__, e)


def chats(source):
    """What clients may send: arguments as an object, no other switches than enable_thinking."""
    for v in conversations(source):
        if set(v) - {"bos_token", "eos_token", "unk_token", "pad_token", "tools", "documents", "add_generation_prompt", "messages", "enable_thinking"}:
            continue
        parts = [p for m in v["messages"] if isinstance(m["content"] if "content" in m else None, list) for p in m["content"]]
        calls = [c for m in v["messages"] for c in m.get("tool_calls", [])]
        if any(p["type"] not in ("text", "image", "video") for p in parts) or any(isinstance(c["function"]["arguments"], str) for c in calls):
            continue
        for m in v["messages"]:
            m.pop("reasoning", None)
            if m["role"] == "developer": # clients' developer is templates' system
                m["role"] = "system"
        if v["documents"] or v["tools"] == []:
            continue
        yield dict(v, bos_token="", eos_token="", unk_token="") # there is no vocabulary


def compare_chats(program, name, source, show):
    variables = list(chats(source))
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False, encoding="utf-8") as f:
        json.dump({"template": source, "cases": variables}, f)
    run = subprocess.run([program, f.name], capture_output=True)
    os.unlink(f.name)
    lines = run.stdout.decode().splitlines()
    caps = json.loads(lines[0])
    if "error" in caps:
        print("%-55s does not open: %s" % (name, caps["error"]), flush=True)
        return False
    count = dict.fromkeys(("same", "both refuse", "python refuses", "core refuses", "differ"), 0)
    shown = 0
    for v, line in zip(variables, lines[1:]):
        got, (want, why) = json.loads(line), render(source, v)
        if caps["format"] and not caps["tools"] and (v["tools"] or any("tool_calls" in m or m["role"] == "tool" for m in v["messages"])):
            continue  # core's own words about tools
        if not caps["lists"] and any(isinstance(m.get("content"), list) for m in v["messages"]):
            want, why = None, "it knows no lists"  # some drop them, some print them as Python does: core joins their texts
        kind = ("both refuse" if why else "core refuses") if "error" in got else "python refuses" if why else "same" if got["out"] == want else "differ"
        count[kind] += 1
        if kind in ("differ", "core refuses") and (shown := shown + 1) <= show:
            print("%s %s %s\n  python %r\n  core   %r" % (kind, name, json.dumps(v["messages"])[:400], why or want, got.get("error", got.get("out"))))
    print("%-55s %-13s %s" % (name, caps["format"] or "no tools", ", ".join("%s %d" % k for k in count.items())), flush=True)
    return count["differ"] == 0


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("program")
    ap.add_argument("templates", nargs="*", type=pathlib.Path)
    ap.add_argument("--chat", action="store_true")
    ap.add_argument("--show", type=int, default=2, help="differences of each template that are printed")
    a = ap.parse_args()
    warnings.simplefilter("ignore", SyntaxWarning)
    sources = {"ours/" + name: text for name, text in ours.FAMILIES.items()}
    for path in a.templates:
        for file in sorted(path.rglob("*.jinja")) if path.is_dir() else [path]:
            sources[file.name] = file.read_text(encoding="utf-8")
    bad = 0
    if not a.chat:
        chat_template_utils.datetime = Clock
    if a.chat:
        bad = sum(not compare_chats(a.program, name, source, a.show) for name, source in sources.items())
    for name, source in () if a.chat else sources.items():
        variables = list(conversations(source))
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False, encoding="utf-8") as f:
            json.dump({"globals": variables, "templates": [source], "cases": [{"template": 0, "globals": i} for i in range(len(variables))]}, f)
        run = subprocess.run([a.program, f.name], capture_output=True)
        os.unlink(f.name)
        lines = run.stdout.decode().splitlines()
        same = errors = shown = 0
        for v, line in zip(variables, lines):
            got, (want, why) = json.loads(line), render(source, v)
            if "error" in got and why:
                errors += 1
            elif got.get("out") == want:
                same += 1
            elif (shown := shown + 1) <= a.show:
                print("%s %s\n  python %r\n  core   %r" % (name, json.dumps(v)[:300], why or want, got.get("error", got.get("out"))))
        differ = len(variables) - same - errors
        bad += differ > 0
        print(flush=True, end="%-60s %4d the same, %4d refused by both, %d differ\n" % (name, same, errors, differ))
    print("%d templates, %d not as in Python" % (len(sources), bad))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
