"""Any function under a policy, no protocol needed: `python -m examples.any_function`.

`engine.call` gives the function its attempt: the number, and the seconds it has.
"""

import asyncio
from typing import Any

import resilience


POLICY = """
version: 1
edition: "2026.11"
name: rates
app:
  operations:
    rates/quote:
      timeout: 1s
      attempt_timeout: 300ms
      idempotency: safe
      retry: {max_attempts: 4, initial_backoff: 10ms}
"""


def main() -> list[str]:
    """Fetch a rate that needs three attempts, both ways."""
    engine = resilience.PolicyEngine.from_text(POLICY)

    def fetch(attempt: Any) -> str:
        print(f"attempt {attempt.number}, {attempt.timeout_s:.3f} s for it")
        if attempt.number < 3:
            msg = "no route to the rates service"
            raise ConnectionError(msg)
        return "EUR 1.09"

    async def afetch(attempt: Any) -> str:
        await asyncio.sleep(0)
        return fetch(attempt)

    async def quote() -> str:
        return await engine.acall("app:rates/quote", afetch, idempotency="safe")

    rates = [
        engine.call("app:rates/quote", fetch, idempotency="safe"),
        asyncio.run(quote()),
    ]
    print(rates)
    engine.close()
    return rates


if __name__ == "__main__":
    main()
