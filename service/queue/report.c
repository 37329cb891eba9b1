/* service/queue/report.c - from what becomes of deliveries to a mail that says so.
 *
 * Most batches end deliveries of which nothing is told, and pay one look at each ending for it. Where something may be
 * due, the questions go from the cheap ones to those that read: the message's row, the directory, the original's
 * header. The mail is written anew in each try of the batch, from those deliveries that are still ours. */
#include "service/queue/report.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "service/body/content.h"
#include "service/body/seal.h"
#include "service/core/state.h"

#define REPORT_ARENA ((size_t)16 * 1024 * 1024)
#define REPORT_MOST  (4 * DSN_WHOLE_MAX) /* bytes: a whole original in base64, and what is said of many recipients */

struct report {
    struct service *svc;
    struct arena *arena;
    struct endings *list;
    struct bytes header, whole; /* of the original */
    struct letter *letter;
    int first_op, end_op; /* of the letter in the batch that was built last */
    bool there;           /* it was committed before */
};

/* ---- what is due ---- */

enum notify { NOTIFY_SUCCESS, NOTIFY_FAILURE, NOTIFY_DELAY };

/* Without NOTIFY failures are told (RFC 3461 4.1), and delays, which that leaves to us. */
static bool is_asked(const struct delivery_row *d, enum notify what)
{
    static const char *const words[] = { "SUCCESS", "FAILURE", "DELAY" };
    struct bytes said = json_part(d->dsn, "notify"), word; /* "\"SUCCESS,DELAY\"" */

    if (!said.p)
        return what != NOTIFY_SUCCESS;
    said = bytes_head(bytes_from(said, 1), said.n - 2);
    while (said.p) {
        (void)bytes_cut(said, ',', &word, &said);
        if (bytes_equal(word, bytes_of(words[what])))
            return true;
    }
    return false;
}

static bool is_late(const struct delivery_row *d, const struct message_row *m, int64_t now)
{
    int64_t after = PARAM_INT(delivery, delay_report);

    return after && !d->warned && d->flow.p && now - delivery_begun(d, m) >= after && is_asked(d, NOTIFY_DELAY);
}

/* False: nothing is told of it. */
static bool action_of(const struct ending *e, const struct message_row *m, int64_t now, enum dsn_action *out)
{
    const struct delivery_row *d = e->row;
    const struct attempt *t = e->verdict.attempt;

    switch (e->verdict.outcome) {
    case OUTCOME_BOUNCED:
    case OUTCOME_FAILED:
    case OUTCOME_SUPPRESSED:
    case OUTCOME_EXPIRED: *out = DSN_FAILED; return is_asked(d, NOTIFY_FAILURE);
    case OUTCOME_DEFERRED: *out = DSN_DELAYED; return is_late(d, m, now);
    case OUTCOME_DELIVERED:
        *out = t && t->mx.p ? DSN_RELAYED : DSN_DELIVERED; /* no other server: a mailbox, or one of sandbox.test */
        if (t && t == verdict_of(CAUSE_FORWARDED, now).attempt)
            *out = DSN_EXPANDED;
        return d->dsn.p && is_asked(d, NOTIFY_SUCCESS) && !(t && t->dsn);
    default: return false;
    }
}

static bool any_due(const struct endings *list, int64_t now)
{
    enum dsn_action action;

    for (size_t i = 0; i < list->n; i++)
        if (!list->each[i].lost && action_of(&list->each[i], list->message, now, &action))
            return true;
    return false;
}

/* ---- who is told ---- */

static bool is_source(const struct message_row *m, const char *source)
{
    return bytes_equal(m->source, bytes_of(source));
}

static bool may_be_told(const struct message_row *m)
{
    if (!m->envelope_from.n || bytes_equal(m->mode, BYTES("test")))
        return false;
    if (is_source(m, "api"))
        return m->dsn_wanted;
    return is_source(m, "submission") || is_source(m, "smtp");
}

/* Has the sender a mailbox here? *ours is not filled when the store fails. */
static bool lives_here(struct report *r, bool *ours, struct err *e)
{
    struct directory_domain domain;
    struct directory_user user;
    struct address address;
    struct call c;

    call_init(&c, r->svc, r->arena, "report");
    *ours = address_parse(r->list->message->envelope_from, r->arena, &address, &c.err) &&
            directory_domain(&c, address.domain, &domain) && domain.inbound && directory_find(&c, &address, &user) &&
            !user.disabled;
    if (*ours || call_was_missing(&c))
        return true;
    *e = c.err;
    return false;
}

/* Of a list, or of a machine, which no report helps (RFC 3834 2, RFC 2919). */
static bool is_automatic(struct bytes header)
{
    struct header h;

    while (header_next(&header, &h)) {
        struct bytes value = bytes_trim(h.value);

        if (bytes_starts_nocase(h.name, BYTES("List-")) ||
            (bytes_equal_nocase(h.name, BYTES("Auto-Submitted")) && !bytes_starts_nocase(value, BYTES("no"))) ||
            (bytes_equal_nocase(h.name, BYTES("Precedence")) &&
             (bytes_equal_nocase(value, BYTES("list")) || bytes_equal_nocase(value, BYTES("bulk")) ||
              bytes_equal_nocase(value, BYTES("junk")))))
            return true;
    }
    return false;
}

/* ---- the original ---- */

static bool wants_whole(const struct message_row *m)
{
    return m->size <= (int64_t)DSN_WHOLE_MAX && bytes_equal(json_part(m->dsn, "ret"), BYTES("\"FULL\""));
}

/* Of deliveries that were over before, the message has it, as long as its content is kept. */
static bool open_key(struct report *r, struct crypt_key *key)
{
    const struct message_row *m = r->list->message;
    struct err ignored = { 0 };

    if (seal_open_server(r->svc, m->id, m->wrapped_key, m->wrap, key, &ignored))
        return true;
    for (size_t i = 0; i < r->list->n; i++) {
        const struct delivery_row *d = r->list->each[i].row;

        if (seal_open_server(r->svc, d->id, d->wrapped_key, d->wrap, key, &ignored))
            return true;
    }
    return false;
}

/* All of it, or enough to see the end of the header. */
static bool read_some(struct content *content, bool whole, struct buf *out, struct err *e)
{
    struct bytes piece;

    do {
        if (!content_next(content, &piece, e))
            return false;
        buf_add(out, piece);
    } while (piece.n && !out->overflowed && (whole || header_end(buf_bytes(out)) >= out->n));
    return true;
}

/* False for a failure of the store; a text that is gone is empty. */
static bool read_text(struct report *r, bool whole, struct bytes *text, struct err *e)
{
    const struct message_row *m = r->list->message;
    struct content_out content = { 0 };
    struct crypt_key key;
    struct call c;
    struct buf out;
    bool ok;

    *text = NO_BYTES;
    if (!open_key(r, &key))
        return true;
    call_init(&c, r->svc, r->arena, "report");
    buf_init(&out, DSN_WHOLE_MAX);
    ok = content_open(&c, m->body_id, &key, m->trace, &content) && read_some(content.content, whole, &out, &c.err);
    content_close(&content.content);
    if (ok)
        *text = arena_copy(r->arena, buf_bytes(&out));
    buf_clear(&out);
    crypt_wipe(&key, sizeof key);
    if (ok || c.err.code == ERR_GONE || c.err.code == ERR_MISSING)
        return true;
    *e = c.err;
    return false;
}

/* Of a text that is gone its Message-ID is known. */
static bool find_original(struct report *r, struct bytes at_hand, struct err *e)
{
    const struct message_row *m = r->list->message;
    bool whole = wants_whole(m);
    struct bytes text = at_hand;

    if (!text.p && !read_text(r, whole, &text, e))
        return false;
    if (whole && (int64_t)text.n >= m->size - (int64_t)m->trace.n)
        r->whole = text;
    r->header = bytes_head(text, header_end(text));
    if (!r->header.n && m->header_message_id.p)
        r->header = arena_bytesf(r->arena, "Message-ID: %.*s\r\n", SHOW(m->header_message_id));
    return true;
}

/* ---- begin ---- */

static bool is_to_be_told(struct report *r, struct bytes text, bool *told, struct err *e)
{
    *told = may_be_told(r->list->message);
    if (*told && is_source(r->list->message, "smtp") && !lives_here(r, told, e))
        return false;
    if (!*told)
        return true;
    if (!find_original(r, text, e))
        return false;
    *told = !is_automatic(r->header);
    return true;
}

bool report_begin(struct service *svc, struct endings *list, struct bytes text, struct report **out, struct err *e)
{
    int64_t now = clock_wall();
    struct report *r;
    bool told = false, ok;

    *out = NULL;
    if (!may_be_told(list->message) || !any_due(list, now))
        return true;
    r = calloc(1, sizeof *r);
    if (!r)
        die("out of memory: a report");
    *r = (struct report){ .svc = svc, .arena = arena_new(REPORT_ARENA), .list = list };
    ok = is_to_be_told(r, text, &told, e);
    for (size_t i = 0; told && i < list->n; i++)
        list->each[i].warns =
            list->each[i].verdict.outcome == OUTCOME_DEFERRED && is_late(list->each[i].row, list->message, now);
    if (ok && told)
        *out = r;
    else
        report_drop(&r);
    return ok;
}

/* ---- what it says ---- */

/* Text of a member of our own JSON. */
static struct bytes member(struct report *r, struct bytes json, const char *name)
{
    struct json_object *tree = NULL;
    struct err ignored = { 0 };
    struct bytes text = NO_BYTES;

    if (json.p && json_read(json, &tree, &ignored))
        text = arena_copy(r->arena, json_text(tree, name));
    json_object_put(tree);
    return text;
}

/* "550 5.1.1 No such user": what another server said. */
static struct bytes words_of(struct report *r, int64_t code, struct bytes enhanced, struct bytes text)
{
    bool twice = enhanced.n && bytes_starts(text, enhanced);

    return arena_bytesf(r->arena, "%lld%s%.*s %.*s", (long long)code, enhanced.n && !twice ? " " : "",
                        SHOW(twice ? NO_BYTES : enhanced), SHOW(text));
}

/* Whose time was over is told what the last server said. */
static void say_last(struct report *r, const struct delivery_row *d, struct dsn_recipient *out)
{
    struct bytes mx = member(r, d->last, "mx"), text = member(r, d->last, "text"), code = json_part(d->last, "code");
    int64_t n = 0;

    if (text.p && !mx.p)
        out->reason = text;
    if (!mx.p || !bytes_to_int(code, &n) || !n)
        return;
    out->remote_mta = mx;
    out->reply = words_of(r, n, member(r, d->last, "enhanced"), text);
}

static struct bytes status_of(enum dsn_action action, const struct attempt *t)
{
    static const char *const plain[] = { [DSN_FAILED] = "5.0.0",
                                         [DSN_DELAYED] = "4.0.0",
                                         [DSN_DELIVERED] = "2.0.0",
                                         [DSN_RELAYED] = "2.0.0",
                                         [DSN_EXPANDED] = "2.0.0" };

    return t && t->enhanced.n ? t->enhanced : bytes_of(plain[action]);
}

static void tell_recipient(struct report *r, const struct ending *e, enum dsn_action action, int64_t now,
                           struct dsn_recipient *out)
{
    const struct attempt *t = e->verdict.attempt;

    *out =
        (struct dsn_recipient){ .address = e->row->via.p ? e->row->via : e->row->email, /* theirs is not to be told */
                                .original = member(r, e->row->dsn, "orcpt"),
                                .action = action,
                                .status = status_of(action, t),
                                .last_attempt = t && t->at ? t->at : now,
                                .retry_until = action == DSN_DELAYED ? e->row->expires_at : 0 };
    if (t)
        (void)why_of(t->cause, &out->why);
    if (e->verdict.outcome == OUTCOME_EXPIRED)
        say_last(r, e->row, out);
    else if (t && t->mx.p && t->code)
        out->remote_mta = t->mx, out->reply = words_of(r, t->code, t->enhanced, t->text);
    else if (t && (action == DSN_FAILED || action == DSN_DELAYED))
        out->reason = t->text;
}

/* The same for the same attempts of the same deliveries, so that a repeat meets what is there. */
static struct id id_for(const struct report *r, int64_t now)
{
    const struct endings *list = r->list;
    uint8_t hash[CRYPT_HASH];
    struct id id = list->message->id;
    int64_t at = now;
    struct buf text;

    buf_init(&text, 64 * (list->n + 2));
    buf_addf(&text, "report ");
    buf_add(&text, (struct bytes){ (const char *)id.b, sizeof id.b });
    for (size_t i = 0; i < list->n; i++) {
        const struct ending *e = &list->each[i];
        enum dsn_action action;

        if (e->lost || !action_of(e, list->message, now, &action))
            continue;
        buf_add(&text, (struct bytes){ (const char *)e->row->id.b, sizeof e->row->id.b });
        buf_addf(&text, " %d %lld ", (int)action, (long long)e->row->attempts);
        if (e->verdict.attempt && e->verdict.attempt->at)
            at = e->verdict.attempt->at;
    }
    crypt_hash(buf_bytes(&text), hash);
    buf_clear(&text);
    return id_of_hash_at(hash, at);
}

static bool compose(struct report *r, int64_t now, struct letter_in *letter, struct buf *out, struct err *e)
{
    const struct message_row *m = r->list->message;
    struct dsn_recipient *each = arena_array(r->arena, r->list->n, sizeof *each);
    struct dsn d = { .host = PARAM_TEXT(server, hostname),
                     .to = m->envelope_from,
                     .envelope_id = member(r, m->dsn, "envid"),
                     .header = r->header,
                     .arrived = m->created_at,
                     .date = now,
                     .recipients = each };
    bool failed = false;

    for (size_t i = 0; i < r->list->n; i++) {
        enum dsn_action action;

        if (r->list->each[i].lost || !action_of(&r->list->each[i], r->list->message, now, &action))
            continue;
        failed = failed || action == DSN_FAILED;
        tell_recipient(r, &r->list->each[i], action, now, &each[d.n++]);
    }
    d.whole = failed ? r->whole : NO_BYTES; /* RFC 3461 6.2 */
    d.message_id = arena_bytesf(r->arena, "<%.*s@%.*s>",
                                SHOW(id_text(r->arena, message_kind.prefix, letter->message_id)), SHOW(d.host));
    return d.n && dsn_write(&d, r->arena, out, e);
}

/* A report that cannot be written keeps nothing from ending. */
static void give_up(struct report *r, const struct err *why)
{
    r->there = true;
    if (why->code)
        log_warn("report", LOG_BYTES("message", id_text(r->arena, message_kind.prefix, r->list->message->id)),
                 LOG_BYTES("to", r->list->message->envelope_from), LOG_TEXT("result", "not written"),
                 LOG_TEXT("error", why->message));
}

static bool begin_letter(struct report *r, struct err *e)
{
    struct arena_mark clean = arena_mark(r->arena);
    const struct message_row *m = r->list->message;
    int64_t now = clock_wall();
    struct letter_in in = { .to = m->envelope_from, .account = m->account_id, .message_id = id_for(r, now) };
    struct err why = { 0 };
    struct buf text;
    bool ok = true;

    buf_init(&text, REPORT_MOST);
    if (!compose(r, now, &in, &text, &why)) {
        give_up(r, &why);
    } else {
        in.text = buf_bytes(&text);
        ok = r->svc->letters->begin(r->svc, &in, &r->letter, e);
    }
    buf_clear(&text);
    arena_rewind(r->arena, clean);
    return ok;
}

bool report_add(struct report *r, struct batch *b, struct err *e)
{
    if (!r)
        return true;
    r->svc->letters->drop(&r->letter);
    if (r->there)
        return true;
    if (!begin_letter(r, e))
        return false;
    r->first_op = (int)batch_count(b);
    if (r->letter && !r->svc->letters->add(r->letter, b, e))
        return false;
    r->end_op = (int)batch_count(b);
    return true;
}

bool report_mend(struct report *r, struct batch_failure f)
{
    if (!r || !r->letter || f.fault != FAULT_UNIQUE || f.operation < r->first_op || f.operation >= r->end_op)
        return false;
    return r->there = true;
}

void report_done(struct report *r)
{
    if (r && r->letter)
        r->svc->letters->done(r->letter);
}

void report_drop(struct report **r)
{
    if (!*r)
        return;
    (*r)->svc->letters->drop(&(*r)->letter);
    arena_free(&(*r)->arena);
    free(*r);
    *r = NULL;
}
