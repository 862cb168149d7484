"""Topics: the templates of routes, the filters to subscribe to, and the names they yield."""

from penstock.topics.names import check_name
from penstock.topics.router import Router

__all__ = ["Router", "check_name"]
