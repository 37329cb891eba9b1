/* service/message/intake_again.c - a message that was accepted before, as an intake once more: see intake_private.h.
 *
 * What acceptance found out is in its row; what is judged anew (its author) and what is written only now (Date,
 * signatures) want its header, and the body once, for the hash. So it is read in pieces, as it came. */
#include "base/clock.h"
#include "base/params.h"
#include "service/body/body.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/message/intake_private.h"

#define AGAIN_ARENA ((size_t)16 * 1024 * 1024)

/* What the row says of the mail. */
static void recall(struct intake *k, const struct crypt_key *key)
{
    const struct message_row *m = k->again.message;

    k->now = clock_wall();
    k->message_id = m->id;
    k->undated = m->undated;
    k->trace = m->trace;
    k->people = m->people;
    k->header_8bit = m->header_8bit;
    k->body_8bit = m->body_8bit;
    k->foreign_dkim = m->foreign_dkim;
    k->needs_utf8 = m->needs_utf8;
    k->longest_line = m->longest_line;
    k->summary = (struct summary){ .header_message_id = m->header_message_id,
                                   .subject = seal_open_text(key, m->body_id, m->subject, k->arena),
                                   .thread_root = seal_open_text(key, m->body_id, m->thread_root, k->arena),
                                   .sent_at = m->undated ? k->now : m->sent_at,
                                   .json = seal_open_text(key, m->body_id, m->summary, k->arena) };
}

/* A user that is no more, or may not log in, sends nothing. */
static bool user_is_there(struct call *c)
{
    struct directory_user user;

    if (c->who->kind != WHO_USER)
        return true;
    return directory_user(c, c->who->id, &user) && (!user.disabled || err_set(&c->err, ERR_SENDER, "It is disabled"));
}

/* May its sender still send it? That nobody answers is no refusal. */
static bool judge(struct intake *k, struct call *c, struct bytes header)
{
    struct address from;

    if (user_is_there(c) && intake_author(k, c, header, &from))
        return true;
    switch (c->err.code) {
    case ERR_SENDER:
    case ERR_MISSING:
    case ERR_INVALID:
    case ERR_SYNTAX: k->disowned = true; break;
    default: return false;
    }
    c->err = (struct err){ 0 };
    return true;
}

static struct bytes date_line(struct intake *k)
{
    char date[CLOCK_TEXT + 8];

    return k->undated ? arena_bytesf(k->arena, "Date: %.*s\r\n", SHOW(clock_rfc5322(k->now, date))) : NO_BYTES;
}

/* The header has come: what leaves begins with the Date, where that is written now. */
static bool take_header(struct intake *k, struct call *c, struct bytes head)
{
    struct buf whole;
    bool ok;

    if (!judge(k, c, bytes_head(head, header_end(head))))
        return false;
    buf_init(&whole, head.n + 1024);
    buf_add(&whole, date_line(k));
    buf_add(&whole, head);
    ok = intake_sign_header(k, c, buf_bytes(&whole));
    buf_clear(&whole);
    return ok;
}

/* The header is held until it is whole. */
static bool take_piece(struct intake *k, struct call *c, struct bytes piece)
{
    size_t end;
    bool ok;

    body_again_seen(k->body, piece);
    if (k->head_done) {
        intake_sign_body(k, piece);
        return true;
    }
    buf_add(&k->head, piece);
    if (!header_whole(&k->head_scan, buf_bytes(&k->head), &end)) {
        if (piece.n)
            return !k->head.overflowed || err_set(&c->err, ERR_HEADERS_TOO_LARGE, "The header is too large");
        end = k->head.n;
    }
    k->head_done = true;
    ok = take_header(k, c, bytes_head(buf_bytes(&k->head), end));
    if (ok)
        intake_sign_body(k, bytes_from(buf_bytes(&k->head), end));
    buf_clear(&k->head);
    return ok;
}

static bool read_all(struct intake *k, struct call *c, const struct crypt_key *key)
{
    struct body_reader *r = NULL;
    struct bytes piece;
    bool ok = k->again.body ? body_open_row(c->store, k->again.body, key, &r, &c->err)
                            : body_open(c->store, k->again.message->body_id, key, &r, &c->err);

    do
        ok = ok && body_next(r, &piece, &c->err) && take_piece(k, c, piece);
    while (ok && piece.n);
    body_close(&r);
    return ok;
}

/* Below what else is written before it. */
static void put_date(struct intake *k)
{
    struct bytes date = date_line(k);

    k->trace = arena_bytesf(k->arena, "%.*s%.*s", SHOW(k->trace), SHOW(date));
    k->sign.lines = arena_bytesf(k->arena, "%.*s%.*s", SHOW(k->sign.lines), SHOW(date));
}

bool intake_again(struct call *c, const struct intake_in *in, const struct again *again, const struct crypt_key *key,
                  struct intake **out)
{
    struct intake *k = calloc(1, sizeof *k);

    if (!k)
        die("out of memory: a message that begins");
    *out = k;
    k->in = *in;
    k->again = *again;
    k->budget = &budget_api;
    k->arena = arena_new_in(k->budget, AGAIN_ARENA);
    k->parts = arena_new_in(k->budget, AGAIN_ARENA);
    k->body = body_again(c->svc, again->message->body_id, key, again->message->size - (int64_t)again->message->trace.n);
    buf_init(&k->head, (size_t)PARAM_INT(message, header_max) + BODY_PIECE + 4);
    recall(k, key);
    if (!read_all(k, c, key) || !intake_sign(k, c))
        return false;
    put_date(k);
    return intake_plan(k, c) && arena_check(k->arena, &c->err);
}
