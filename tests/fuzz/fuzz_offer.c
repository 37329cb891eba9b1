/* EHLO answers: whatever a host says, what we then write is one line without a parameter that we did not mean. */
#include "delivery/offer.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_line(struct buf *out)
{
    assert(!out->overflowed && bytes_ends(buf_bytes(out), BYTES("\r\n")));
    assert(bytes_find(buf_bytes(out), '\r') == out->n - 2 && bytes_find(buf_bytes(out), '\n') == out->n - 1);
    assert(bytes_find(buf_bytes(out), '\0') == out->n);
    buf_reset(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reply_reader r;
    struct bytes in = { size ? (const char *)data : "", size };
    struct needs needs = { .size = 1000, .ret = BYTES("HDRS") };
    struct terms terms = { EIGHT_CONVERT, true, true };
    struct offer_rcpt rcpt = { BYTES("ana@example.net"), BYTES("FAILURE"), NO_BYTES };
    struct offer offer;
    struct manner how;
    struct buf out;
    size_t used = 0;

    reply_begin(&r);
    if (reply_read(&r, in, &used) != REPLY_DONE)
        return 0;
    offer_read(&r.reply, &offer);
    assert(offer.size_max >= 0 && offer.rcpt_max >= 0 && offer.mail_max >= 0 && offer.rcpt_domain_max >= 0);
    assert(offer_recipients(&offer, 100, 0) >= 1 && offer_recipients(&offer, 100, 0) <= 100);
    assert(offer_name(&r.reply).n <= r.reply.text.n);
    needs.utf8 = offer.utf8;
    needs.body_8bit = offer.eight_bit;
    needs.require_tls = offer.require_tls;
    needs.envid = rcpt.orcpt = bytes_from(in, used); /* what the submitter said is as strange as what the host says */
    buf_init(&out, 16 * size + 4096);
    if (offer_negotiate(&offer, &needs, &terms, &how) == OFFER_OK) {
        offer_add_mail(&how, &needs, BYTES("bo@example.org"), &out);
        one_line(&out);
        offer_add_rcpt(&how, &rcpt, &out);
        one_line(&out);
    }
    buf_clear(&out);
    return 0;
}
