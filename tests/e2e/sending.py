"""What the tests of sending over HTTP share."""

RFC822 = {"Content-Type": "message/rfc822"}
RAW = b"From: Ana <ana@send.test>\r\nTo: bo@send.test\r\nCc: x@outside.test\r\nBcc: hidden@outside.test,\r\n second@outside.test\r\nSubject: raw\r\nX-Keep:  as  it is\r\n\r\nbody\r\n.\r\nend"


def fault(answer, *pointers, code="validation_error", status=422):
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert sorted(x["pointer"] for x in answer.json["errors"]) == sorted(pointers), answer.json["errors"]


def inbox(c, user, role="inbox"):
    boxes = c.all(f"/v1/users/{user}/mailboxes")
    return c.all(f"/v1/mailboxes/{next(b['id'] for b in boxes if b['role'] == role)}/entries")
