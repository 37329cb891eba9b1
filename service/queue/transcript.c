/* service/queue/transcript.c - dialogues that are kept: see transcript.h. Each has a key of its own, wrapped by the
 * server's as those of mail are. The row of an attempt is found along the deliveries' index; that of another recipient
 * may hold the lines. */
#include "service/queue/transcript.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/body/seal.h"
#include "service/core/member.h"
#include "service/core/state.h"
#include "service/queue/delivery.h"

#define LINES_MOST ((size_t)512 * 1024)

static struct bytes context_of(const struct transcript_row *row)
{
    return (struct bytes){ (const char *)row->id.b, sizeof row->id.b };
}

static void seal(struct service *svc, struct arena *a, struct bytes lines, struct transcript_row *row)
{
    struct crypt_key key;
    struct buf sealed;

    crypt_key_new(&key);
    buf_init(&sealed, 2 * LINES_MOST);
    if (crypt_seal(&key, lines, context_of(row), &sealed)) {
        row->lines = arena_copy(a, buf_bytes(&sealed));
        row->wrapped_key = seal_for_server(svc, &key, row->id, a);
        row->wrap = seal_wrap_name(svc);
    }
    buf_clear(&sealed);
    crypt_wipe(&key, sizeof key);
}

struct transcript_row *transcript_make(struct service *svc, struct arena *a, const struct delivery_row *d,
                                       struct bytes lines, const struct transcript_row *of)
{
    struct transcript_row *row = arena_alloc(a, sizeof *row);
    int64_t now = clock_wall();

    *row = (struct transcript_row){ .id = id_new(), .account_id = d->account_id, .delivery_id = d->id, .at = now };
    row->attempt = d->attempts + 1;
    row->expires_at = now + PARAM_INT(delivery, transcript_keep);
    if (of)
        row->of = of->id;
    else
        seal(svc, a, lines, row);
    return row;
}

bool transcript_wanted(struct id delivery)
{
    unsigned percent = (unsigned)PARAM_INT(delivery, transcript_sample);

    return percent && (delivery.b[14] * 256u + delivery.b[15]) % 100 < percent;
}

/* ---- the API ---- */

static const struct member transcript_list_[] = {
    MEMBER(ID, transcript_row, id, .prefix = "trs"),
    MEMBER(ID, transcript_row, account_id, .prefix = "acc"),
    MEMBER(ID, transcript_row, delivery_id, .prefix = "dlv"),
    MEMBER(INT, transcript_row, attempt),
    MEMBER(TIME, transcript_row, at),
    MEMBER(JSON, transcript_view, lines, .otherwise = "[]"),
};
MEMBERS(transcript, .object = "transcript", .path = "/v1/transcripts/", .kind = &transcript_kind);

static bool missing(struct call *c)
{
    return err_set(&c->err, ERR_MISSING, "No transcript of it is kept");
}

static bool find(struct call *c, struct id delivery, int64_t attempt, struct transcript_row *out)
{
    struct query q = { .kind = &transcript_kind, .index = "delivery", .n_conds = 1, .descending = true, .limit = 1 };
    void *rows;
    size_t n;

    q.conds[0] = COND("delivery_id", IS, V_ID(delivery));
    if (attempt)
        q.conds[q.n_conds++] = COND("attempt", IS, V_INT(attempt));
    if (!store_find(c->store, &q, c->arena, &rows, &n, &c->err))
        return false;
    if (!n)
        return missing(c);
    *out = *(struct transcript_row *)rows;
    return true;
}

static bool open_lines(struct call *c, const struct transcript_row *row, struct bytes *out)
{
    struct crypt_key key;
    struct buf text;
    bool ok;

    if (!seal_open_server(c->svc, row->id, row->wrapped_key, row->wrap, &key, &c->err))
        return false;
    buf_init(&text, 2 * LINES_MOST);
    ok = crypt_open(&key, row->lines, context_of(row), &text);
    *out = ok ? arena_copy(c->arena, buf_bytes(&text)) : NO_BYTES;
    buf_clear(&text);
    crypt_wipe(&key, sizeof key);
    return ok || err_set(&c->err, ERR_INTERNAL, "A transcript does not open");
}

bool delivery_transcript(struct call *c, const struct delivery_transcript_in *in, struct transcript_view *out)
{
    struct transcript_row first;
    struct delivery_row d;

    *out = (struct transcript_view){ 0 };
    if (!call_may(c, SCOPE_MESSAGES_READ) || !delivery_find(c, in->id, &d) || !find(c, d.id, in->attempt, &out->row))
        return false;
    first = out->row;
    if (id_is_none(first.of))
        return open_lines(c, &first, &out->lines);
    if (!store_get(c->store, &transcript_kind, out->row.of, c->arena, &first, &c->err))
        return c->err.code == ERR_MISSING ? err_again(c, ERR_MISSING, "No transcript of it is kept") : false;
    return open_lines(c, &first, &out->lines);
}
