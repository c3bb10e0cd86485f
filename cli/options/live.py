"""Options for watching a run while it goes on."""

from __future__ import annotations

import click

from yolact.cli.options.groups import option_group
from yolact.runtime.live.address import DEFAULT_ADDRESS, Address
from yolact.runtime.live.options import LiveOptions


def _parse_address(context: click.Context, parameter: click.Parameter, value: str | None) -> Address | None:
    try:
        return None if value is None else Address.parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}; put sources before --serve, or an address after it") from None


@option_group(
    "live_options",
    click.option(
        "--show", is_flag=True, help="Show videos in a window during the run; q, Esc or closing it ends the run."
    ),
    click.option(
        "--serve",
        is_flag=False,
        flag_value=str(DEFAULT_ADDRESS),
        metavar="[HOST:PORT]",
        callback=_parse_address,
        help=f"Show videos on a web page during the run, at this address or {DEFAULT_ADDRESS}.",
    ),
)
def live_options(show: bool, serve: Address | None) -> LiveOptions:
    """Where videos are watched."""
    return LiveOptions(show, serve)
