#!/usr/bin/env python3
"""Compares what `rebond read --json DIRECTORY…` (standard input) says of the messages that came back with what happened.

Not a mistake, and told all the same: what a server did not pass on (OpenSMTPD and dma tell no answer once the queue gave
up; nullmailer knows only its relay).
"""
import json
import os
import re
import sys

from answers import ANSWERS

HARD = {"user-unknown", "host-unknown", "has-moved", "not-accept"}
CODE = re.compile(r"\b[45]\.\d{1,3}\.\d{1,3}\b")


def differences(n, said):
    _, answer, reasons = ANSWERS[n]
    if said["kind"] not in ("bounce", "delayed"):
        return ["kind " + said["kind"]]
    mailed = [r for r in said["recipients"] if r["address"] == "user%d@d%d.example.com" % (n, n)]
    if len(mailed) != 1:
        return ["recipients %s" % [r["address"] for r in said["recipients"]]]
    found, told = mailed[0], []
    if found["reason"] not in reasons and not (said["kind"] == "delayed" and found["reason"] == "expired"):
        told.append("reason %s (%s), not %s" % (found["reason"], found["evidence"]["rule"], "|".join(reasons)))
    code = CODE.search(answer[0])
    if code and code.group()[1:] != (found["status"] or "")[1:]:
        told.append("status %s, not %s" % (found["status"], code.group()))
    if answer[0][:3].isdigit() and str(found["reply_code"]) != answer[0][:3]:
        told.append("reply code %s, not %s" % (found["reply_code"], answer[0][:3]))
    if found["hard"] and not HARD & set(reasons):
        told.append("hard")
    if said["kind"] == "bounce" and not found["hard"] and set(reasons) <= HARD:
        told.append("not hard")
    good = [r for r in said["recipients"] if r["address"].startswith("good") and r["hard"]]
    return told + ["the good one is hard"] * len(good)


total = wrong = 0
for line in sys.stdin:
    message = json.loads(line)
    name = os.path.basename(message["path"])
    scenario = re.fullmatch(r"s(\d+)\.\d+\.eml", name)
    if not scenario:
        continue
    total += 1
    told = differences(int(scenario[1]), message)
    if told:
        wrong += 1
        stage, answer, _ = ANSWERS[int(scenario[1])]
        print("%s: %s %s: %s" % (message["path"], stage, answer[0][:80], "; ".join(told)))
print("%d messages, %d differ" % (total, wrong))
