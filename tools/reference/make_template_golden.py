#!/usr/bin/env python3
"""Writes the goldens of the chat templates: what Python's jinja2 makes of them.

usage: tools/reference/make_template_golden.py        (needs jinja2; writes tests/golden/templates/)

  chats.json   every chat/*.jinja over every conversation of conversations.json
  cases.json   the small templates of template_cases.py
  random.json  templates of template_random.py from a fixed seed

A case has `output`, or `error` (the name of llmos's error code) and for raise_exception `raised`.
"""
import json
import pathlib
import platform
import warnings

import jinja2
import markupsafe

import template_cases
import template_oracle
import template_random

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/templates"
SEED = 20250720
RANDOM_CASES = 1000
# The others are rendered with the generation prompt only.
WITHOUT_PROMPT_TOO = ("plain", "ends_with_assistant", "tool_round")


def write(name, cases, **more):
    """One case per line, so that a change shows as a line."""
    head = {"made_by": "tools/reference/make_template_golden.py",
            "python": platform.python_version(), "jinja2": jinja2.__version__,
            "markupsafe": markupsafe.__version__, **more}
    lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases)
    text = json.dumps(head, indent=1, ensure_ascii=False)[:-2] + ',\n "cases": [\n' + lines + "\n]}\n"
    (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{name}: {len(cases)} cases")


def chat_cases():
    conversations = json.loads((FOLDER / "conversations.json").read_text(encoding="utf-8"))
    for path in sorted((FOLDER / "chat").glob("*.jinja")):
        with open(path, encoding="utf-8", newline="") as f:
            source = f.read()
        for name, conversation in conversations.items():
            for prompt in (True, False) if name in WITHOUT_PROMPT_TOO else (True,):
                variables = template_oracle.chat_variables(conversation, prompt)
                yield {"template": path.stem, "conversation": name, "add_generation_prompt": prompt,
                       **template_oracle.render(source, variables)}


def render_small(template):
    variables = template_oracle.chat_variables({"messages": []}, True, template_cases.VARIABLES)
    return {"template": template, **template_oracle.render(template, variables)}


def random_cases():
    for template in template_random.templates(SEED, RANDOM_CASES):
        case = render_small(template)
        if " at 0x" not in case.get("output", ""):  # an address of Python's
            yield case


def main():
    warnings.simplefilter("ignore")  # of Python about the odd code that jinja2 makes of odd templates
    write("chats.json", list(chat_cases()))
    write("cases.json", [{"group": g, **render_small(t)} for g, t in template_cases.cases()],
          variables=template_cases.VARIABLES)
    write("random.json", list(random_cases()), seed=SEED, variables=template_cases.VARIABLES)


main()
