"""An SMTP server on a free port. Takes every mail, but nobody@… never, and later@… and relay@… not the first time."""

import asyncio
import json
import sys
from email import message_from_bytes

from aiosmtpd.smtp import SMTP


class Sink:
    def __init__(self):
        self.asked_before = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@") and address not in self.asked_before:
            self.asked_before.add(address)
            return "451 4.3.0 try again later"
        if address.startswith("relay@") and address not in self.asked_before:
            self.asked_before.add(address)
            return "550 5.7.1 you may not relay here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content)
        body = mail.get_payload(decode=True).decode()
        line = {
            "to": envelope.rcpt_tos,
            "from": mail["From"],
            "subject": mail["Subject"],
            "message_id": mail["Message-ID"],
            "date": mail["Date"],
            "body": body,
        }
        print(json.dumps(line))
        return "250 taken"


async def main():
    sink = Sink()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(sink), "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}))
    # Ends with the test that holds the other end.
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
