/* smtp/bdat.c - BDAT (RFC 3030): chunks of a known size.
 *
 * A chunk's octets follow its command without a wait, so they are read in any case, also when the command is refused:
 * what is left in the stream would be taken for commands. Where the size cannot be read nobody knows where they end,
 * and the session does. A refused chunk spoils the mail; the others pass by until the last. */
#include "base/clock.h"
#include "base/params.h"
#include "smtp/transfer.h"

struct chunk {
    int64_t size;
    bool last;
};

static bool chunk_parse(struct bytes arg, struct chunk *c)
{
    struct bytes size, word;
    bool more = bytes_cut(arg, ' ', &size, &word);

    word = bytes_trim(word);
    c->last = more && bytes_equal_nocase(word, BYTES("LAST"));
    if (more && !c->last)
        return false;
    return size.n && size.p[0] >= '0' && size.p[0] <= '9' && bytes_to_int(size, &c->size);
}

/* The octets of a chunk are read whatever becomes of them (RFC 3030 section 2); `t` NULL drops them. */
static bool read_chunk(struct smtp *s, int64_t size, struct text *t, struct err *e)
{
    int64_t block = PARAM_INT(smtp, data_timeout), last = clock_monotonic() + PARAM_INT(smtp, data_longest);

    while (size > 0) {
        struct bytes part = stream_peek(s->stream);
        int64_t soon = clock_monotonic() + block;

        if (part.n) {
            part = bytes_head(part, (uint64_t)size < part.n ? (size_t)size : part.n);
            if (t)
                text_read(t, part);
            stream_skip(s->stream, part.n);
            size -= (int64_t)part.n;
            continue;
        }
        stream_deadline(s->stream, soon < last ? soon : last);
        if (!stream_fill(s->stream, e))
            return false;
    }
    return true;
}

static bool drop_chunk(struct smtp *s, const struct chunk *c, bool *alive)
{
    struct err e = { 0 };

    if (read_chunk(s, c->size, NULL, &e))
        return true;
    *alive = smtp_lost(s, &e);
    return false;
}

/* A chunk in the wrong place, of a stranger, or behind one that was refused. */
static bool chunk_unwanted(struct smtp *s, const struct chunk *c)
{
    bool alive;

    if (!drop_chunk(s, c, &alive))
        return alive;
    if (s->phase == PHASE_MAIL)
        return smtp_refuse(s, "554 5.5.1 No valid recipients");
    if (s->phase == PHASE_FAILED && c->last)
        smtp_mail_clear(s); /* all of them have passed by */
    if (s->phase == PHASE_FAILED || c->last)
        return smtp_refuse(s, "503 5.5.1 No mail is under way");
    (void)smtp_verb_allowed(s, smtp_verb_find(BYTES("BDAT")), &alive);
    return alive;
}

/* What remains of the transaction when a chunk failed: nothing, once the last has come. */
static void chunk_failed(struct smtp *s, bool last)
{
    if (last) {
        smtp_mail_clear(s);
        return;
    }
    transfer_drop(&s->transfer);
    s->phase = PHASE_FAILED;
}

static bool chunk_take(struct smtp *s, const struct chunk *c)
{
    struct text *t = &s->transfer->text;
    struct err e = { 0 };
    bool alive;

    if (!read_chunk(s, c->size, t, &e))
        return smtp_lost(s, &e);
    if (c->last)
        text_end(t);
    if (c->last && !transfer_failed(s->transfer))
        return transfer_finish(s);
    s->phase = PHASE_BDAT;
    if (!transfer_failed(s->transfer))
        return smtp_reply(s, "250 2.0.0 %lld octets", (long long)c->size);
    alive = transfer_refuse(s);
    chunk_failed(s, c->last);
    return alive;
}

bool smtp_bdat(struct smtp *s, struct bytes arg)
{
    const struct verb *v = smtp_verb_find(BYTES("BDAT"));
    struct chunk c;
    bool alive;

    if (!chunk_parse(arg, &c)) /* nobody knows where the next command begins */
        return smtp_hang_up(s, "501 5.5.4 Write: %s", v->usage);
    if (!(v->phases & (1u << s->phase)) || (s->door->kind != SMTP_RECEIVE && !s->call.who))
        return chunk_unwanted(s, &c);
    if (!s->transfer && !transfer_begin(s, false)) {
        struct err why = s->call.err;

        if (!drop_chunk(s, &c, &alive))
            return alive;
        s->call.err = why;
        alive = smtp_reply_error(s);
        chunk_failed(s, c.last);
        return alive;
    }
    return chunk_take(s, &c);
}
