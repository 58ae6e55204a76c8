"""A crowd of clients that all log in with a wrong password at the same moment; a process of its own, run by test_flood.

    attack.py PORT COUNT   opens COUNT TLS connections, prints `ready`, waits for a line, sends every AUTH at once,
                           prints a JSON object {first reply digits of the AUTH answers: how many}

It stops at the first answer of each connection and never tries again.

Diagnostics: a connection that fails counts under the exception's name.
"""

import asyncio
import base64
import json
import ssl
import sys
from collections import Counter

WRONG = base64.b64encode(b"\0alice\0wrong password")


async def read_reply(reader):
    """One reply's last line, or b"" at the end of the connection."""
    line = await reader.readline()
    while line[3:4] == b"-":
        line = await reader.readline()
    return line


async def attack(port, go, opened):
    """One client's life; returns what came of it as a word."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, ssl_handshake_timeout=60)
        await read_reply(reader)
        writer.write(b"EHLO flood.example.net\r\n")
        await read_reply(reader)
    except OSError as error:
        opened.release()
        return type(error).__name__
    opened.release()
    await go.wait()
    writer.write(b"AUTH PLAIN " + WRONG + b"\r\n")
    reply = await read_reply(reader)
    writer.close()
    return reply[:3].decode() or "closed"


async def main(port, count):
    """Gather the crowd, wait for the word, count the answers."""
    go, opened = asyncio.Event(), asyncio.Semaphore(0)
    clients = [asyncio.create_task(attack(port, go, opened)) for _ in range(count)]
    for _ in range(count):
        await opened.acquire()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    go.set()
    print(json.dumps(Counter(await asyncio.gather(*clients))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
