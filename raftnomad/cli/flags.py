"""What every command that talks to an agent shares: the flags that say which agent, and how to reach it.

Values come from the flag, else from Nomad's environment variable, else from the default.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from raftnomad.sdk.http import ApiClient, ClientSettings

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A leaf of the tree: flags first, then arguments; `-h`, `-help` and `--help` print its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {}).update(
            help_option_names=["-h", "-help", "--help"], max_content_width=100
        )
        super().__init__(*args, **kwargs)
        self.allow_interspersed_args = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._without_boolean_values(ctx, args))

    def _without_boolean_values(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Go's boolean flags take a value only behind `=`, and never the next word; click's take none."""
        booleans = {name for name, option in self._options(ctx).items() if option.is_flag}
        left: list[str] = []
        words = iter(args)
        for word in words:
            name, separator, value = word.partition("=")
            if word in ("-", "--") or not word.startswith("-"):
                return [*left, word, *words]
            if name not in self._options(ctx) and name not in ctx.help_option_names:
                raise click.UsageError(f"flag provided but not defined: {name}")
            if name not in booleans:
                left.append(word)
                if not separator and name in self._options(ctx):
                    left.extend(value for value in [next(words, None)] if value is not None)
            elif not separator or go_bool(name, value):
                left.append(name)
            else:
                left = [other for other in left if other.lstrip("-") != name.lstrip("-")]
        return left

    def _options(self, ctx: click.Context) -> dict[str, click.Option]:
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        return {name: option for option in options for name in option.opts}


def go_bool(name: str, value: str) -> bool:
    """Go's spellings of a boolean; raises a usage error for others."""
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise click.UsageError(f'invalid boolean value "{value}" for {name}: parse error')


def command(usage: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command whose usage line ends with `usage`, e.g. `[options] <job>`."""
    return click.command(cls=Command, options_metavar=usage)


def option(name: str, help: str, **settings: Any) -> Callable[[F], F]:
    """A flag `-name value`, also spelled `--name`; it becomes the argument `name`."""
    variable = settings.pop("variable", name.replace("-", "_"))
    return click.option(f"-{name}", f"--{name}", variable, help=help, **settings)


def switch(name: str, help: str, **settings: Any) -> Callable[[F], F]:
    """A boolean flag: `-name`, or with a value in Go's spelling `-name=false`."""
    return option(name, help, is_flag=True, default=False, **settings)


_CONNECTION_FLAGS = (
    ("address", "The address of the Nomad server. Default http://127.0.0.1:4646 [NOMAD_ADDR]"),
    ("region", "The region of the servers to forward commands to [NOMAD_REGION]"),
    ("namespace", "The target namespace for queries and actions [NOMAD_NAMESPACE]"),
    ("token", "The SecretID of an ACL token [NOMAD_TOKEN]"),
    ("ca-cert", "Path to a PEM encoded CA certificate file [NOMAD_CACERT]"),
    ("ca-path", "Path to a directory of PEM encoded CA certificate files [NOMAD_CAPATH]"),
    ("client-cert", "Path to a PEM encoded client certificate [NOMAD_CLIENT_CERT]"),
    ("client-key", "Path to an unencrypted PEM encoded private key [NOMAD_CLIENT_KEY]"),
    ("tls-server-name", "The server name to use as the SNI host [NOMAD_TLS_SERVER_NAME]"),
)


def connects(function: F) -> Callable[..., Any]:
    """Give a command the connection's flags; the function gets one `api: ApiClient` in their place."""

    @functools.wraps(function)
    def wrapper(**values: Any) -> Any:
        settings = ClientSettings.from_environment()
        names = [flag.replace("-", "_") for flag, _ in _CONNECTION_FLAGS]
        given = {name: values.pop(name) for name in names}
        changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        skip, insecure = values.pop("tls_skip_verify"), values.pop("insecure")
        no_color, force_color = values.pop("no_color"), values.pop("force_color")
        if no_color:
            os.environ["NOMAD_CLI_NO_COLOR"] = "1"
        if force_color:
            os.environ["NOMAD_CLI_FORCE_COLOR"] = "1"
        if skip or insecure:
            changed["tls_skip_verify"] = True
        base = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
        return function(api=ApiClient(ClientSettings(**{**base, **changed})), **values)

    decorated: Callable[..., Any] = wrapper
    for name in ("force-color", "no-color", "insecure", "tls-skip-verify"):
        decorated = switch(name, _SWITCHES[name])(decorated)
    for name, text in reversed(_CONNECTION_FLAGS):
        decorated = option(name, text, default=None)(decorated)
    return decorated


_SWITCHES = {
    "force-color": "Force colours even where the output is no terminal [NOMAD_CLI_FORCE_COLOR]",
    "no-color": "Disable colours [NOMAD_CLI_NO_COLOR]",
    "insecure": "Same as -tls-skip-verify",
    "tls-skip-verify": "Do not verify the TLS certificate [NOMAD_SKIP_VERIFY]",
}
