"""What MkDocs cannot do by itself: pages made from zoo's code, and links to files outside ``docs/``.

A comment ``<!-- generated: NAME -->`` in a page is replaced by what `GENERATED` holds under this name. A page may link
to any file of the repository, by its path as it lies there; those outside ``docs/`` become part of the site.
"""

from __future__ import annotations

import ast
import functools
import html
import importlib.resources
import importlib.util
import inspect
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LOG = logging.getLogger("mkdocs.hooks")
PUBLIC = ("zoo", "zoo.spec", "zoo.testing", "zoo.layers", "zoo.tasks.detectors")
# Pages whose tables need the room of the table of contents
WIDE = ("recipes.md", "reference/models.md", "reference/recipe-fields.md", "reference/speed.md")
ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
FENCE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Bring in each file outside ``docs/`` that a page links to, and what those link to in turn."""
    waiting = [DOCS / file.src_uri for file in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        for target in _linked(page):
            place = target.relative_to(ROOT)
            if target.is_relative_to(DOCS) or files.get_file_from_path(place.as_posix()):
                continue
            files.append(File.generated(config, place.as_posix(), abs_src_path=str(target)))
            if target.suffix == ".md":
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put in what is generated, and aim links that leave ``docs/`` at the same files in the site."""
    source = _source(page.file.src_uri)
    if page.file.generated_by is not None:
        page.meta.setdefault("search", {"exclude": True})
    if page.file.src_uri in WIDE or page.file.generated_by is not None:
        page.meta.setdefault("hide", ["toc"])
    for name, write in GENERATED.items():
        if (marker := f"<!-- generated: {name} -->") in markdown:
            markdown = markdown.replace(marker, write())
    return _outside_code(markdown, lambda text: LINK.sub(lambda found: _aimed(found, source), text))


def on_post_build(*, config: MkDocsConfig) -> None:
    """Warn of every public name that has no place in the API pages: mkdocstrings leaves out what has no docstring."""
    pages = "".join(
        page.read_text(encoding="utf-8") for page in Path(config.site_dir, "reference", "api").glob("*.html")
    )
    for module in PUBLIC:
        for name in _public_names(module):
            if f'id="{module}.{name}"' not in pages:
                LOG.warning("%s.%s is public and has no entry in the API pages. Give it a docstring.", module, name)


def _public_names(module: str) -> list[str]:
    """Return a module's ``__all__`` as it is written, without importing TensorFlow by it."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for statement in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return ast.literal_eval(statement.value)
    raise LookupError(f"{module} has no __all__.")


def _source(uri: str) -> Path:
    """Return the file that a path in the site comes from."""
    return DOCS / uri if (DOCS / uri).exists() else ROOT / uri


def _linked(page: Path) -> Iterator[Path]:
    """Yield the repository's files that a page links to."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for found in LINK.finditer(text):
        target = (page.parent / found[2]).resolve()
        if target.is_file() and target.is_relative_to(ROOT):
            yield target


def _aimed(found: re.Match[str], source: Path) -> str:
    """Return a link as it is right in the site, where ``docs/`` is the top and the rest lies beside its pages."""
    target = (source.parent / found[2]).resolve()
    if not target.is_file() or not target.is_relative_to(ROOT):
        return found[0]  # MkDocs will say that it leads nowhere
    to = os.path.relpath(_in_site(target), _in_site(source).parent)
    return f"{found[1]}{to}{found[3] or ''}{found[4]}"


def _in_site(file: Path) -> Path:
    return file.relative_to(DOCS) if file.is_relative_to(DOCS) else file.relative_to(ROOT)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change what stands outside code."""
    pieces, end = [], 0
    for code in FENCE.finditer(text):
        pieces += [change(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, change(text[end:])])


def _settings() -> str:
    """Return a table for each section of a recipe, from the declarations of its settings."""
    from zoo.spec.recipe import SECTIONS, SETTINGS

    parts = []
    for section in ("", *SECTIONS):
        names = [name for name in SETTINGS if name.rpartition(".")[0] == section]
        if section:
            parts.append(f"## {section}\n\n{inspect.getdoc(SECTIONS[section])}")
        parts.append(_table(("setting", "short name", "type", "default", "values", "meaning"), map(_setting, names)))
    return "\n\n".join(parts)


def _setting(name: str) -> tuple[str, ...]:
    from zoo.spec import Recipe
    from zoo.spec.recipe import SETTINGS, SHORT

    field, default = SETTINGS[name], Recipe().settings()[name]
    facts = field.metadata
    short = ", ".join(_code(each) for each, full in SHORT.items() if full == name)
    values = ", ".join(_code(word) for word in facts["choices"]) or _range(facts)
    return _code(name), short, _code(str(field.type)), _code(repr(default)), values, html.escape(facts["meaning"])


def _range(facts: Mapping[str, Any]) -> str:
    low, high = facts["low"], facts["high"]
    if low is None:
        return ""
    if high == float("inf"):
        return f"from {low:g}"
    return f"{low:g} to {'below ' if facts['open_end'] else ''}{high:,.10g}"


def _commands() -> str:
    """Return each command with its usage and options, as click's own help has them."""
    from zoo.cli import main

    context = click.Context(main, info_name="zoo", max_content_width=100)
    parts = [_command(name, command) for name, command in _below(main, context)]
    return "\n\n".join(parts)


def _below(group: click.Group, context: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield inner, command
        if isinstance(command, click.Group):
            yield from _below(command, inner)


def _command(context: click.Context, command: click.Command) -> str:
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    records = [record for each in options if (record := each.get_help_record(context))]
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    return "\n\n".join(
        [
            f"## {context.command_path}",
            inspect.cleandoc(command.help or ""),
            f"```text\n{usage}\n```",
            _table(("option", "meaning"), ((_code(names), html.escape(text)) for names, text in records)),
        ]
    )


def _schema(package: str, file: str) -> str:
    """Return the keys of a document as tables, from its published JSON schema: the document's, then each part's."""
    schema = json.loads((importlib.resources.files(package) / file).read_text(encoding="utf-8"))
    parts = [schema.get("description", ""), _keys(schema)]
    for name, definition in schema.get("$defs", {}).items():
        if "properties" in definition:  # the others are types, named where they are used
            parts += [f"### {name}", definition.get("description", ""), _keys(definition)]
    return "\n\n".join(part for part in parts if part)


def _keys(schema: Mapping[str, Any]) -> str:
    return _table(("key", "type", "meaning"), _properties(schema))


def _properties(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, ...]]:
    for name, facts in schema.get("properties", {}).items():
        yield _code(prefix + name), _type(facts), facts.get("description", "")
        items = facts.get("items", {})
        yield from _properties(facts, f"{prefix}{name}.")
        yield from _properties(items, f"{prefix}{name}[].")


def _type(facts: Mapping[str, Any]) -> str:
    """Return what a JSON schema says of a value's type, in a few words."""
    if "$ref" in facts:
        return facts["$ref"].rpartition("/")[2]
    if "const" in facts:
        return _code(str(facts["const"]))
    if "enum" in facts:
        return ", ".join(_code(json.dumps(value)) for value in facts["enum"])
    kinds = facts.get("type", facts.get("anyOf", "any"))
    if not isinstance(kinds, list):
        kinds = [kinds]
    words = [kind if isinstance(kind, str) else _type(kind) for kind in kinds]
    if "array" in words and facts.get("items"):
        words[words.index("array")] = f"array of {_type(facts['items'])}"
    return " or ".join(words)


def _table(headers: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [headers, tuple("---" for _ in headers), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "&#124;") for cell in line) + " |" for line in lines)


def _code(text: str) -> str:
    """Return text as code that may stand in a table: between backticks a vertical bar would end the cell."""
    return f"<code>{html.escape(text, quote=False)}</code>"


GENERATED: dict[str, Callable[[], str]] = {
    "benchmark schema": functools.partial(_schema, "zoo.benchmarking", "schema.json"),
    "commands": _commands,
    "evaluation schema": functools.partial(_schema, "zoo.spec", "evaluation.schema.json"),
    "recipe settings": _settings,
    "run schema": functools.partial(_schema, "zoo.spec", "run.schema.json"),
}
