"""aiobotocore clients under the same engine: nothing here ever blocks the event loop.

What decides is the blocking adapter's; here is what waits, what bounds a request and
its body on asyncio, and what aiohttp and httpx say. Loaded when the first aiobotocore
client or session is registered; import nothing from here.
"""
