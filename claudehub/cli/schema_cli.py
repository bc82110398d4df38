"""`claudehub schema`: the protocol for programs."""

import json

import click


@click.command()
@click.option("--typescript", "form", flag_value="typescript", help="Types for TypeScript.")
@click.option("--asyncapi", "form", flag_value="asyncapi", help="AsyncAPI 3.0, as YAML.")
def schema(form: str | None) -> None:
    """Print the JSON Schema (2020-12) of every request, result and update.

    \b
    Example:
      claudehub schema > claudehub.schema.json
      claudehub schema --typescript > claudehub.d.ts
    """
    if form == "asyncapi":
        from protocol.asyncapi import asyncapi, yaml

        click.echo(yaml(asyncapi()), nl=False)
        return
    from protocol.schema import document

    if form == "typescript":
        from protocol.typescript import typescript

        click.echo(typescript(document()), nl=False)
    else:
        click.echo(json.dumps(document(), indent=2, ensure_ascii=False))
