/* service/queue/suppression_rows.c - suppressions as the API has them: listed, added by hand, asked about, removed.
 *
 * They are the account's as a whole: keys that see only a part of its mail (bound to domains, or of test mode) have no
 * part in them, as the list tells whom the others write to. An add is judged by what is there, on condition that it
 * still is, and looked at again where others were faster. */
#include "base/csv.h"
#include "service/core/member.h"
#include "service/core/retry.h"
#include "service/core/state.h"
#include "service/identity/stream.h"
#include "service/queue/suppression.h"
#include <assert.h>

#define CHECK_ROWS  100
#define REMOVE_ROWS 500
#define EMAILS      64 /* asked for at once */

bool suppression_may(struct call *c)
{
    if (!call_may(c, SCOPE_SUPPRESSIONS))
        return false;
    if (c->who->test)
        return err_set(&c->err, ERR_SCOPE, "A test key has no suppressions: send to suppressed@sandbox.test");
    return !c->who->n_domain_ids ||
           err_set(&c->err, ERR_SCOPE, "A key that is bound to domains has no part in the account's suppressions");
}

static bool missing(struct call *c)
{
    return err_set(&c->err, ERR_MISSING, "No such suppression");
}

static bool is_past(const struct call *c, const struct suppression_row *row)
{
    return row->expires_at && row->expires_at <= store_now(c->store);
}

static size_t drop_past(const struct call *c, struct suppression_row *rows, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (!is_past(c, &rows[i]))
            rows[kept++] = rows[i];
    return kept;
}

/* ---- the members ---- */

static const struct member suppression_list_[] = {
    MEMBER(ID, suppression_row, id, .prefix = "sup"),
    MEMBER(ID, suppression_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, suppression_row, email, .given = MADE, .column = true),
    MEMBER(TEXT, suppression_row, reason, .given = MADE, .column = true),
    MEMBER(ID, suppression_row, stream_id, .prefix = "str", .given = MADE),
    MEMBER(TEXT, suppression_row, topic, .given = MADE, .column = true),
    MEMBER(ID, suppression_row, delivery_id, .prefix = "dlv"),
    MEMBER(TEXT, suppression_row, text, .given = MADE, .column = true),
    MEMBER(TIME, suppression_row, created_at, .column = true),
    MEMBER(TIME, suppression_row, expires_at, .given = MADE),
};
MEMBERS(suppression, .object = "suppression", .path = "/v1/suppressions/", .kind = &suppression_kind);

/* ---- looking ---- */

/* The address as it is kept, or a fault. */
static bool email_asked(struct call *c, struct bytes text, struct bytes *out)
{
    struct err why = { 0 };

    return suppression_email(text, c->arena, out, &why) ||
           call_fault(c, "/email", "invalid_address", "%s", why.message);
}

static bool stream_asked(struct call *c, struct bytes text, struct id *out)
{
    struct stream_row stream;

    *out = NO_ID;
    if (!text.p || id_parse("str", text, out)) /* one that is gone has left its own */
        return true;
    if (!stream_known(c, text, &stream))
        return call_was_missing(c) && (call_fault(c, "/stream", "not_found", "No such stream") || call_check(c));
    *out = stream.id;
    return true;
}

static bool choose(struct call *c, const struct suppression_list_in *in, struct query *q)
{
    struct bytes email;
    struct id stream;

    q->conds[q->n_conds++] = COND("account_id", IS, V_ID(c->account));
    if (in->email.p) {
        if (!email_asked(c, in->email, &email))
            return call_check(c);
        q->index = "email";
        q->conds[q->n_conds++] = COND("email", IS, V_TEXT(email));
    }
    if (in->since)
        q->conds[q->n_conds++] = COND("created_at", AT_LEAST, V_TIME(in->since));
    if (in->reason.p)
        q->conds[q->n_conds++] = COND("reason", IS, V_TEXT(in->reason));
    if (!stream_asked(c, in->stream, &stream))
        return false;
    if (!id_is_none(stream))
        q->conds[q->n_conds++] = COND("stream_id", IS, V_ID(stream));
    return true;
}

bool suppression_list(struct call *c, const struct suppression_list_in *in, struct suppression_list_out *out)
{
    struct query q = { .kind = &suppression_kind, .index = "account" };
    void *rows = NULL;

    *out = (struct suppression_list_out){ 0 };
    if (!suppression_may(c) || !choose(c, in, &q) || !call_list(c, &q, &in->page, &rows, &out->n, &out->page))
        return false;
    out->rows = rows;
    out->n = drop_past(c, out->rows, out->n);
    return true;
}

/* ---- the whole list as CSV ---- */

#define EXPORT_ROWS 200

static void write_time(struct buf *out, int64_t wall)
{
    char text[CLOCK_TEXT];

    buf_addc(out, ',');
    if (wall)
        buf_add(out, clock_rfc3339(wall, text));
}

static void write_id(struct buf *out, const char *prefix, struct id id)
{
    char text[ID_TEXT + 1];

    buf_addc(out, ',');
    if (!id_is_none(id))
        buf_add(out, id_format(prefix, id, text));
}

static void write_row(struct buf *out, const struct suppression_row *row)
{
    csv_add(out, row->email);
    buf_addc(out, ',');
    csv_add(out, row->reason);
    write_id(out, "str", row->stream_id);
    buf_addc(out, ',');
    csv_add(out, row->topic);
    write_id(out, delivery_kind.prefix, row->delivery_id);
    buf_addc(out, ',');
    csv_add(out, row->text);
    write_time(out, row->created_at);
    write_time(out, row->expires_at);
    buf_adds(out, "\r\n");
}

bool suppression_export_begin(struct call *c, const struct suppression_list_in *in, struct suppression_exporting *x)
{
    struct suppression_list_in led = { .email = in->email, .since = in->since }; /* the others pick from these */

    *x = (struct suppression_exporting){ .reason = in->reason };
    x->query = (struct query){ .kind = &suppression_kind, .index = "account", .limit = EXPORT_ROWS };
    if (in->page.after.p || in->page.before.p || in->page.limit)
        call_fault(c,
                   in->page.limit     ? "/limit"
                   : in->page.after.p ? "/after"
                                      : "/before",
                   "conflicting", "As CSV the list comes whole");
    return suppression_may(c) && call_check(c) && stream_asked(c, in->stream, &x->stream) && choose(c, &led, &x->query);
}

static void keep_place(struct call *c, struct suppression_exporting *x, const struct suppression_row *last)
{
    struct bytes place = store_cursor(&x->query, last, c->arena);

    assert(place.n <= sizeof x->place);
    memcpy(x->place, place.p, place.n);
    x->place_n = place.n;
}

bool suppression_export(struct call *c, struct suppression_exporting *x, struct buf *out)
{
    struct suppression_row *rows;
    void *found = NULL;
    size_t n;

    if (!x->begun)
        buf_adds(out, "email,reason,stream_id,topic,delivery_id,text,created_at,expires_at\r\n");
    x->query.after = x->begun ? (struct bytes){ x->place, x->place_n } : NO_BYTES;
    x->begun = true;
    if (!store_find(c->store, &x->query, c->arena, &found, &n, &c->err))
        return false;
    rows = found;
    for (size_t i = 0; i < n; i++)
        if (!is_past(c, &rows[i]) && (!x->reason.p || bytes_equal(rows[i].reason, x->reason)) &&
            (id_is_none(x->stream) || id_equal(rows[i].stream_id, x->stream)))
            write_row(out, &rows[i]);
    x->ended = n < EXPORT_ROWS;
    if (!x->ended)
        keep_place(c, x, &rows[n - 1]);
    return true;
}

static bool find(struct call *c, struct bytes text, struct suppression_row *out)
{
    struct id id;
    bool there;

    if (!suppression_may(c))
        return false;
    if (!id_parse(suppression_kind.prefix, text, &id))
        return missing(c);
    if (!store_look(c->store, &suppression_kind, id, c->arena, out, &there, &c->err))
        return false;
    return (there && id_equal(out->account_id, c->account) && !is_past(c, out)) || missing(c);
}

bool suppression_get(struct call *c, const struct suppression_get_in *in, struct suppression_row *out)
{
    return find(c, in->id, out);
}

/* Up to `most` rows of these addresses. */
static bool of_emails(struct call *c, const struct bytes *emails, size_t n, size_t most, struct suppression_row **rows,
                      size_t *found)
{
    struct query q = { .kind = &suppression_kind, .index = "email", .n_conds = 2, .limit = most };
    struct value *list = arena_array(c->arena, n ? n : 1, sizeof *list);
    void *all = NULL;

    for (size_t i = 0; i < n; i++)
        list[i] = V_TEXT(emails[i]);
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    q.conds[1] = COND_ONE_OF("email", list, n);
    if (!store_find(c->store, &q, c->arena, &all, found, &c->err))
        return false;
    *rows = all;
    return true;
}

bool suppression_check(struct call *c, const struct suppression_check_in *in, struct suppression_check_out *out)
{
    *out = (struct suppression_check_out){ 0 };
    if (!suppression_may(c))
        return false;
    if (!email_asked(c, in->email, &out->email))
        return call_check(c);
    if (!of_emails(c, &out->email, 1, CHECK_ROWS, &out->rows, &out->n))
        return false;
    out->n = drop_past(c, out->rows, out->n);
    for (size_t i = 0; i < out->n; i++)
        out->suppressed = out->suppressed || (id_is_none(out->rows[i].stream_id) && !out->rows[i].topic.p);
    return true;
}

/* ---- adding ---- */

/* Where nothing is to be written there may still be an answer to keep. */
static bool commit(struct call *c, struct batch *b, const void *out)
{
    return (!batch_count(b) && !c->idempotency) || call_commit(c, b, out, NO_ID);
}

static const char *place(struct call *c, const char *where, const char *member)
{
    return arena_printf(c->arena, "%s/%s", where, member);
}

static bool is_of_part(const struct suppression_row *row)
{
    return !id_is_none(row->stream_id) || row->topic.p;
}

/* One that is gone, or cannot be asked for now, is none: what is told of it is a fault of this row alone. */
static void check_stream(struct call *c, struct id id, const char *where)
{
    struct stream_row stream;

    if (id_is_none(id) || stream_known(c, id_text(c->arena, stream_kind.prefix, id), &stream))
        return;
    c->err = (struct err){ 0 };
    call_fault(c, where, "not_found", "No such stream in this account");
}

void suppression_given(struct call *c, const struct suppression_row *row, const char *where, struct suppressing *s)
{
    struct bytes email;
    struct err why = { 0 };

    *s = (struct suppressing){ .account_id = c->account,
                               .email = row->email,
                               .reason = row->reason.p ? suppression_reason_of(row->reason) : SUPPRESSED_MANUAL,
                               .stream_id = row->stream_id,
                               .topic = row->topic,
                               .text = row->text,
                               .expires_at = row->expires_at };
    if (!suppression_email(row->email, c->arena, &email, &why))
        call_fault(c, place(c, where, "email"), "invalid_address", "%s", why.message);
    if (s->reason == SUPPRESSED_NOT)
        call_fault(c, place(c, where, "reason"), "invalid_value", "bounce, complaint, unsubscribe, manual or import");
    check_stream(c, row->stream_id, place(c, where, "stream_id"));
    if (is_of_part(row) && (s->reason == SUPPRESSED_BOUNCE || s->reason == SUPPRESSED_COMPLAINT))
        call_fault(c, place(c, where, "reason"), "conflicting",
                   "Bounces and complaints hold for the whole account, not for a stream or topic");
    if (row->topic.p && (!row->topic.n || row->topic.n > SUPPRESSION_TOPIC_MAX || bytes_has_ctl_line(row->topic)))
        call_fault(c, place(c, where, "topic"), "too_long", "1 to %d bytes, in one line", SUPPRESSION_TOPIC_MAX);
    if (row->text.n > SUPPRESSION_TEXT_MAX || bytes_has_ctl_line(row->text))
        call_fault(c, place(c, where, "text"), "too_long", "At most %d bytes, in one line", SUPPRESSION_TEXT_MAX);
    if (row->expires_at && row->expires_at <= store_now(c->store))
        call_fault(c, place(c, where, "expires_at"), "in_the_past", "This time has passed");
}

struct adding {
    struct suppressing *list;
    struct suppression_create_out *out;
    struct arena_mark clean; /* a try that came to nothing leaves nothing */
};

static void show_added(const struct adding *w)
{
    w->out->added = 0;
    for (size_t i = 0; i < w->out->n; i++) {
        w->out->rows[i] = w->list[i].row;
        w->out->added += !w->list[i].there;
    }
}

static bool add_once(struct call *c, void *arg, bool *again)
{
    struct adding *w = arg;
    struct batch *b;

    arena_rewind(c->arena, w->clean);
    b = batch_new(c->arena);
    if (!suppression_look(c->svc, c->arena, w->list, w->out->n, &c->err))
        return false;
    show_added(w);
    for (size_t i = 0; i < w->out->n; i++)
        suppression_add_exact(b, c->arena, &w->list[i]);
    if (commit(c, b, w->out))
        return true;
    *again = c->err.code == ERR_CONFLICT;
    return false;
}

bool suppression_create(struct call *c, const struct suppression_create_in *in, struct suppression_create_out *out)
{
    struct adding w = { .list = arena_array(c->arena, in->n ? in->n : 1, sizeof *w.list), .out = out };

    *out = (struct suppression_create_out){ .n = in->n, .many = in->many };
    if (!suppression_may(c))
        return false;
    if (!in->n || in->n > SUPPRESSIONS_AT_ONCE)
        call_fault(c, in->many ? "/data" : "/email", in->n ? "too_many" : "required",
                   in->n ? "At most %d at once" : "Give an email, or up to %d suppressions as data",
                   SUPPRESSIONS_AT_ONCE);
    if (in->both)
        call_fault(c, "/data", "conflicting", "Give one suppression, or several as data");
    for (size_t i = 0; i < in->n && in->n <= SUPPRESSIONS_AT_ONCE; i++)
        suppression_given(c, &in->rows[i], in->many ? arena_printf(c->arena, "/data/%zu", i) : "", &w.list[i]);
    if (!call_check(c))
        return false;
    out->rows = arena_array(c->arena, in->n, sizeof *out->rows);
    w.clean = arena_mark(c->arena);
    return retry_run(c, in->n == 1 ? w.list[0].row.email : BYTES("suppressions"), add_once, &w);
}

/* ---- removing ---- */

bool suppression_delete(struct call *c, const struct suppression_delete_in *in, void *out)
{
    struct batch *b = batch_new(c->arena);
    struct suppression_row row = { .id = NO_ID };

    (void)out;
    if (!find(c, in->id, &row))
        return false;
    batch_delete(b, &suppression_kind, row.id, NULL, 0);
    suppression_tell(b, c->arena, &row, NO_ID, "suppression.deleted");
    if (call_commit(c, b, NULL, row.id))
        return true;
    return c->err.code == ERR_CONFLICT ? err_again(c, ERR_MISSING, "No such suppression") : false;
}

struct removing {
    const struct bytes *emails;
    size_t n;
    struct suppression_remove_out *out;
    bool all; /* this slice was the last of these addresses */
};

static bool remove_once(struct call *c, void *arg, bool *again)
{
    struct removing *w = arg;
    struct batch *b = batch_new(c->arena);
    struct suppression_row *rows;
    size_t n;

    if (!of_emails(c, w->emails, w->n, REMOVE_ROWS, &rows, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        batch_delete(b, &suppression_kind, rows[i].id, NULL, 0);
        suppression_tell(b, c->arena, &rows[i], NO_ID, "suppression.deleted");
    }
    if (n && !store_commit(c->store, b, c->deadline, &c->err)) {
        *again = c->err.code == ERR_CONFLICT; /* another removes the same */
        return false;
    }
    w->all = n < REMOVE_ROWS;
    w->out->removed += (int64_t)n;
    return true;
}

/* An address may have more rows than one batch should hold: slices, each of which is done when it is done. So a request
 * that is repeated by its Idempotency-Key goes on, and only its answer is kept at the end. */
static bool remove_all(struct call *c, struct bytes *emails, size_t n, struct suppression_remove_out *out)
{
    for (size_t i = 0; i < n; i += EMAILS) {
        struct removing w = { .emails = &emails[i], .n = n - i < EMAILS ? n - i : EMAILS, .out = out };

        while (!w.all) {
            struct arena_mark mark = arena_mark(c->arena);

            if (!retry_run(c, emails[i], remove_once, &w))
                return false;
            arena_rewind(c->arena, mark);
        }
    }
    return true;
}

bool suppression_remove(struct call *c, const struct suppression_remove_in *in, struct suppression_remove_out *out)
{
    struct bytes *emails = arena_array(c->arena, in->n ? in->n : 1, sizeof *emails);

    *out = (struct suppression_remove_out){ 0 };
    if (!suppression_may(c))
        return false;
    if (!in->n || in->n > SUPPRESSIONS_AT_ONCE)
        call_fault(c, "/emails", in->n ? "too_many" : "required", "1 to %d addresses", SUPPRESSIONS_AT_ONCE);
    for (size_t i = 0; i < in->n && in->n <= SUPPRESSIONS_AT_ONCE; i++) {
        struct err why = { 0 };

        if (!suppression_email(in->emails[i], c->arena, &emails[i], &why))
            call_fault(c, arena_printf(c->arena, "/emails/%zu", i), "invalid_address", "%s", why.message);
    }
    return call_check(c) && remove_all(c, emails, in->n, out) && commit(c, batch_new(c->arena), out);
}
