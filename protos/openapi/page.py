"""The OpenAPI document as an HTML page without scripts."""

import re
from collections.abc import Iterable
from html import escape
from typing import Any

TEMPLATE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: HTTP</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/page.css">
<nav><h2>Calls</h2>
{calls}
<h2>Messages</h2>
{messages}
</nav>
<main><h1>{title}</h1>
<p class="soft">Version {version} · <a href="/openapi.json">openapi.json</a></p>
{sections}
</main>
"""
ITEM = re.compile(r"^ *(?:-|\d+\.) +", re.MULTILINE)


def page(document: dict[str, Any]) -> str:
    """Return the page that shows *document*."""
    schemas = document["components"]["schemas"].items()
    calls = [(path, *call) for path, verbs in document["paths"].items() for call in verbs.items()]
    return TEMPLATE.format(
        title=document["info"]["title"],
        version=document["info"]["version"],
        calls="\n".join(_link(verb + path, _verb(verb) + path) for path, verb, _ in calls),
        messages="\n".join(_link(name, name) for name, _ in schemas),
        sections="\n".join(
            [
                _prose(document["info"]["description"]),
                *(_call(path, verb, call) for path, verb, call in calls),
                *(_schema(name, schema) for name, schema in schemas),
            ]
        ),
    )


def _call(path: str, verb: str, call: dict[str, Any]) -> str:
    summary = f"<strong>{_text(call['summary'])}.</strong>"
    # a description starts with its summary
    parts = [
        f"<p>{summary}{' Needs no API key.' if 'security' in call else ''}</p>",
        _prose(call.get("description", "")[len(call["summary"]) + 1 :]),
    ]
    if parameters := call.get("parameters"):
        rows = [
            (_code(each["name"]), each["in"], _type(each["schema"]), _prose(each["description"]))
            for each in parameters
        ]
        parts += ["<h3>Parameters</h3>", _table("Name|In|Type|", rows)]
    if body := call.get("requestBody"):
        [(media_type, content)] = body["content"].items()
        parts.append(f"<h3>Request</h3>\n<p>{media_type}: {_type(content['schema'])}</p>")
    responses = []
    for status, response in call["responses"].items():
        [content] = response["content"].values()
        responses.append((status, _type(content["schema"]), _prose(response["description"])))
    parts += ["<h3>Responses</h3>", _table("Status|Body|", responses)]
    return _section(verb + path, f"{_verb(verb)}{_code(path)}", parts)


def _schema(name: str, schema: dict[str, Any]) -> str:
    parts = [_prose(schema["description"])]
    if "properties" in schema:
        rows = []
        for field, each in schema["properties"].items():
            optional = "" if field in schema.get("required", ()) else '<span class="soft"> ?</span>'
            rows.append((_code(field) + optional, _type(each), _prose(each.get("description", ""))))
        parts.append(_table("Field|Type|", rows))
    return _section(name, name, parts)


def _section(target: str, title: str, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return f'<section id="{target}">\n<h2>{title}</h2>\n{body}\n</section>'


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _link(name, name)
    if "properties" in schema:
        return _code(", ".join(schema["properties"]))
    if "anyOf" in schema:
        return f"{_type(schema['anyOf'][0])} or null"
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return ", ".join([" or ".join(types), *([schema["format"]] if "format" in schema else [])])


def _table(titles: str, rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{title}</th>' for title in titles.split("|"))
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _prose(markdown: str) -> str:
    """Render paragraphs and lists."""
    blocks = []
    for block in re.split(r"\n\s*\n", markdown.strip()):
        kind = "ul" if block.lstrip().startswith("-") else "ol"
        items = "".join(f"<li>{_text(item)}</li>" for item in ITEM.split(block)[1:])
        blocks.append(
            f"<{kind}>{items}</{kind}>" if ITEM.match(block) else f"<p>{_text(block)}</p>"
        )
    return "\n".join(blocks)


def _text(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text.strip(), quote=False))


def _code(text: str) -> str:
    return f"<code>{escape(text, quote=False)}</code>"


def _verb(verb: str) -> str:
    return f'<span class="verb {verb}">{verb.upper()}</span>'


def _link(target: str, html: str) -> str:
    return f'<a href="#{target}">{html}</a>'
