/* service/queue/suppression.c - the rows of suppressions: how they are found, and how one is added. The resource of the
 * API is in suppression_rows.c.
 *
 * Where nobody is told what was there before, a row is raised (store.h): whichever of several adds comes last finds the
 * other's strength in the row, and leaves the stronger one. What suppression_look has seen decides only whether there
 * is anything to add, and to tell. */
#include "service/queue/suppression.h"
#include "mail/address.h"
#include "service/core/state.h"
#include <assert.h>

#define LOOK_IDS 64 /* of store_get_many */

static const char *const names[SUPPRESSION_REASONS] = {
    [SUPPRESSED_IMPORT] = "import",           [SUPPRESSED_MANUAL] = "manual",       [SUPPRESSED_BOUNCE] = "bounce",
    [SUPPRESSED_UNSUBSCRIBE] = "unsubscribe", [SUPPRESSED_COMPLAINT] = "complaint",
};

enum suppression_reason suppression_reason_of(struct bytes name)
{
    for (int r = SUPPRESSED_NOT + 1; r < SUPPRESSION_REASONS; r++)
        if (bytes_equal(name, bytes_of(names[r])))
            return (enum suppression_reason)r;
    return SUPPRESSED_NOT;
}

unsigned suppression_bypass(enum suppression_reason r)
{
    return r == SUPPRESSED_BOUNCE || r == SUPPRESSED_UNSUBSCRIBE ? 1u << r : 0;
}

/* ---- found ---- */

bool suppression_email(struct bytes text, struct arena *a, struct bytes *out, struct err *e)
{
    struct address address;

    return address_parse(text, a, &address, e) && address_normalize(&address, true, a, out, e);
}

/* Of an address that a mail was taken for: some are longer than what we would write ourselves. */
static struct bytes email_of(struct bytes text, struct arena *a)
{
    struct err ignored = { 0 };
    struct bytes email;

    return suppression_email(text, a, &email, &ignored) ? email : arena_lower(a, text);
}

/* No sign of one part can stand in another: the ids have their length, and addresses and topics no line end. */
static struct id id_of(struct arena *a, struct id account, struct bytes email, struct id stream, struct bytes topic)
{
    char one[ID_TEXT + 1], two[ID_TEXT + 1];
    uint8_t hash[CRYPT_HASH];

    crypt_hash(arena_bytesf(a, "%.*s\n%.*s\n%.*s\n%.*s", SHOW(id_format("acc", account, one)),
                            SHOW(id_format("str", stream, two)), SHOW(topic), SHOW(email)),
               hash);
    return id_of_hash(hash);
}

static bool load(struct store *st, struct arena *a, const struct id *ids, size_t n, struct suppression_row *out,
                 struct err *e)
{
    for (size_t i = 0; i < n; i += LOOK_IDS)
        if (!store_get_many(st, &suppression_kind, &ids[i], n - i < LOOK_IDS ? n - i : LOOK_IDS, a, &out[i], e))
            return false;
    return arena_check(a, e);
}

static bool holds(const struct suppression_row *row, int64_t now)
{
    return !id_is_none(row->id) && (!row->expires_at || row->expires_at > now);
}

/* What one mail is of: the account, its stream, its topic, that topic of that stream. */
enum { PLACES = 4 };
struct places {
    struct id stream[PLACES];
    struct bytes topic[PLACES];
    size_t n;
};

static struct places places_of(const struct suppression_scope *scope)
{
    bool stream = !id_is_none(scope->stream);
    struct places p = { .n = 1 };

    if (stream)
        p.stream[p.n++] = scope->stream;
    if (scope->topic.p)
        p.topic[p.n++] = scope->topic;
    if (stream && scope->topic.p) {
        p.stream[p.n] = scope->stream;
        p.topic[p.n++] = scope->topic;
    }
    return p;
}

static bool counts(const struct suppression_row *row, unsigned bypass, int64_t now)
{
    return holds(row, now) && !(suppression_bypass((enum suppression_reason)row->strength) & bypass);
}

bool suppression_find(struct service *svc, struct arena *a, const struct suppression_scope *scope,
                      const struct bytes *emails, size_t n, struct suppression_row *out, struct err *e)
{
    const struct places at = places_of(scope);
    struct suppression_row *found = arena_array(a, n * at.n + 1, sizeof *found);
    struct id *ids = arena_array(a, n * at.n + 1, sizeof *ids);
    int64_t now = store_now(svc->store);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < at.n; k++)
            ids[i * at.n + k] = id_of(a, scope->account, email_of(emails[i], a), at.stream[k], at.topic[k]);
    if (!load(svc->store, a, ids, n * at.n, found, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct suppression_row){ .id = NO_ID };
        for (size_t k = 0; k < at.n; k++)
            if (counts(&found[i * at.n + k], scope->bypass, now) && found[i * at.n + k].strength > out[i].strength)
                out[i] = found[i * at.n + k];
    }
    return true;
}

const struct verdict *suppression_verdict(struct arena *a, const struct suppression_row *row)
{
    struct verdict *v = arena_alloc(a, sizeof *v);
    struct attempt *why = arena_alloc(a, sizeof *why);

    *v = verdict_of(CAUSE_SUPPRESSED, 0);
    *why = *v->attempt;
    why->text = arena_bytesf(a, "%.*s (%.*s)", SHOW(why->text), SHOW(row->reason));
    v->attempt = why;
    return v;
}

/* ---- added ---- */

static struct bytes cut(struct bytes text)
{
    text = bytes_head(text, SUPPRESSION_TEXT_MAX);
    while (text.n && !bytes_is_utf8(text)) /* half a character where it was cut */
        text.n--;
    return text.n ? text : NO_BYTES;
}

static void describe(struct suppressing *s, int64_t now, struct arena *a)
{
    s->row = (struct suppression_row){ .account_id = s->account_id,
                                       .email = email_of(s->email, a),
                                       .reason = bytes_of(names[s->reason]),
                                       .strength = s->reason,
                                       .stream_id = s->stream_id,
                                       .topic = s->topic,
                                       .delivery_id = s->delivery_id,
                                       .text = cut(s->text),
                                       .created_at = now,
                                       .expires_at = s->expires_at };
    s->row.id = id_of(a, s->account_id, s->row.email, s->stream_id, s->topic);
}

/* What comes of the new one and the one that is there. */
static void merge(struct suppressing *s, int64_t now)
{
    const struct suppression_row *was = &s->was;
    int64_t until = was->expires_at && s->row.expires_at
                        ? (was->expires_at > s->row.expires_at ? was->expires_at : s->row.expires_at)
                        : 0;

    s->there = holds(was, now);
    s->adds = true;
    if (!s->there)
        return;
    if (was->strength >= s->row.strength) {
        s->row = *was;
        s->adds = until != was->expires_at;
    }
    s->row.expires_at = until;
}

/* Of an address that is named twice the later one meets what the earlier one leaves. */
static void merge_all(struct suppressing *list, size_t n, const struct suppression_row *found, int64_t now)
{
    for (size_t i = 0; i < n; i++) {
        size_t j = i;

        while (j > 0 && !id_equal(list[j - 1].row.id, list[i].row.id))
            j--;
        list[i].was = j ? list[j - 1].row : found[i];
        merge(&list[i], now);
    }
}

bool suppression_look(struct service *svc, struct arena *a, struct suppressing *list, size_t n, struct err *e)
{
    struct suppression_row *found = arena_array(a, n ? n : 1, sizeof *found);
    struct id *ids = arena_array(a, n ? n : 1, sizeof *ids);
    int64_t now = store_now(svc->store);

    for (size_t i = 0; i < n; i++) {
        describe(&list[i], now, a);
        ids[i] = list[i].row.id;
    }
    if (!load(svc->store, a, ids, n, found, e))
        return false;
    merge_all(list, n, found, now);
    return true;
}

static struct bytes event_data(struct arena *a, const struct suppression_row *row)
{
    struct bytes json;
    struct buf out;
    struct jw w;

    buf_init(&out, 16384); /* the text may be escaped */
    jw_init(&w, &out);
    jw_object(&w);
    jw_key_id(&w, "suppression_id", suppression_kind.prefix, row->id);
    jw_key_text(&w, "reason", row->reason);
    jw_key_id(&w, "stream_id", "str", row->stream_id);
    jw_key_text(&w, "topic", row->topic);
    jw_key_text(&w, "text", row->text);
    jw_key_time(&w, "expires_at", row->expires_at);
    jw_object_end(&w);
    json = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

void suppression_tell(struct batch *b, struct arena *a, const struct suppression_row *row, struct id message,
                      const char *type)
{
    struct event_row *event = arena_alloc(a, sizeof *event);

    *event = (struct event_row){ .id = id_new(),
                                 .account_id = row->account_id,
                                 .message_id = message,
                                 .delivery_id = row->delivery_id,
                                 .type = bytes_of(type),
                                 .email = row->email,
                                 .mode = BYTES("live"),
                                 .at = clock_wall(),
                                 .data = event_data(a, row) };
    event->expires_at = event->at + PARAM_INT(event, keep);
    batch_insert(b, &event_kind, event, NULL, 0);
}

void suppression_add(struct batch *b, struct arena *a, const struct suppressing *s)
{
    bool expired = !s->there && !id_is_none(s->was.id);
    struct cond *alive = arena_alloc(a, sizeof *alive);
    struct set *ever = arena_alloc(a, sizeof *ever);

    assert(!s->expires_at);
    if (!s->adds)
        return;
    *ever = SET("expires_at", V_TIME(0));
    *alive = expired ? COND("created_at", IS_NOT, V_TIME(s->was.created_at))
                     : COND("strength", AT_LEAST, V_INT(s->row.strength));
    batch_raise(b, &suppression_kind, &s->row, alive, ever, 1);
    suppression_tell(b, a, &s->row, s->message_id, "suppression.created");
}

#define EXACT 3
#define SETS  6
static void replace(struct batch *b, struct arena *a, const struct suppressing *s)
{
    struct cond *same = arena_array(a, EXACT, sizeof *same);
    struct set *sets = arena_array(a, SETS, sizeof *sets);

    same[0] = COND("strength", IS, V_INT(s->was.strength));
    same[1] = COND("created_at", IS, V_TIME(s->was.created_at));
    same[2] = COND("expires_at", IS, V_TIME(s->was.expires_at));
    sets[0] = SET("reason", V_TEXT(s->row.reason));
    sets[1] = SET("strength", V_INT(s->row.strength));
    sets[2] = SET("delivery_id", V_ID(s->row.delivery_id));
    sets[3] = SET("text", V_TEXT(s->row.text));
    sets[4] = SET("created_at", V_TIME(s->row.created_at));
    sets[5] = SET("expires_at", V_TIME(s->row.expires_at));
    batch_update(b, &suppression_kind, s->row.id, same, EXACT, sets, SETS);
}

void suppression_add_exact(struct batch *b, struct arena *a, const struct suppressing *s)
{
    if (!s->adds)
        return;
    if (id_is_none(s->was.id))
        batch_insert(b, &suppression_kind, &s->row, NULL, 0);
    else
        replace(b, a, s);
    suppression_tell(b, a, &s->row, s->message_id, "suppression.created");
}
