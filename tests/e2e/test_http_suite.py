"""The request cases of llhttp (POSTRIDER_SUITES): what it refuses by itself, or would take only when it is told to be lenient, we
refuse with one 400 and the end; what it takes is answered, as often as it sees a request."""
import re

import pytest
from api_client import raw
from server import SUITES

NOT_A_PROXY = "CONNECT: llhttp hands the connection over, we are no proxy"
OTHER_PROTOCOL = "Icecast's and RTSP's requests are no HTTP"
DIFFERENT = {  # what we answer, and why it is not what llhttp does
    "method: CONNECT request": (["400"], NOT_A_PROXY),
    "method: CONNECT request with CAPS": (["400"], NOT_A_PROXY),
    "method: CONNECT with body": (["400"], NOT_A_PROXY),
    "uri: Underscore in hostname": (["400"], NOT_A_PROXY),
    "method: SOURCE request with ICE": (["400"], OTHER_PROTOCOL),
    "method: OPTIONS request with RTSP": (["400"], OTHER_PROTOCOL),
    "method: ANNOUNCE request with RTSP": (["400"], OTHER_PROTOCOL),
    "method: M-SEARCH request": (["400"], "RFC 9112 3.2.4: * is a target of OPTIONS alone"),
    "sample: No HTTP version": (["400"], "HTTP/0.9 is over: RFC 9112 3 has a version in every request line"),
    "uri: Fragment in URI": (["400"], "RFC 9112 3.2: a target has no fragment"),
    "uri: `host:port` and basic auth": (["400"], "RFC 9110 4.2.4: a user and password in the target is an error"),
    "pipelining: Should parse multiple events": (["taken"] * 3, "the third lacks an octet of its body, but a path that is not there is told before"),
}
LEFT_TO_US = {"22"}  # "error" of an Upgrade: the application may switch protocols; we do not (RFC 9110 7.8)
AFTER_CLOSE = {"5"}  # "error" behind a request that was whole and said close: what follows is not read


def cases(folder):
    """(name, bytes, requests taken, refused) of each."""
    name = meta = text = ""
    for file in sorted(folder.glob("*.md")):
        for title, said, request, log in re.findall(r"^#+ ([^\n]*)$|^<!-- meta=(.*?) -->$|^```http\n(.*?)^```$|^```log\n(.*?)^```$", file.read_text(), re.M | re.S):
            name, meta, text = title or name, said or meta, request or text
            if log:
                errors = set(re.findall(r"error code=(\d+)", log)) - LEFT_TO_US
                reads_on = "lenient-keep-alive" in meta  # behind a request that said close
                yield f"{file.stem}: {name}", octets(text), 1 if reads_on else log.count("message complete"), ("lenient" in meta and not reads_on) or bool(errors - AFTER_CLOSE)


def octets(text):
    """Each line ends in CRLF but the last; escapes as written; a backslash at the end of a line joins it with the next."""
    text = text.replace("\\\n", "")[:-1].replace("\n", "\r\n")
    text = re.sub(r"\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), text)
    for written, meant in {"\\r": "\r", "\\n": "\n", "\\t": "\t", "\\f": "\f", "\\0": "\0"}.items():
        text = text.replace(written, meant)
    return text.encode()


def with_host(data):
    """llhttp does not ask for the Host that each request of HTTP/1.1 must have (RFC 9112 3.2)."""
    return re.sub(rb"(?im)^([a-z-]+ [^\r\n]* HTTP/1\.1\r\n)(?!(?:[^\r\n]+\r\n)*?Host:)", rb"\1Host: case.test\r\n", data)


def heard(server, pieces):
    """What each answer says of the request, and whether the last one ends the connection."""
    text = raw(server, *pieces, quiet=0.02)
    statuses = [s.decode() for s in re.findall(rb"HTTP/1\.1 (\d{3}) ", text)]
    assert all(s in ("200", "400", "404", "405") for s in statuses), text
    return ["taken" if s != "400" else s for s in statuses], b"\r\nConnection: close\r\n" in text


@pytest.mark.own_store
def test_cases_of_llhttp(server):
    folder = SUITES / "http-requests-llhttp"
    if not folder.exists():
        pytest.skip("http-requests-llhttp is not there")
    seen, wrong = [], []
    for name, data, taken, refused in cases(folder):
        whole = with_host(data)
        want = DIFFERENT.get(name, (["400"] if refused else ["taken"] * taken,))[0]
        old = b"HTTP/1.0\r\n" in data
        ends = want[-1:] == ["400"] or old or re.search(rb"\r\nConnection: close\b", data) is not None
        for pieces in ([whole], [whole[i:i + 5] for i in range(0, len(whole), 5)]):
            if heard(server, pieces) != (want, ends):
                wrong.append((name, "want", want, ends, "heard", heard(server, pieces)))
        if whole != data and want and not old and heard(server, [data]) != (["400"], True):
            wrong.append((name, "without a Host", heard(server, [data])))
        seen.append(name)
    assert not wrong, "\n".join(map(str, wrong))
    assert len(seen) == 70 and DIFFERENT.keys() <= set(seen), seen
