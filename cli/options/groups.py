"""Groups of options that reach a command as one object."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def option_group(keyword: str, *options: Decorator) -> Callable[[Callable[..., Any]], Decorator]:
    """Turn a function of the values of some options into a decorator that gives a command these options.

    The command gets the function's result as its argument `keyword`. A UsageError raised by the function ends the
    command like one raised by the command itself.
    """

    def as_decorator(make: Callable[..., Any]) -> Decorator:
        names = list(inspect.signature(make).parameters)

        def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(command)
            def collected(**values: Any) -> Any:
                made = make(*(values.pop(name) for name in names))
                return command(**values, **{keyword: made})

            with_options: Callable[..., Any] = collected
            for option in reversed(options):
                with_options = option(with_options)
            return with_options

        return decorate

    return as_decorator


def given_options(*names: str) -> tuple[str, ...]:
    """The options with these parameter names that are on the command line, as they are written there."""
    context = click.get_current_context()
    return tuple(
        (parameter.secondary_opts if context.params.get(str(parameter.name)) is False else parameter.opts)[0]
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    )
