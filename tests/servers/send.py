#!/usr/bin/env python3
"""Hands one message for each scenario of answers.py to a mail server's sendmail command.

    send.py COMMAND…        '{sender}' and '{recipients}' in the command are replaced
"""
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from answers import ANSWERS

MESSAGE = """From: News <{sender}>
To: {to}
Subject: Offers of the week {n}
Date: Sun, 29 Nov 2026 10:00:00 +0000
Message-ID: <m{n}@sender.example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

Hello,
this is what we have for you this week.
{filling}"""


def send(n):
    stage, sender = ANSWERS[n][0], "s%d@sender.example.org" % n
    to = ["user%d@d%d.example.com" % (n, n)]
    if stage == "rcpt" and n % 3 == 0:
        to.append("good%d@d%d.example.com" % (n, n))
    filling = ("x" * 70 + "\n") * 2000 if stage == "size" else ""
    command = [word.replace("{sender}", sender) for word in sys.argv[1:]]
    at = command.index("{recipients}")
    command[at : at + 1] = to
    text = MESSAGE.format(sender=sender, to=", ".join(to), n=n, filling=filling)
    subprocess.run(command, input=text.encode(), capture_output=True, timeout=300)


with ThreadPoolExecutor(4) as pool:
    list(pool.map(send, range(len(ANSWERS))))
