#!/usr/bin/env python3
"""A world on loopback for one mail server: a name server, and one SMTP host for each scenario of answers.py.

    world.py DIRECTORY      saves what comes back to sN@sender.example.org as DIRECTORY/sN.COUNT.eml

Runs in a network namespace of its own in which 10.9.0.0/16 is local; see `make`. Scenario N is the domain
dN.example.com with the host mx.dN.example.com; relay.example.net takes the mail of all scenarios.
"""
import asyncio
import itertools
import os
import socket
import struct
import sys

from answers import ANSWERS

COLLECTOR, RELAY = "10.9.200.1", "10.9.201.1"
TYPES = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16}
count = itertools.count(1)


def host_of(scenario):
    return "10.9.%d.%d" % (scenario // 200, scenario % 200 + 1)


def scenario_of(name):
    labels = name.rstrip(".").lower().split(".")
    if labels[-2:] == ["example", "com"] and labels[-3][:1] == "d" and labels[-3][1:].isdigit():
        return int(labels[-3][1:])
    return None


def records(name, kind):
    """(rcode, records as (type, data)) of a name."""
    name = name.lower().rstrip(".")
    if name.endswith(".in-addr.arpa"):
        return 0, [("PTR", "mta.example.net")]
    fixed = {"mta.example.net": "10.9.100.1", "collect.example.org": COLLECTOR, "relay.example.net": RELAY}
    if name in fixed:
        return 0, [("A", fixed[name])]
    if name == "sender.example.org":
        return 0, [("MX", "collect.example.org")]
    scenario = scenario_of(name)
    if scenario is None or scenario >= len(ANSWERS):
        return 3, []
    stage, is_host = ANSWERS[scenario][0], name.startswith("mx.")
    if stage == "dns-nxdomain" or stage == "dns-mxnx" and is_host:
        return 3, []
    if stage == "dns-servfail":
        return 2, []
    if stage == "dns-nomx":
        return 0, [("TXT", "v=spf1 -all")]
    if is_host:
        return 0, [("A", "198.51.100.7" if stage == "noroute" else host_of(scenario))]
    return 0, [("MX", "." if stage == "dns-nullmx" else "mx." + name)]


def packed(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def data_of(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "MX":
        return struct.pack(">H", 0 if value == "." else 10) + packed(value)
    return packed(value) if kind == "PTR" else bytes([len(value)]) + value.encode()


def answer_to(query):
    """The response to a DNS query (RFC 1035)."""
    ident, flags = struct.unpack(">HH", query[:4])
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin1"))
        at += query[at] + 1
    wanted = struct.unpack(">H", query[at + 1 : at + 3])[0]
    rcode, found = records(".".join(labels), wanted)
    found = [(kind, data_of(kind, value)) for kind, value in found if TYPES[kind] == wanted]
    body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", TYPES[kind], 1, 60, len(data)) + data for kind, data in found)
    start = packed("ns.example.net") + packed("host.example.net") + struct.pack(">IIIII", 1, 60, 60, 60, 60)
    authority = b"\xc0\x0c" + struct.pack(">HHIH", 6, 1, 60, len(start)) + start if not found and rcode != 2 else b""
    head = struct.pack(">HHHHHH", ident, 0x8480 | flags & 0x100 | rcode, 1, len(found), 1 if authority else 0, 0)
    return head + query[12 : at + 5] + body + authority


class NameServer(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, address):
        self.transport.sendto(answer_to(query), address)


class Session:
    """One SMTP connection: the scenario is known by the address that was dialled, or by the recipient at the relay."""

    def __init__(self, directory, reader, writer):
        self.directory, self.reader, self.writer = directory, reader, writer
        self.host = writer.get_extra_info("sockname")[0]
        octets = [int(octet) for octet in self.host.split(".")]
        self.scenario = None if self.host in (COLLECTOR, RELAY) else octets[2] * 200 + octets[3] - 1
        self.sender = self.recipient = ""
        self.accepted = []

    def is_at(self, stage):
        return self.scenario is not None and ANSWERS[self.scenario][0] == stage

    def say(self, *lines):
        code = lines[-1][:3]
        for i, line in enumerate(lines):
            if line[:3].isdigit() and len(line) > 3:
                line = line[:3] + ("-" if i < len(lines) - 1 else " ") + line[4:]
            line = line.replace("{rcpt}", self.recipient).replace("{from}", self.sender)
            self.writer.write((line if line[:3].isdigit() else code + " " + line).encode() + b"\r\n")

    async def at(self, stage):
        """Whether the scenario answers at this stage, which it then did."""
        if self.is_at("drop-" + stage):
            await self.writer.drain()
            self.writer.transport.abort()
            raise ConnectionError
        if self.is_at(stage):
            self.say(*ANSWERS[self.scenario][1])
            return True
        return False

    async def run(self):
        refused = await self.at("greet")
        if not refused:
            self.say("220 mx.example.com ESMTP")
        while line := (await self.reader.readline()).decode("utf8", "replace"):
            verb = line[:4].upper()
            if verb == "QUIT":
                self.say("221 2.0.0 bye")
                break
            if refused:
                self.say("503 5.5.1 Bad sequence of commands")
            else:
                await self.take(verb, line)
            await self.writer.drain()

    async def take(self, verb, line):
        path = line[line.find("<") + 1 : line.find(">")]
        if verb in ("EHLO", "HELO"):
            if not await self.at("ehlo"):
                size = 300 if self.is_at("size") else 20_000_000
                extensions = ["250-PIPELINING", "250-SIZE %d" % size, "250-8BITMIME", "250-SMTPUTF8"]
                self.say("250-mx.example.com", *(extensions if verb == "EHLO" else []), "250 ENHANCEDSTATUSCODES")
        elif verb == "MAIL":
            self.sender, self.accepted = path, []
            if self.is_at("size") and "SIZE=" in line.upper():
                self.say("552 5.3.4 Message size exceeds fixed limit")
            elif not await self.at("mail"):
                self.say("250 2.1.0 Ok")
        elif verb == "RCPT":
            self.recipient = path
            if self.host == RELAY:
                self.scenario = scenario_of(path.rpartition("@")[2])
            refused = self.host == RELAY and await self.at("mail")
            if not refused and (path.startswith("good") or not await self.at("rcpt")):
                self.accepted.append(path)
                self.say("250 2.1.5 Ok")
        elif verb == "DATA":
            if await self.at("data"):
                return
            if not self.accepted:
                self.say("554 5.5.1 Error: no valid recipients")
                return
            self.say("354 End data with <CR><LF>.<CR><LF>")
            await self.writer.drain()
            await self.message()
        else:
            self.say("250 2.0.0 Ok" if verb in ("RSET", "NOOP") else "502 5.5.2 Error: command not recognized")

    async def message(self):
        lines = []
        while (line := await self.reader.readline()) not in (b"", b".\r\n"):
            lines.append(line[1:] if line.startswith(b".") else line)
        if await self.at("eod"):
            return
        name, _, domain = self.accepted[0].partition("@")
        if domain == "sender.example.org":
            with open(os.path.join(self.directory, "%s.%d.eml" % (name, next(count))), "wb") as file:
                file.write(b"Return-Path: <%s>\n" % self.sender.encode() + b"".join(lines).replace(b"\r\n", b"\n"))
        self.say("250 2.0.0 Ok: queued")


async def main(directory):
    async def serve(reader, writer):
        try:
            await Session(directory, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 53))
    open_hosts = [host_of(n) for n, (stage, _, _) in enumerate(ANSWERS) if stage != "refused"]
    for host in [COLLECTOR, RELAY] + open_hosts:
        await asyncio.start_server(serve, host, 25)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1]))
