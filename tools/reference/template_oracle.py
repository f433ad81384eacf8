"""Renders chat templates with Python's jinja2, set up as Hugging Face transformers does it."""
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

# The moment that `strftime_now` prints in all goldens.
NOW = datetime.datetime(2025, 7, 20, 8, 26, 40)


class Generation(jinja2.ext.Extension):
    """{% generation %}: transformers notes where its text lies; the text itself passes through."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


class Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """As transformers has it, but for one thing: jinja2 folds constants, and folding makes an
    impossible slice of a literal undefined where the same slice of a variable is an error. llmos
    says error both times."""

    def getitem(self, obj, argument):
        return obj[argument] if isinstance(argument, slice) else super().getitem(obj, argument)


def environment():
    env = Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


ENVIRONMENT = environment()


def error_kind(e):
    """One word for what llmos answers with an error code."""
    message = str(e)
    is_unknown = "No filter named" in message or "No test named" in message
    if is_unknown or (isinstance(e, jinja2.TemplateSyntaxError) and "unknown tag" in message):
        closes = "unknown tag 'end" in message or "unknown tag 'el" in message
        return "bad_file" if closes else "unsupported"
    if isinstance(e, (jinja2.TemplateSyntaxError, SyntaxError)):
        return "bad_file"
    return "over_limit" if "Range too big" in message else "invalid_argument"


def render(source, variables):
    """{"output": text}, or {"error": kind} with {"raised": text} of raise_exception."""
    try:
        return {"output": ENVIRONMENT.from_string(source).render(**variables)}
    except RecursionError:
        return {"error": "over_limit"}
    except Exception as e:  # whatever Python raises is the answer
        out = {"error": error_kind(e)}
        if type(e) is jinja2.exceptions.TemplateError:
            out["raised"] = str(e.message)
        return out


def chat_variables(conversation, add_generation_prompt, extra=None):
    """What transformers passes to a chat template."""
    return {
        "messages": conversation["messages"],
        "tools": conversation.get("tools"),
        "documents": None,
        "add_generation_prompt": add_generation_prompt,
        "bos_token": "<s>",
        "eos_token": "</s>",
        **conversation.get("extra", {}),
        **(extra or {}),
    }
