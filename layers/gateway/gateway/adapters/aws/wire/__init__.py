"""AWS on asyncio itself: signatures, HTTP/1.1 and event streams for the calls that every request makes."""
