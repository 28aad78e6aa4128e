#!/usr/bin/env python3
"""An agent outside of the system, on Python's standard library alone: counts words and says how far it has come.

Start it:     export HTTP_AGENT_SECRET=$(openssl rand -base64 48)
              python3 examples/python-worker/worker.py
Run a system: HTTP_AGENTS=count-words=http://127.0.0.1:9000/ HTTP_AGENT_ALLOW=127.0.0.1:9000 npx agent-system --role all
              (in another shell, with the same HTTP_AGENT_SECRET)
Submit to it: npx agent-system submit count-words --input '{"text":"to be or not to be","seconds":2}' --wait
"""
import hashlib
import hmac
import json
import os
import re
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ.get("HTTP_AGENT_SECRET", "").encode()
PORT = int(os.environ.get("PORT", "9000"))
WINDOW_S = 300
BODY_BYTES_MAX = 16 * 2**20
STEPS = 10


class Refused(Exception):
    """The task is wrong, and would be so the next time."""


def run(task, say):
    """The work itself. `say` tells of progress, and raises when nobody listens any more."""
    given = task["input"]
    if not isinstance(given, dict) or not isinstance(given.get("text"), str):
        raise Refused('the input must be {"text": "...", "seconds": 2}')
    seconds = given.get("seconds", 0)
    if not isinstance(seconds, (int, float)) or not 0 <= seconds <= 60:
        raise Refused(f"seconds is {seconds!r}, wanted a number from 0 to 60")
    words = re.findall(r"\w+", given["text"].lower())
    counts = Counter()
    for step in range(STEPS):
        counts.update(words[step * len(words) // STEPS : (step + 1) * len(words) // STEPS])
        time.sleep(seconds / STEPS)
        say({"progress": (step + 1) / STEPS, "note": f"{len(counts)} different words"})
    return {"words": len(words), "commonest": counts.most_common(3)}


def is_signed(headers, body):
    timestamp, request = headers.get("x-agent-system-timestamp", ""), headers.get("x-agent-system-id", "")
    if not re.fullmatch(r"\d{1,12}", timestamp, re.ASCII) or abs(time.time() - int(timestamp)) > WINDOW_S:
        return False
    mac = hmac.new(SECRET, f"{timestamp}.{request}.".encode() + body, hashlib.sha256).hexdigest()
    # Takes as long for a nearly right signature as for a wrong one, so that it cannot be guessed piece by piece.
    return hmac.compare_digest(f"v1={mac}".encode(), headers.get("x-agent-system-signature", "").encode())


class Handler(BaseHTTPRequestHandler):
    timeout = 30  # seconds that a caller may keep the connection waiting

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            return self.refuse(413, "too_large", f"wanted a content-length of at most {BODY_BYTES_MAX}")
        body = self.rfile.read(int(length))
        if not is_signed(self.headers, body):
            return self.refuse(401, "bad_signature", "the signature is wrong or more than five minutes old")
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.end_headers()
        try:
            self.say(self.outcome(json.loads(body)))
        except (BrokenPipeError, ConnectionResetError):
            self.log_message("cancelled: nobody waits for this attempt any more")

    def outcome(self, task):
        try:
            return {"result": run(task, self.say)}
        except Refused as error:
            return {"error": {"code": "invalid_input", "message": str(error), "retryable": False}}

    def say(self, line):
        self.wfile.write(json.dumps(line).encode() + b"\n")

    def refuse(self, status, code, message):
        body = json.dumps({"error": {"code": code, "message": message}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    if len(SECRET) < 32:
        sys.exit("HTTP_AGENT_SECRET must have at least 32 bytes: openssl rand -base64 48")
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
