#include "base/clock.h"
#include "base/params.h"
#include "smtp/transfer.h"

/* Reads to the true end, also when nothing of it will be kept: memory stays flat, and no byte of a mail is ever taken
 * for a command. */
static bool read_all(struct smtp *s, struct err *e)
{
    struct text *t = &s->mail.transfer->text;
    int64_t block = PARAM_INT(smtp, data_timeout), last = clock_monotonic() + PARAM_INT(smtp, data_longest);

    while (!t->ended) {
        struct bytes chunk = stream_peek(s->stream);
        int64_t soon = clock_monotonic() + block;

        if (chunk.n) {
            stream_skip(s->stream, text_read(t, chunk));
            continue;
        }
        stream_deadline(s->stream, soon < last ? soon : last);
        if (!stream_fill(s->stream, e))
            return false;
    }
    return true;
}

bool smtp_data(struct smtp *s, const struct command *c)
{
    struct err e = { 0 };

    (void)c;
    if (s->phase == PHASE_MAIL) /* pipelined behind recipients that were all refused (RFC 2920 3.1) */
        return smtp_refuse(s, "554 5.5.1 No valid recipients");
    if (!transfer_begin(s, true)) {
        bool alive = smtp_reply_error(s);

        smtp_mail_clear(s);
        return alive;
    }
    if (!smtp_reply(s, "354 End data with <CR><LF>.<CR><LF>"))
        return false;
    if (!read_all(s, &e))
        return smtp_lost(s, &e);
    return transfer_finish(s);
}
