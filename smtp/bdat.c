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

static enum step drop_chunk(struct smtp *s, const struct chunk *k)
{
    struct err e = { 0 };

    return read_chunk(s, k->size, NULL, &e) ? STEP_DONE : step_refused(smtp_lost(s, &e));
}

/* A chunk in the wrong place, of a stranger, or behind one that was refused. */
static bool chunk_unwanted(struct smtp *s, const struct verb *v, const struct chunk *k)
{
    enum step dropped = drop_chunk(s, k);

    if (dropped != STEP_DONE)
        return step_alive(dropped);
    if (s->phase == PHASE_MAIL)
        return smtp_refuse(s, "554 5.5.1 No valid recipients");
    if (s->phase == PHASE_FAILED && k->last)
        smtp_mail_clear(s); /* all of them have passed by */
    if (s->phase == PHASE_FAILED || k->last)
        return smtp_refuse(s, "503 5.5.1 No mail is under way");
    return step_alive(smtp_verb_allowed(s, v));
}

/* What remains of the transaction when a chunk failed: nothing, once the last has come. */
static void chunk_failed(struct smtp *s, bool last)
{
    if (last) {
        smtp_mail_clear(s);
        return;
    }
    transfer_drop(&s->mail.transfer);
    s->phase = PHASE_FAILED;
}

static bool chunk_take(struct smtp *s, const struct chunk *k)
{
    struct text *t = &s->mail.transfer->text;
    struct err e = { 0 };
    bool alive;

    if (!read_chunk(s, k->size, t, &e))
        return smtp_lost(s, &e);
    if (k->last)
        text_end(t);
    if (k->last && !transfer_failed(s->mail.transfer))
        return transfer_finish(s);
    s->phase = PHASE_BDAT;
    if (!transfer_failed(s->mail.transfer))
        return smtp_reply(s, "250 2.0.0 %lld octets", (long long)k->size);
    alive = transfer_refuse(s);
    chunk_failed(s, k->last);
    return alive;
}

/* No transfer began: its error is the answer once the chunk has passed by. */
static bool chunk_not_begun(struct smtp *s, const struct chunk *k)
{
    struct err why = s->call.err;
    enum step dropped = drop_chunk(s, k);
    bool alive;

    if (dropped != STEP_DONE)
        return step_alive(dropped);
    s->call.err = why;
    alive = smtp_reply_error(s);
    chunk_failed(s, k->last);
    return alive;
}

bool smtp_bdat(struct smtp *s, const struct command *c)
{
    const struct verb *v = c->verb;
    struct chunk k;

    if (!chunk_parse(c->arg, &k)) /* nobody knows where the next command begins */
        return smtp_hang_up(s, "501 5.5.4 Write: %s", v->usage);
    if (!(v->phases & (1u << s->phase)) || (s->door->kind != SMTP_RECEIVE && !s->call.who))
        return chunk_unwanted(s, v, &k);
    if (!s->mail.transfer && !transfer_begin(s, false))
        return chunk_not_begun(s, &k);
    return chunk_take(s, &k);
}
