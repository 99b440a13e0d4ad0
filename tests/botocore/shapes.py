"""Botocores of other shapes: each function here changes one private thing."""

import inspect

from botocore import client, hooks, httpsession
from botocore.context import ClientContext
from botocore.response import StreamingBody
from urllib3.response import HTTPResponse

from resilience.botocore import connections


SHAPES = {}


def shape(*, service="sqs", code="not-protected", bare=True):
    """Note a function that changes botocore, and what is said about it."""

    def note(change):
        SHAPES[change.__name__] = (change, service, code, bare)
        return change

    return note


def _other(monkeypatch, name, value):
    """Give each emitter that is made from now on *value* in the place of *name*."""
    native = hooks.HierarchicalEmitter.__copy__

    def copied(self):
        made = native(self)
        _set(made, name, value(getattr(made, name)))
        return made

    def _set(one, name, value):
        vars(one)[name] = value

    monkeypatch.setattr(hooks.HierarchicalEmitter, "__copy__", copied)


class Tree:
    """A tree of handlers that shows nothing of its inside."""

    def __init__(self, inner, root=None):
        self._inner = inner
        self.prefix_search = inner.prefix_search
        self.append_item = inner.append_item
        self.remove_item = inner.remove_item
        if root is not None:
            self._root = root


@shape()
def emitter_without_a_root(monkeypatch):
    _other(monkeypatch, "_handlers", Tree)


@shape()
def emitter_with_other_nodes(monkeypatch):
    _other(monkeypatch, "_handlers", lambda inner: Tree(inner, {"next": {}}))


@shape()
def emitter_with_fixed_lists(monkeypatch):
    root = {"children": {}, "values": ((), (), ())}
    _other(monkeypatch, "_handlers", lambda inner: Tree(inner, root))


@shape()
def retry_handler_under_another_id(monkeypatch):
    native = hooks.HierarchicalEmitter.register

    def register(self, event_name, handler, unique_id=None, *more):
        if unique_id == "retry-config-sqs":
            unique_id = "retry-strategy-sqs"
        return native(self, event_name, handler, unique_id, *more)

    monkeypatch.setattr(hooks.HierarchicalEmitter, "register", register)


@shape()
def retry_handler_for_another_event(monkeypatch):
    native = hooks.HierarchicalEmitter.register

    def register(self, event_name, handler, unique_id=None, *more):
        if unique_id == "retry-config-sqs":
            event_name = "needs-retry.*.*"
        return native(self, event_name, handler, unique_id, *more)

    monkeypatch.setattr(hooks.HierarchicalEmitter, "register", register)


@shape()
def a_client_of_another_shape(monkeypatch):
    def changed(events):
        raise AttributeError(events)

    monkeypatch.setattr("resilience.botocore.takeover.Slots", changed)


@shape()
def classes_made_otherwise(monkeypatch):
    native = client.ClientCreator._create_client_class

    def create(self, service_name, service_model):
        events = self._event_emitter
        emit = events.emit

        def renamed(name, **kwargs):
            if name.startswith("creating-client-class"):
                bases = kwargs.pop("base_classes")
                kwargs["bases"] = bases
                for handler in events._emitter._handlers.prefix_search(name):
                    if handler.__module__.startswith("resilience."):
                        handler(event_name=name, **kwargs)
                return []
            return emit(name, **kwargs)

        vars(events)["emit"] = renamed
        try:
            return native(self, service_name, service_model)
        finally:
            del vars(events)["emit"]

    monkeypatch.setattr(client.ClientCreator, "_create_client_class", create)


@shape()
def calls_under_another_name(monkeypatch):
    native = client.BaseClient._make_api_call
    monkeypatch.delattr(client.BaseClient, "_make_api_call")
    monkeypatch.setattr(client.BaseClient, "_call", native, raising=False)

    def make(self, name, operation, _doc):
        return lambda one, **kwargs: one._call(operation, kwargs)

    monkeypatch.setattr(
        client.ClientCreator,
        "_create_api_method",
        lambda self, name, operation, model: make(self, name, operation, None),
    )


@shape()
def a_model_of_another_shape(monkeypatch):
    def changed(*_):
        raise AttributeError

    monkeypatch.setattr("resilience.botocore.guard.Operation", changed)


@shape(code="unknown-event", bare=False)
def requests_without_a_context(monkeypatch):
    native = hooks.HierarchicalEmitter._emit

    def emit(self, event_name, kwargs, **more):
        request = kwargs.get("request")
        if event_name.startswith("request-created") and request is not None:
            kwargs = {**kwargs, "request": Hidden(request)}
        return native(self, event_name, kwargs, **more)

    monkeypatch.setattr(hooks.HierarchicalEmitter, "_emit", emit)


class Hidden:
    """A request that only our handler finds changed."""

    def __init__(self, inner):
        vars(self)["_inner"] = inner

    def __getattr__(self, name):
        code = inspect.currentframe().f_back.f_globals["__name__"]
        if name == "context" and code.startswith("resilience."):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __setattr__(self, name, value):
        setattr(self._inner, name, value)


@shape(code="soft-deadlines", bare=False)
def another_endpoint(monkeypatch):
    native = connections.install

    def install(one):
        endpoint_of = vars(one).pop("_endpoint")
        try:
            return native(one)
        finally:
            vars(one)["_endpoint"] = endpoint_of

    monkeypatch.setattr("resilience.botocore.guard.install", install)


@shape(code="soft-deadlines", bare=False)
def another_pool(monkeypatch):
    native = httpsession.URLLib3Session.__init__

    def init(self, *args, **kwargs):
        native(self, *args, **kwargs)
        self._pools = vars(self).pop("_pool_classes_by_scheme")

    monkeypatch.setattr(httpsession.URLLib3Session, "__init__", init)


@shape(code="soft-deadlines", bare=False)
def another_manager(monkeypatch):
    native = httpsession.URLLib3Session.__init__

    def init(self, *args, **kwargs):
        native(self, *args, **kwargs)
        manager = self._manager
        manager.pool_classes_by_scheme = dict(manager.pool_classes_by_scheme)

    monkeypatch.setattr(httpsession.URLLib3Session, "__init__", init)


@shape(code="soft-deadlines", bare=False)
def connections_that_open_otherwise(monkeypatch):
    class Blank:
        """No `_new_conn`."""

    monkeypatch.setattr(connections, "_NATIVE", (Blank, Blank))


@shape(service="s3", code="deadline-not-carried", bare=False)
def s3transfer_without_contexts(monkeypatch):
    import s3transfer.futures

    monkeypatch.delattr(s3transfer.futures, "get_context")


@shape(service="s3", code="deadline-not-carried", bare=False)
def contexts_that_hold_nothing(monkeypatch):
    class Fixed:
        __slots__ = ()

    assert ClientContext is not None
    monkeypatch.setattr("resilience.botocore.transfer.ClientContext", Fixed)


@shape(service="s3", code="body-unwatched", bare=False)
def bodies_of_another_shape(monkeypatch):
    native = StreamingBody.__init__

    def init(self, raw_stream, content_length):
        native(self, raw_stream, content_length)
        self._stream = vars(self).pop("_raw_stream")

    def read(self, amt=None):
        return self._stream.read(amt)

    monkeypatch.setattr(StreamingBody, "__init__", init)
    monkeypatch.setattr(StreamingBody, "read", read)


@shape(service="s3", code="body-unwatched", bare=False)
def responses_of_another_shape(monkeypatch):
    native = HTTPResponse._error_catcher
    monkeypatch.delattr(HTTPResponse, "_error_catcher")
    for name in ("_raw_read", "read"):
        function = getattr(HTTPResponse, name)

        def wrapped(self, *args, _function=function, **kwargs):
            type(self)._error_catcher = native
            try:
                return _function(self, *args, **kwargs)
            finally:
                if "_error_catcher" in vars(type(self)):
                    del type(self)._error_catcher

        monkeypatch.setattr(HTTPResponse, name, wrapped)
