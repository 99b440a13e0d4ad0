"""What an emitter holds, for comparing."""


def contents(events):
    """Return {event: handlers in their order} and the ids that are taken."""
    found = {}
    inner = getattr(events, "_emitter", events)

    def walk(node, path):
        values = node["values"]
        handlers = [h for section in values or () for h in section]
        if handlers:
            found[".".join(path)] = handlers
        for name, child in node["children"].items():
            walk(child, (*path, name))

    walk(inner._handlers._root, ())
    ids = {key: entry["handler"] for key, entry in inner._unique_id_handlers.items()}
    return {**found, "ids": ids}
