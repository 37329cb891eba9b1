/* service/message_list.c - messages by what they are and to whom they went. One index leads - the recipient's address,
 * a tag, or the account - and the other filters pick from what it gives, page by page, until the answer is full. */
#include "service/directory.h"
#include "service/message_private.h"
#include "service/outcome.h"

/* Rows of the leading index that one request looks at. */
#define LOOK  5000
#define CHUNK 64

struct scan {
    struct call *c;
    const struct message_list_in *in;
    struct query query;             /* of the leading index */
    const struct field *message_id; /* in its rows; NULL: they are the messages */
    struct bytes email;
    struct id key_id;
    size_t limit, looked;
    struct message_row *found; /* one more than the limit */
    const void **leads;        /* the leading rows they came by */
    size_t n;
    struct id last; /* message found last: an address or tag may lead to it twice */
    bool more;      /* the leading index has rows left */
};

bool email_filter(struct call *c, struct bytes email, struct bytes *out)
{
    struct directory_domain domain;
    struct address address;
    struct err ignored = { 0 };
    bool ours;

    *out = email;
    if (!address_parse(email, c->arena, &address, &ignored))
        return true;
    ours = directory_domain(c, address.domain, &domain); /* whose mailboxes are case-blind */
    if (!ours && !call_was_missing(c))
        return false;
    if (!address_normalize(&address, ours, c->arena, out, &ignored))
        *out = email;
    return true;
}

static bool matches(const struct scan *s, const struct message_row *m)
{
    const struct message_list_in *in = s->in;
    struct bytes direction = in->direction.p ? in->direction : BYTES("outbound");

    return call_sees(s->c, m->account_id, m->mode, m->domain_id) && bytes_equal(m->direction, direction) &&
           (!in->status.p || bytes_equal(message_status(m), in->status)) &&
           (!in->source.p || bytes_equal(m->source, in->source)) && (!in->key_id.p || id_equal(m->key_id, s->key_id)) &&
           (!in->since || m->created_at >= in->since) && (!in->until || m->created_at < in->until);
}

static void lead_by(struct scan *s, const struct kind *k, const char *index)
{
    s->query.kind = k;
    s->query.index = index;
    s->query.conds[s->query.n_conds++] = COND("account_id", IS, V_ID(s->c->account));
    s->message_id = kind_field(k, "message_id");
}

static void choose(struct scan *s)
{
    const struct message_list_in *in = s->in;

    if (in->tag.p) {
        lead_by(s, &tag_kind, "label");
        s->query.conds[s->query.n_conds++] = COND("label", IS, V_TEXT(in->tag));
    } else if (in->email.p) {
        lead_by(s, &delivery_kind, "email");
        s->query.conds[s->query.n_conds++] = COND("email", IS, V_TEXT(s->email));
    } else {
        lead_by(s, &message_kind, "account");
        s->query.conds[s->query.n_conds++] =
            COND("direction", IS, V_TEXT(in->direction.p ? in->direction : BYTES("outbound")));
    }
}

/* With a tag leading, an address is looked for among the deliveries. */
static bool went_to(struct scan *s, const struct message_row *m, bool *yes)
{
    struct query q = { .kind = &delivery_kind, .index = "message", .n_conds = 2, .limit = 1 };
    void *rows;
    size_t n;

    *yes = true;
    if (!s->in->tag.p || !s->in->email.p)
        return true;
    q.conds[0] = COND("message_id", IS, V_ID(m->id));
    q.conds[1] = COND("email", IS, V_TEXT(s->email));
    if (!store_find(s->c->store, &q, s->c->arena, &rows, &n, &s->c->err))
        return false;
    *yes = n > 0;
    return true;
}

static bool load_messages(struct scan *s, char *leads, size_t n, struct message_row **out)
{
    struct id *ids = arena_array(s->c->arena, n, sizeof *ids);

    if (!s->message_id) {
        *out = (struct message_row *)(void *)leads;
        return true;
    }
    *out = arena_array(s->c->arena, n, sizeof **out);
    for (size_t i = 0; i < n; i++)
        memcpy(&ids[i], leads + i * s->query.kind->size + s->message_id->offset, sizeof ids[i]);
    return store_get_many(s->c->store, &message_kind, ids, n, s->c->arena, *out, &s->c->err);
}

static bool take(struct scan *s, char *leads, size_t n)
{
    struct message_row *rows;
    bool yes;

    if (!load_messages(s, leads, n, &rows))
        return false;
    for (size_t i = 0; i < n && s->n <= s->limit; i++) {
        if (id_is_none(rows[i].id) || id_equal(rows[i].id, s->last) || !matches(s, &rows[i]))
            continue;
        if (!went_to(s, &rows[i], &yes))
            return false;
        if (!yes)
            continue;
        s->found[s->n] = rows[i];
        s->leads[s->n++] = leads + i * s->query.kind->size;
        s->last = rows[i].id;
    }
    return true;
}

static bool run(struct scan *s)
{
    void *leads;
    size_t n = CHUNK;

    s->query.limit = CHUNK;
    while (n == CHUNK && s->n <= s->limit && s->looked < LOOK) {
        if (!store_find(s->c->store, &s->query, s->c->arena, &leads, &n, &s->c->err))
            return false;
        if (n == 0)
            break;
        if (!take(s, leads, n))
            return false;
        s->looked += n;
        s->query.after = store_cursor(&s->query, (char *)leads + (n - 1) * s->query.kind->size, s->c->arena);
    }
    s->more = n == CHUNK;
    return true;
}

/* Found in reading order; `before` reads upward and is turned. */
static void answer(struct scan *s, struct message_list_out *out)
{
    bool up = s->in->page.before.p, over = s->n > s->limit;
    size_t n = over ? s->limit : s->n;
    /* When the look ended before the page was full, the next one starts where it stopped. */
    struct bytes far = over || (n && !s->more) ? store_cursor(&s->query, s->leads[n - 1], s->c->arena) : s->query.after;
    struct bytes near = n ? store_cursor(&s->query, s->leads[0], s->c->arena) : NO_BYTES;
    bool further = over || s->more;

    out->rows = arena_array(s->c->arena, n ? n : 1, sizeof *out->rows);
    out->n = n;
    for (size_t i = 0; i < n; i++)
        message_show(s->c, &s->found[up ? n - 1 - i : i], &out->rows[i]);
    out->page.has_more = up ? true : further;
    out->page.next = up ? near : further ? far : NO_BYTES;
    out->page.previous = up ? (further ? far : NO_BYTES) : s->in->page.after.p ? near : NO_BYTES;
    if (up && n == 0)
        out->page.has_more = false;
}

static bool begin(struct scan *s)
{
    struct call *c = s->c;
    const struct page *page = &s->in->page;

    s->limit = page->limit ? (size_t)page->limit : 20;
    if (s->limit < 1 || s->limit > 100)
        call_fault(c, "/limit", "out_of_range", "1 to 100");
    if (page->after.p && page->before.p)
        call_fault(c, "/before", "conflict", "Not together with after");
    if (s->in->key_id.p && !id_parse(key_kind.prefix, s->in->key_id, &s->key_id))
        call_fault(c, "/key_id", "invalid_id", "An id that begins with key_");
    if (s->in->email.p && !email_filter(c, s->in->email, &s->email))
        return false;
    choose(s);
    s->query.descending = !page->before.p;
    s->query.after = page->before.p ? page->before : page->after;
    if (s->query.after.p && !store_cursor_check(&s->query, s->query.after))
        call_fault(c, page->before.p ? "/before" : "/after", "invalid_cursor", "Not a cursor of this list");
    return call_check(c);
}

bool message_list(struct call *c, const struct message_list_in *in, struct message_list_out *out)
{
    struct scan s = { .c = c, .in = in };

    *out = (struct message_list_out){ 0 };
    if (!call_may(c, SCOPE_MESSAGES_READ))
        return false;
    if (bytes_equal(in->direction, BYTES("inbound")) && !call_may(c, SCOPE_OPERATOR))
        return false;
    if (!begin(&s))
        return false;
    s.found = arena_array(c->arena, s.limit + 1, sizeof *s.found);
    s.leads = arena_array(c->arena, s.limit + 1, sizeof *s.leads);
    if (!run(&s))
        return false;
    answer(&s, out);
    return true;
}
