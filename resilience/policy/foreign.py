"""Words of other systems, and what they are called here.

Only for hints: nothing in this table is ever accepted. Sources of the words: gRPC
service config, Envoy, Istio, Linkerd, Resilience4j, Hystrix, Polly, botocore,
tenacity, backoff, pybreaker.
"""

import re
from collections.abc import Callable
from typing import Final

from . import sizes


Say = Callable[[str], str]


def _same(text: str) -> str:
    return text


def _plus_one(text: str) -> str:
    """Retries to attempts: the first one counts here."""
    return str(int(text) + 1) if re.fullmatch(r"\d{1,6}", text) else ""


def _share(text: str) -> str:
    """Percent to a ratio."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%?", text)
    return f"{float(found[1]) / 100:g}" if found else ""


def _seconds(text: str) -> str:
    return f"{text}s" if re.fullmatch(r"\d+(\.\d+)?", text) else text


def _milliseconds(text: str) -> str:
    return f"{text}ms" if re.fullmatch(r"\d+", text) else text


def _calls(text: str) -> str:
    return f"{text} calls" if re.fullmatch(r"\d+", text) else text


def _bytes(text: str) -> str:
    return sizes.show(int(text)) if re.fullmatch(r"[1-9]\d{0,9}", text) else text


def _buffer(text: str) -> str:
    return f"{{size: {_bytes(text)}}}"


def _regions(text: str) -> str:
    return f"[{{region: {text}}}]" if re.fullmatch(r"[a-z0-9-]+", text) else ""


def _codes(text: str) -> str:
    words = re.findall(r"[A-Za-z_]+", text)
    return f"[default, {', '.join(w.upper() for w in words)}]" if words else "[default]"


WORDS: Final[dict[str, tuple[str, Say]]] = {
    # counting
    "numretries": ("max_attempts", _plus_one),
    "retries": ("max_attempts", _plus_one),
    "maxretries": ("max_attempts", _plus_one),
    "maxretryattempts": ("max_attempts", _plus_one),
    "retrycount": ("max_attempts", _plus_one),
    "totalmaxattempts": ("max_attempts", _same),
    "maxtries": ("max_attempts", _same),
    "attempts": ("max_attempts", _same),
    "stopafterattempt": ("max_attempts", _same),
    # times
    "pertrytimeout": ("attempt_timeout", _seconds),
    "readtimeout": ("attempt_timeout", _seconds),
    "connecttimeout": ("attempt_timeout", _seconds),
    "requesttimeout": ("attempt_timeout", _seconds),
    "deadline": ("timeout", _seconds),
    "totaltimeout": ("timeout", _seconds),
    "maxtime": ("timeout", _seconds),
    "maxelapsedtime": ("timeout", _seconds),
    # backoff
    "baseinterval": ("initial_backoff", _seconds),
    "initialinterval": ("initial_backoff", _seconds),
    "initialdelay": ("initial_backoff", _seconds),
    "waitduration": ("initial_backoff", _seconds),
    "basedelay": ("initial_backoff", _seconds),
    "maxinterval": ("max_backoff", _seconds),
    "maxdelay": ("max_backoff", _seconds),
    "maxwait": ("max_backoff", _seconds),
    "multiplier": ("backoff_multiplier", _same),
    "exponentialbackoffmultiplier": ("backoff_multiplier", _same),
    "factor": ("backoff_multiplier", _same),
    # codes
    "retryablestatuscodes": ("retry_on", _codes),
    "nonfatalstatuscodes": ("retry_on", _codes),
    "retryon": ("retry_on", _codes),
    "retryableerrors": ("retry_on", _codes),
    "statuscodes": ("retry_on", _codes),
    # budget
    "budgetpercent": ("ratio", _share),
    "retryratio": ("ratio", _same),
    "percentcanretry": ("ratio", _same),
    "minretriespersecond": ("min_per_second", _same),
    "minretrypersecond": ("min_per_second", _same),
    # who answers instead
    "fallbackmethod": ("fallback", _same),
    "fallbackaction": ("fallback", _same),
    "fallbackto": ("fallback", _same),
    "fallbackfn": ("fallback", _same),
    "failoverregions": ("failover", _same),
    "failoverregion": ("failover", _regions),
    "failoverto": ("failover", _regions),
    "secondaryregion": ("failover", _regions),
    "backupregion": ("failover", _regions),
    "fallbackregion": ("failover", _regions),
    "mappings": ("rename", _same),
    "renames": ("rename", _same),
    "endpoint": ("endpoint_url", _same),
    "endpointurl": ("endpoint_url", _same),
    # streams and channels
    "perrpcbufferlimit": ("retry_buffer", _buffer),
    "perrpcretrybuffersize": ("retry_buffer", _buffer),
    "maxretrybuffersize": ("retry_buffer", _buffer),
    "retrybuffersize": ("retry_buffer", _buffer),
    "keepalivetime": ("time", _seconds),
    "keepalivetimems": ("time", _milliseconds),
    "keepalivetimeout": ("timeout", _seconds),
    "keepalivetimeoutms": ("timeout", _milliseconds),
    "permitwithoutstream": ("without_calls", _same),
    "permitkeepalivewithoutcalls": ("without_calls", _same),
    "keepalivepermitwithoutcalls": ("without_calls", _same),
    "loadbalancingpolicy": ("load_balancing", _same),
    "loadbalancingconfig": ("load_balancing", _same),
    "lbpolicy": ("load_balancing", _same),
    "lbpolicyname": ("load_balancing", _same),
    "maxreconnectbackoffms": ("max_backoff", _milliseconds),
    "initialreconnectbackoffms": ("initial_backoff", _milliseconds),
    "healthcheckconfig": ("health_check", _same),
    "maxreceivemessagelength": ("max_receive_size", _bytes),
    "maxsendmessagelength": ("max_send_size", _bytes),
    "maxresponsemessagebytes": ("max_receive_size", _bytes),
    "maxrequestmessagebytes": ("max_send_size", _bytes),
    # about breakers
    "failureratethreshold": ("failure_ratio", _share),
    "failurethreshold": ("failure_ratio", _share),
    "errorthresholdpercentage": ("failure_ratio", _share),
    "failurerate": ("failure_ratio", _share),
    "slidingwindowsize": ("window", _calls),
    "samplingduration": ("window", _seconds),
    "minimumnumberofcalls": ("min_calls", _same),
    "minimumthroughput": ("min_calls", _same),
    "requestvolumethreshold": ("min_calls", _same),
    "slowcalldurationthreshold": ("slow_call", _seconds),
    "slowcallratethreshold": ("slow_ratio", _share),
    "waitdurationinopenstate": ("open_for", _seconds),
    "breakduration": ("open_for", _seconds),
    "resettimeout": ("open_for", _seconds),
    "recoverytimeout": ("open_for", _seconds),
    "baseejectiontime": ("open_for", _seconds),
    "sleepwindowinmilliseconds": ("open_for", _milliseconds),
    "sleepwindow": ("open_for", _milliseconds),
    "permittednumberofcallsinhalfopenstate": ("probes", _same),
    "slowstartwindow": ("ramp", _seconds),
    # hedging
    "maxhedgedattempts": ("max_hedges", _same),
    "delay": ("hedging_delay", _seconds),
    # mechanisms and rules
    "circuitbreaker": ("breaker", _same),
    "outlierdetection": ("breaker", _same),
    "retrypolicy": ("retry", _same),
    "retrythrottling": ("retry_budget", _same),
    "retryquota": ("retry_budget", _same),
    "hedgingpolicy": ("hedging", _same),
    "bulkhead": ("limiter", _same),
    "concurrencylimit": ("limiter", _same),
    "idempotent": ("idempotency", lambda text: "safe" if text == "true" else "none"),
    "priority": ("criticality", _same),
    "enabled": ("mode", lambda text: "enforce" if text == "true" else "bypass"),
    "dryrun": ("mode", lambda text: "observe" if text == "true" else "enforce"),
    "team": ("owner", _same),
    # sections
    "defaults": ("all", _same),
    "default": ("all", _same),
    "services": ("operations", _same),
    "boto": ("aws", _same),
    "botocore": ("aws", _same),
    "boto3": ("aws", _same),
}


VALUES: Final[dict[str, tuple[str, ...]]] = {
    "high": ("critical",),
    "medium": ("sheddable_plus",),
    "low": ("sheddable",),
    "idempotent": ("safe",),
    "readonly": ("safe",),
    "true": ("safe", "enforce"),
    "on": ("enforce", "safe"),
    "yes": ("safe", "enforce"),
    "false": ("none", "bypass", "off"),
    "off": ("bypass", "none"),
    "no": ("none", "bypass"),
    "disabled": ("bypass",),
    "enabled": ("enforce",),
    "shadow": ("observe",),
    "dry-run": ("observe",),
    "dry_run": ("observe",),
    "monitor": ("observe",),
    "block": ("wait",),
    "queue": ("wait",),
    "fail": ("reject",),
    "closed": ("disabled",),
    "forced_open": ("open",),
    "exponential": ("full",),
    "random": ("full",),
    "standard": ("aws-standard-2.1",),
    "legacy": ("honour-client-config",),
    "adaptive": ("aws-standard-2.1",),
    "throttling": ("tokens",),
    "percentage": ("ratio",),
    "shared": ("host",),
    "local": ("process",),
}
"""Words of others for a value -> ours, the first that is allowed there."""


def meant(key: str, text: str) -> tuple[str, str] | None:
    """Return our key and value for another system's *key*; None: not known.

    The value is empty where it cannot be carried over.
    """
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    found = WORDS.get(plain)
    if found is None:
        return None
    word, say = found
    return word, say(text) if text else ""


def snake(key: str) -> str:
    """Return a camelCase or kebab-case *key* in snake case."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower().replace("-", "_")
