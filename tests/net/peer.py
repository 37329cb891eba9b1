"""The peers of the tests in tests/net: an HTTP server that behaves as its paths say, and a DNS server with a few names.

  peer.py http ADDRESS [CERTIFICATE]      prints "PORT n"; with a file of certificate and key it speaks HTTPS
  peer.py dns                             the same, by UDP on 127.0.0.1
"""
import http.server
import json
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

NAMES = {
    "good.test": ["127.0.0.2"],
    "two.test": ["127.0.0.1", "127.0.0.2"],       # nobody listens on the first
    "half.test": ["127.0.0.2", "127.0.0.3"],      # the second is denied
    "private.test": ["127.0.0.3"],
    "empty.test": [],
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    pausing = most = requests = 0

    def log_message(self, *args):
        pass

    def say(self, body, status=200, fields=()):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with Handler.lock:
            Handler.requests += 1
        getattr(self, "path_" + url.path.strip("/"), self.path_echo)(query, sent)

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def path_echo(self, query, sent):
        fields = {name.lower(): value for name, value in self.headers.items()}
        self.say(json.dumps({"method": self.command, "path": self.path, "fields": fields, "body": sent.decode()},
                            sort_keys=True).encode(), fields=[("X-Answer", "yes"), ("X-Empty", "")])

    def path_status(self, query, sent):
        self.say(b"", int(query["code"]))

    def path_big(self, query, sent):
        self.say(b"x" * int(query["n"]))

    def path_chunked(self, query, sent):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        n = int(query["n"])
        self.wfile.write(b"%x\r\n%s\r\n1\r\nx\r\n0\r\n\r\n" % (n - 1, b"x" * (n - 1)))

    def path_head(self, query, sent):
        self.say(b"", fields=[("X-Long", "x" * 1000)] * int(query["n"]))

    def path_to(self, query, sent):
        self.say(b"", int(query.get("code", 302)), [("Location", query["url"])])

    def path_again(self, query, sent):
        n = int(query["n"])
        self.say(b"there", 302 if n else 200, [("Location", "again?n=%d" % (n - 1))] if n else [])

    def path_pause(self, query, sent):
        with Handler.lock:
            Handler.pausing += 1
            Handler.most = max(Handler.most, Handler.pausing)
        time.sleep(int(query["ms"]) / 1000)
        with Handler.lock:
            Handler.pausing -= 1
        self.say(b"at last")

    def path_silent(self, query, sent):
        self.connection.recv(1)

    def path_drip(self, query, sent):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        try:
            for _ in range(100000):
                self.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            self.close_connection = True

    def path_cut(self, query, sent):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        self.close_connection = True

    def path_garbage(self, query, sent):
        self.wfile.write(b"+OK POP3 ready\r\n\r\n")
        self.close_connection = True

    def path_counts(self, query, sent):
        with Handler.lock:
            self.say(b"most=%d requests=%d" % (Handler.most, Handler.requests))
            Handler.most, Handler.requests = 0, 0


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
    context = None

    def finish_request(self, request, client_address):  # in the connection's thread: a handshake keeps nobody waiting
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


def serve_http(address, certificate=None):
    server = Server((address, 0), Handler)
    if certificate:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(certificate)
    print("PORT", server.server_address[1], flush=True)
    server.serve_forever()


def dns_answer(question):
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
        at += 1 + question[at]
    name, kind = ".".join(labels), struct.unpack(">H", question[at + 1:at + 3])[0]
    found = NAMES.get(name, []) if kind == 1 else []
    code = 2 if name == "broken.test" else 0 if name in NAMES else 3
    head = question[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, len(found), 0, 0)
    records = b"".join(struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(a) for a in found)
    return head + question[12:at + 5] + records


def serve_dns():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    print("PORT", s.getsockname()[1], flush=True)
    while True:
        question, who = s.recvfrom(1500)
        s.sendto(dns_answer(question), who)


if __name__ == "__main__":
    serve_dns() if sys.argv[1] == "dns" else serve_http(*sys.argv[2:])
