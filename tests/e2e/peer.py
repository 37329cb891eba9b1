"""The other side: an SMTP server that follows a script and keeps what it gets, and a DNS server with a few zones.

A script maps a step (greeting, EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, DATA, BDAT, dot, RSET, QUIT) to what is answered: text,
an action (Cut, Reset, Silence, Drip, Wait), a list of these (one for each time, the last one stays), or a function of
session and argument that returns one. No step named: all is well."""
import collections
import contextlib
import pathlib
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

HOST = "127.0.0.2"  # not an address of an interface: those are our own, and mail to them would be a loop


class Cut(Exception):
    """The connection ends, after `last` if that is given."""

    def __init__(self, last=""):
        self.last = last

    def run(self, session):
        if self.last:
            session.say(self.last)
        raise self


class Reset(Cut):
    """Ends with RST."""

    def run(self, session):
        session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise self


class Silence(Cut):
    """Nothing more is said; ends when the client goes."""

    def run(self, session):
        with contextlib.suppress(OSError):
            while session.socket.recv(65536):
                pass
        raise self


class Wait:
    """The answer after an event is set."""

    def __init__(self, event, answer):
        self.event, self.answer = event, answer

    def run(self, session):
        session.peer.reached.set()
        self.event.wait(60)
        return session.act(self.answer)


class Drip:
    """Byte by byte, with a pause after each."""

    def __init__(self, answer, pause=0.01):
        self.answer, self.pause = answer, pause

    def run(self, session):
        for byte in (self.answer + "\r\n").encode():
            session.socket.sendall(bytes([byte]))
            time.sleep(self.pause)
        return self.answer


def resumes(hello):
    """Does a ClientHello bring a ticket? RFC 8446 4.1.2 and 4.2.11, RFC 5077 3.2: pre_shared_key, or a session_ticket that is not empty."""
    at = 43 + 1 + hello[43]  # record and handshake header, version, random; the session id
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at]
    end = at + 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 2
    while at < end:
        kind, size = int.from_bytes(hello[at:at + 2], "big"), int.from_bytes(hello[at + 2:at + 4], "big")
        if kind == 41 or (kind == 35 and size):
            return True
        at += 4 + size
    return False


class Starttls:
    """What happens behind the 220: "good", or a fault. "tickets": only who brings none gets on."""

    def __init__(self, how="good"):
        self.how = how

    def run(self, session):
        session.say("220 go\r\n250 said in clear" if self.how == "behind" else "220 go")
        if self.how == "tickets" and resumes(session.socket.recv(4096, socket.MSG_PEEK)):
            session.peer.resumed += 1
            raise Cut()
        if self.how == "stall":
            Silence().run(session)
        if self.how == "garbage":
            session.socket.sendall(b"this is no TLS at all\r\n")
            raise Cut()
        if self.how == "close":
            raise Cut()
        try:
            session.socket = session.peer.context.wrap_socket(session.socket, server_side=True)
        except (ssl.SSLError, OSError) as e:
            raise Cut() from e
        session.tls = session.socket.version()
        session.buffer = b""


Mail = collections.namedtuple("Mail", "sender params recipients body tls session ehlo")

_certificate = None


def certificate():
    """A folder with a self-signed one, as most hosts have; it goes with the process."""
    global _certificate
    if not _certificate:
        _certificate = tempfile.TemporaryDirectory(prefix="postrider-peer-")
        folder = pathlib.Path(_certificate.name)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=mx.far.test",
                        "-addext", "subjectAltName=DNS:mx.far.test", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                       check=True, capture_output=True)
    return pathlib.Path(_certificate.name)


class Session:
    def __init__(self, peer, client, number):
        self.peer, self.socket, self.number = peer, client, number
        self.buffer, self.tls, self.ehlo, self.chunks = b"", None, None, b""
        self.sender, self.params, self.recipients = None, "", []

    def say(self, text):
        self.socket.sendall(text.encode() + b"\r\n")

    def line(self):
        while b"\r\n" not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise Cut()
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def text(self):
        lines = []
        while (line := self.line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(line + b"\r\n" for line in lines)

    def act(self, what):
        """What was answered in the end, if that was a text."""
        if isinstance(what, str):
            self.say(what)
            return what
        return what.run(self)

    def step(self, name, standard, argument=""):
        what = self.peer.next(name, standard)
        if callable(what):
            what = what(self, argument)
        return self.act(what)

    def offers(self):
        offer = [o for o in self.peer.offers if not (o == "STARTTLS" and self.tls)]
        return "\r\n".join(f"250{'-' if i < len(offer) else ' '}{word}" for i, word in enumerate([self.peer.name, *offer]))

    def data(self):
        got = self.step("DATA", "354 go" if self.recipients else "503 5.5.1 nobody is to get it")
        if not (isinstance(got, str) and got.startswith("354")):
            return
        self.taken(self.text())

    def taken(self, body):
        mail = Mail(self.sender, self.params, list(self.recipients), body, self.tls, self.number, self.ehlo)
        self.peer.seen.append(mail)
        self.sender, self.recipients = None, []
        said = self.step("dot", "250 2.0.0 taken", mail)
        if isinstance(said, str) and said.startswith("250"):
            self.peer.mails.append(mail)

    def chunk(self, words):
        """RFC 3030."""
        size = int(words.split()[0])
        while len(self.buffer) < size:
            more = self.socket.recv(65536)
            if not more:
                raise Cut()
            self.buffer += more
        self.chunks, self.buffer = self.chunks + self.buffer[:size], self.buffer[size:]
        if words.upper().endswith("LAST"):
            body, self.chunks = self.chunks, b""
            self.taken(body)
        else:
            self.step("BDAT", "250 2.0.0 chunk")

    def command(self, line):
        verb, _, rest = line.decode("utf-8", "replace").partition(" ")
        verb = verb.upper()
        self.peer.log.append((self.number, line.decode("utf-8", "replace")))
        if verb in ("EHLO", "HELO"):
            self.ehlo = rest
            self.step(verb, self.offers() if verb == "EHLO" else f"250 {self.peer.name}", rest)
        elif verb == "STARTTLS":
            self.step(verb, Starttls())
        elif verb == "MAIL":
            address, _, params = rest[5:].partition(" ")
            said = self.step(verb, "250 2.1.0 ok", rest)
            if isinstance(said, str) and said.startswith("250"):
                self.sender, self.params, self.recipients = address.strip("<>"), params, []
        elif verb == "RCPT":
            said = self.step(verb, "250 2.1.5 ok", rest)
            if isinstance(said, str) and said.startswith("250"):
                self.recipients.append(rest[3:].partition(" ")[0].strip("<>"))
        elif verb == "DATA":
            self.data()
        elif verb == "BDAT":
            self.chunk(rest)
        elif verb == "RSET":
            self.sender, self.recipients = None, []
            self.step(verb, "250 2.0.0 ok")
        elif verb == "QUIT":
            self.step(verb, "221 2.0.0 bye")
            raise Cut()
        else:
            self.step(verb, "502 5.5.1 what", rest)

    def run(self):
        try:
            self.step("greeting", f"220 {self.peer.name} ESMTP")
            while True:
                self.command(self.line())
        except (Cut, OSError):
            pass
        finally:
            self.socket.close()


class Peer:
    """`with Peer(RCPT="550 5.1.1 no such user") as p:` listens; p.mails are those that were taken, p.seen all that came whole."""

    def __init__(self, host=HOST, port=0, name="mx.far.test", offers=("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 50000000"), **script):
        self.name, self.offers = name, list(offers)
        self.script = {k: list(v) if isinstance(v, (list, tuple)) else [v] for k, v in script.items()}
        self.mails, self.seen, self.log, self.sessions = [], [], [], 0
        self.names, self.resumed = [], 0  # server names that TLS clients asked for (SNI); sessions that brought a ticket
        self.reached = threading.Event()
        self.lock, self.open = threading.Lock(), set()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate() / "cert.pem", certificate() / "key.pem")
        self.context.sni_callback = lambda _, asked, __: self.names.append(asked)
        self.socket = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=200)
        self.host, self.port = self.socket.getsockname()[:2]
        self.address = f"{self.host}:{self.port}"

    def next(self, name, standard):
        with self.lock:
            left = self.script.get(name)
            if not left:
                return standard
            what = left.pop(0) if len(left) > 1 else left[0]
            return standard if what is None else what

    def set(self, **script):
        with self.lock:
            self.script |= {k: list(v) if isinstance(v, (list, tuple)) else [v] for k, v in script.items()}

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                with self.lock:
                    self.sessions += 1
                    session = Session(self, client, self.sessions)
                    self.open.add(session)
                threading.Thread(target=self.one, args=(session,), daemon=True).start()

    def one(self, session):
        session.run()
        with self.lock:
            self.open.discard(session)

    def verbs(self, session=None):
        return [line.split()[0].upper() for n, line in list(self.log) if line and session in (None, n)]

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for session in list(self.open):
            with contextlib.suppress(OSError):
                session.socket.shutdown(socket.SHUT_RDWR)


class Names:
    """A DNS server: `records` maps (name, type) to a list of texts ("10 mx.far.test."), or to an rcode; a name without any is NXDOMAIN, one
    with others has no data. rcode None: no answer at all. `asked` counts."""

    def __init__(self, records, ttl=300):
        self.ttl = ttl
        self.records = {(name.rstrip(".") + ".", kind): value for (name, kind), value in records.items()}
        self.asked = collections.Counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.server = f"127.0.0.1@{self.socket.getsockname()[1]}"

    def answer(self, wire):
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked[name.rstrip("."), kind] += 1
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA | dns.flags.RA
        found = self.records.get((name, kind), self.records.get((name, "CNAME"), "none"))
        if found is None:
            return None
        if isinstance(found, int):
            reply.set_rcode(found)
        elif found == "none":
            if not any(n == name or n.endswith("." + name) for n, _ in self.records):
                reply.set_rcode(dns.rcode.NXDOMAIN)
        else:
            kind = kind if (name, kind) in self.records else "CNAME"
            reply.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *found))
        return reply.to_wire()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                wire, client = self.socket.recvfrom(4096)
                if wire == b".":
                    return
                reply = self.answer(wire)
                if reply:
                    self.socket.sendto(reply, client)

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b".", self.socket.getsockname())
        self.socket.close()
