"""Sessions spoken by hand, where a client library would be too polite: lines as they are, bytes as they come."""
import base64
import json
import socket
import ssl

import pytest
from server import SUITES


def plain(user, password, authzid=""):
    return base64.b64encode(f"{authzid}\0{user}\0{password}".encode()).decode()


def loose_context():
    context = ssl._create_unverified_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


class Wire:
    """A connection to a door; `tls` shakes hands first, `source` is the address that we come from."""

    def __init__(self, address, tls=False, source=None, timeout=30):
        self.s = socket.create_connection(address, timeout, source_address=(source, 0) if source else None)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.had = b""
        if tls:
            self.start_tls()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.s.close()

    def reset(self):
        """Gone without a goodbye: the peer gets RST."""
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.s.close()

    def start_tls(self):
        self.s = loose_context().wrap_socket(self.s)

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def drip(self, data):
        for i in range(len(data)):
            self.s.sendall(data[i:i + 1])

    def line(self):
        """The next line; b"" at the end of the connection."""
        while b"\n" not in self.had:
            try:
                more = self.s.recv(65536)
            except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
                more = b""
            if not more:
                rest, self.had = self.had, b""
                return rest
            self.had += more
        line, self.had = self.had.split(b"\n", 1)
        return line + b"\n"

    def until_end(self):
        """Everything that still comes."""
        return b"".join(iter(self.line, b""))


class Smtp(Wire):
    def __init__(self, address, *rest, hello=None, **more):
        super().__init__(address, *rest, **more)
        self.greeting = self.reply()
        self.extensions = self.ehlo(hello) if hello else []

    def reply(self):
        """A whole reply as text, its lines joined by newlines; "" at the end of the connection."""
        lines = []
        while True:
            line = self.line()
            if not line:
                return "\n".join(lines)
            assert line.endswith(b"\r\n") and len(line) <= 512, line
            lines.append(line[:-2].decode())
            if line[3:4] != b"-":
                return "\n".join(lines)

    def say(self, line):
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply()

    def ehlo(self, name="client.test"):
        return self.say(f"EHLO {name}").split("\n")

    def starttls(self, name="client.test"):
        assert self.say("STARTTLS").startswith("220 ")
        self.start_tls()
        return self.ehlo(name)

    def to(self, sender, *recipients, params=""):
        """MAIL and RCPTs, each of which must be taken."""
        r = self.say(f"MAIL FROM:<{sender}>{params}")
        assert r.startswith("250 2.1.0"), r
        for one in recipients:
            r = self.say(f"RCPT TO:<{one}>")
            assert r.startswith("250 2.1.5"), r
        return self

    def data(self, content):
        """The reply to the whole content, which stands as it goes over the wire, without the final dot."""
        r = self.say("DATA")
        assert r.startswith("354"), r
        self.send(content + b".\r\n")
        return self.reply()


class Pop3(Wire):
    def __init__(self, address, *rest, user=None, password=None, **more):
        super().__init__(address, *rest, **more)
        self.greeting = self.line()
        if user:
            assert self.login(user, password).startswith(b"+OK")

    def say(self, line):
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.line()

    def login(self, user, password):
        assert self.say(f"USER {user}").startswith(b"+OK")
        return self.say(f"PASS {password}")

    def many(self):
        """What follows +OK up to the dot, as the octets on the wire."""
        lines = []
        while True:
            line = self.line()
            assert line.endswith(b"\r\n"), line
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line)

    def fetch(self, command):
        """The octets of the answer to a command, with the dots unstuffed."""
        first = self.say(command)
        assert first.startswith(b"+OK"), first
        return b"".join(x[1:] if x.startswith(b".") else x for x in self.many().splitlines(True))

    def listing(self, command):
        assert self.say(command).startswith(b"+OK")
        return dict(x.split(b" ", 1) for x in self.many().splitlines())


def tls_smtp(server, door, name="client.test"):
    """A session in TLS at a door, whichever way that begins it."""
    if door == "submissions":
        return Smtp(server.address(door), tls=True, hello=name)
    c = Smtp(server.address(door), hello=name)
    c.starttls(name)
    return c


def smuggling():
    path = SUITES / "smtp-smuggling/sequences.json"
    if not path.exists():
        pytest.skip("the public suites are not here (POSTRIDER_SUITES)")
    return [(row["name"], bytes.fromhex(row["hex"])) for row in json.loads(path.read_text())]


def setting(server, name, value):
    answer = server.call("PATCH", f"/v1/settings/{name}", {"value": value})
    assert answer.status == 200, answer
