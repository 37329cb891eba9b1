/* service/box/entry.c - entries in their mailboxes: lists, flags, moves, deletes.
 *
 * Every change of an entry takes a new modseq of its user, demands that entry and mailbox are as they were read, and
 * writes what differs; what another one changed meanwhile is looked at again. The mailbox's counters are only added to,
 * in the same batch. A move gives a new uid in the other mailbox and keeps the entry's id (RFC 9051 2.3.1.1: a uid is
 * of one mailbox). */
#include "service/box/entry.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/body/body.h"
#include "service/body/seal.h"
#include "service/box/entry_private.h"
#include "service/box/gone.h"
#include "service/box/summary.h"
#include "service/core/member.h"
#include "service/core/modseq.h"
#include "service/core/retry.h"
#include "service/identity/access.h"

#define KEYWORDS_MAX 32
#define KEYWORD_MAX  64

bool entry_key(struct call *c, const struct entry_row *row, struct crypt_key *content)
{
    struct directory_user user;
    struct crypt_key user_key;
    bool ok;

    if (!directory_user(c, row->user_id, &user) || !seal_user_key(c->svc, &user, &user_key, &c->err))
        return false;
    ok = seal_open_user(&user_key, row, content, &c->err);
    crypt_wipe(&user_key, sizeof user_key);
    return ok;
}

static void show(struct call *c, const struct crypt_key *user_key, const struct entry_row *row, struct entry_view *out)
{
    struct crypt_key content;
    struct err ignored = { 0 };

    *out = (struct entry_view){ .row = *row };
    if (!seal_open_user(user_key, row, &content, &ignored)) {
        summary_read(NO_BYTES, c->arena, out);
        return;
    }
    summary_read(seal_open_text(&content, row->body_id, row->summary, c->arena), c->arena, out);
    crypt_wipe(&content, sizeof content);
}

bool entry_show(struct call *c, struct id user_id, const struct entry_row *rows, size_t n, struct entry_view *out)
{
    struct directory_user user;
    struct crypt_key user_key;

    if (!directory_user(c, user_id, &user) || !seal_user_key(c->svc, &user, &user_key, &c->err))
        return false;
    for (size_t i = 0; i < n; i++)
        show(c, &user_key, &rows[i], &out[i]);
    crypt_wipe(&user_key, sizeof user_key);
    return true;
}

bool entry_summary(struct call *c, struct bytes id, struct entry_view *out)
{
    struct entry_row row;

    return access_entry(c, id, SCOPE_MAIL_READ, &row) && entry_show(c, row.user_id, &row, 1, out);
}

bool entry_again(struct call *c, struct id id, struct entry_view *out)
{
    struct entry_row row;

    return access_entry(c, id_text(c->arena, entry_kind.prefix, id), SCOPE_MAIL_WRITE, &row) &&
           entry_show(c, row.user_id, &row, 1, out);
}

bool entry_list(struct call *c, const struct entry_list_in *in, struct entry_list_out *out)
{
    struct query q = { .kind = &entry_kind, .index = "uid", .n_conds = 1 };
    struct mailbox_row box;
    void *rows = NULL;

    if (!access_mailbox(c, in->mailbox_id, SCOPE_MAIL_READ, &box) || !access_audit(c, box.user_id))
        return false;
    q.conds[0] = COND("mailbox_id", IS, V_ID(box.id));
    if (!call_list(c, &q, &in->page, &rows, &out->n, &out->page))
        return false;
    out->rows = arena_array(c->arena, out->n ? out->n : 1, sizeof *out->rows);
    return entry_show(c, box.user_id, rows, out->n, out->rows);
}

/* ---- changes ---- */

static bool keyword_ok(struct bytes word)
{
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] <= ' ' || word.p[i] >= 127)
            return false;
    return word.n > 0 && word.n <= KEYWORD_MAX;
}

/* JMAP's names of what are flags here (RFC 8621 section 4.1.1): kept twice they would come to differ. */
static bool is_flag(struct bytes word)
{
    static const char *const flags[] = { "$seen", "$flagged", "$answered", "$draft", "$recent", "$deleted" };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (bytes_equal_nocase(word, bytes_of(flags[i])))
            return true;
    return false;
}

/* Keywords have no case (RFC 9051 section 2.3.2): of two that differ in it alone the first stands. */
static struct bytes distinct(struct call *c, const struct bytes *words, size_t n)
{
    struct bytes json;
    struct buf out;
    struct jw w;

    buf_init(&out, KEYWORDS_MAX * (2 * KEYWORD_MAX + 3) + 2);
    jw_init(&w, &out);
    jw_array(&w);
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        while (k < i && !bytes_equal_nocase(words[k], words[i]))
            k++;
        if (k == i)
            jw_text(&w, words[i]);
    }
    jw_array_end(&w);
    json = arena_copy(c->arena, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

static bool rule_keywords(struct call *c, const void *given, void *row)
{
    struct bytes list = ((const struct entry_row *)given)->keywords, *words;
    size_t n;

    if (!members_texts(c, list, &words, &n))
        return false;
    if (n > KEYWORDS_MAX)
        call_fault(c, "/keywords", "too_many", "At most %d keywords", KEYWORDS_MAX);
    for (size_t i = 0; i < n && i < KEYWORDS_MAX; i++)
        if (!keyword_ok(words[i]))
            call_fault(c, arena_printf(c->arena, "/keywords/%zu", i), "invalid_characters",
                       "1 to %d printable ASCII characters without blanks", KEYWORD_MAX);
        else if (is_flag(words[i]))
            call_fault(c, arena_printf(c->arena, "/keywords/%zu", i), "reserved", "A flag with a member of its own");
    ((struct entry_row *)row)->keywords = n && n <= KEYWORDS_MAX ? distinct(c, words, n) : NO_BYTES;
    return true;
}

/* ---- the members ---- */

#define FLAG(...) FLAG_LINE(__VA_ARGS__, )
#define FLAG_LINE(name_, bit_, ...)                                                                                    \
    {                                                                                                                  \
        .name = name_, .type = MEMBER_BIT, .offset = offsetof(struct entry_row, flags), .bit = (bit_),                 \
        .given = CHANGED, __VA_ARGS__                                                                                  \
    }

static const struct member entry_list_[] = {
    MEMBER(ID, entry_row, id, .prefix = "ent", .column = true),
    MEMBER(ID, entry_row, account_id, .prefix = "acc"),
    MEMBER(ID, entry_row, mailbox_id, .given = CHANGED, .prefix = "mbx"),
    MEMBER(ID, entry_row, message_id, .prefix = "msg"),
    MEMBER(ID, entry_row, thread_id, .prefix = ENTRY_THREAD),
    MEMBER(INT, entry_row, uid),
    MEMBER(INT, entry_row, modseq),
    MEMBER(TEXT, entry_view, header_message_id),
    MEMBER(JSON, entry_view, from, .column = true),
    MEMBER(JSON, entry_view, to, .otherwise = "[]"),
    MEMBER(TEXT, entry_view, subject, .column = true),
    MEMBER(TEXT, entry_view, snippet),
    MEMBER(TIME, entry_row, sent_at),
    MEMBER(TIME, entry_row, received_at, .column = true),
    MEMBER(TIME, entry_row, saved_at),
    MEMBER(INT, entry_row, size),
    FLAG("seen", ENTRY_SEEN, .column = true),
    FLAG("flagged", ENTRY_FLAGGED),
    FLAG("answered", ENTRY_ANSWERED),
    FLAG("draft", ENTRY_DRAFT),
    FLAG("deleted", ENTRY_DELETED),
    MEMBER(JSON, entry_row, keywords, .given = CHANGED, .rule = rule_keywords, .otherwise = "[]"),
    MEMBER(INT, entry_view, attachment_count),
    MEMBER(JSON, entry_row, auth),
};
MEMBERS(entry, .object = "entry", .path = "/v1/entries/", .kind = &entry_kind);

/* ---- what entry_get shows beyond ---- */

static void show_headers(struct jw *w, const void *row)
{
    const struct entry_view *v = row;

    jw_array(w);
    for (size_t i = 0; i < v->n_headers; i++) {
        jw_object(w);
        jw_key_text(w, "name", v->headers[i].name);
        jw_key_text(w, "value", v->headers[i].value);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void show_attachments(struct jw *w, const void *row)
{
    const struct entry_view *v = row;

    jw_array(w);
    for (size_t i = 0; i < v->n_attachments; i++) {
        const struct entry_attachment *a = &v->attachments[i];

        jw_object(w);
        jw_key_int(w, "index", a->index);
        jw_key_text(w, "filename", a->filename);
        jw_key_text(w, "content_type", a->content_type);
        jw_key_text(w, "content_id", a->content_id);
        jw_key_text(w, "disposition", a->disposition);
        jw_key_int(w, "size", a->size);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static const struct member entry_full_list_[] = {
    MEMBER(JSON, entry_view, cc, .otherwise = "[]"),
    MEMBER(JSON, entry_view, reply_to, .otherwise = "[]"),
    { .name = "headers", .type = MEMBER_OWN, .show = show_headers },
    MEMBER(TEXT, entry_view, text),
    MEMBER(BOOL, entry_view, text_truncated),
    MEMBER(TEXT, entry_view, html),
    MEMBER(BOOL, entry_view, html_truncated),
    MEMBER(TEXT, entry_view, html_safe),
    MEMBER(INT, entry_view, html_blocked),
    MEMBER(TEXT, entry_view, stripped_text),
    { .name = "attachments", .type = MEMBER_OWN, .show = show_attachments },
};
MEMBERS(entry_full, .object = "entry", .path = "/v1/entries/", .base = &entry_members);

/* ---- writing ---- */

static int64_t unseen(int64_t flags)
{
    return flags & ENTRY_SEEN ? 0 : 1;
}

/* An entry enters (+1) or leaves (-1) a mailbox, or only changes there (0, with the change of its unseen count). */
static void count(struct call *c, struct batch *b, struct id box, int64_t sign, int64_t size, int64_t unseen_change,
                  int modseq)
{
    struct set *sets = arena_array(c->arena, 4, sizeof *sets);

    sets[0] = FROM_SLOT("modseq", modseq, 0);
    sets[1] = ADD("total", sign);
    sets[2] = ADD("bytes", sign * size);
    sets[3] = ADD("unseen", unseen_change);
    batch_update(b, &mailbox_kind, box, NULL, 0, sets, 4);
}

/* Every change of an entry gives it a new modseq. */
static struct cond *as_read(struct call *c, const struct entry_row *row)
{
    struct cond *same = arena_array(c->arena, 2, sizeof *same);

    same[0] = COND("mailbox_id", IS, V_ID(row->mailbox_id));
    same[1] = COND("modseq", IS, V_INT(row->modseq));
    return same;
}

/* What a move changes in the entry and in both mailboxes: how many sets. */
static size_t move(struct call *c, struct batch *b, const struct entry_row *row, const struct entry_row *after,
                   int modseq, int uid, struct set *sets)
{
    struct set *next_uid = arena_alloc(c->arena, sizeof *next_uid);

    count(c, b, row->mailbox_id, -1, row->size, -unseen(row->flags), modseq);
    gone_moved(b, c->arena, row, modseq);
    count(c, b, after->mailbox_id, 1, row->size, unseen(after->flags), modseq);
    *next_uid = ADD_SLOT("uid_next", 1, uid);
    batch_update(b, &mailbox_kind, after->mailbox_id, NULL, 0, next_uid, 1);
    sets[0] = SET("mailbox_id", V_ID(after->mailbox_id));
    sets[1] = FROM_SLOT("uid", uid, -1);
    sets[2] = FROM_SLOT("arrived_modseq", modseq, 0);
    sets[3] = SET("saved_at", V_TIME(after->saved_at));
    sets[4] = SET("changed_modseq", V_INT(0));
    sets[5] = SET("changed_at", V_TIME(0));
    return 6;
}

/* Writes what differs, while the entry is as it was read; what differs in nothing is no change. */
static bool update_row(struct call *c, const struct entry_row *row, struct entry_row *after)
{
    bool moved = !id_equal(row->mailbox_id, after->mailbox_id);
    struct batch *b = batch_new(c->arena);
    struct set *sets = arena_array(c->arena, 9, sizeof *sets);
    int modseq = modseq_raise(b, c->arena, row->user_id), uid = batch_slot(b);
    size_t n = 0;

    if (row->flags != after->flags)
        sets[n++] = SET("flags", V_INT(after->flags));
    if (!bytes_equal(row->keywords, after->keywords))
        sets[n++] = SET("keywords", V_JSON(after->keywords));
    if (!moved && !n)
        return true;
    after->saved_at = moved ? clock_wall() : after->saved_at;
    if (moved)
        n += move(c, b, row, after, modseq, uid, sets + n);
    else
        count(c, b, row->mailbox_id, 0, row->size, unseen(after->flags) - unseen(row->flags), modseq);
    if (!moved) {
        sets[n++] = FROM_SLOT("changed_modseq", modseq, 0);
        sets[n++] = SET("changed_at", V_TIME(clock_wall()));
    }
    sets[n++] = FROM_SLOT("modseq", modseq, 0);
    batch_update(b, &entry_kind, row->id, as_read(c, row), 2, sets, n);
    if (!call_commit(c, b, NULL, row->id))
        return false;
    after->modseq = batch_slot_value(b, modseq);
    if (moved)
        after->uid = batch_slot_value(b, uid) - 1;
    return true;
}

/* The mailbox it is moved to is one of the same user. */
static bool check_target(struct call *c, const struct entry_row *row, const struct entry_row *after)
{
    struct mailbox_row box;
    bool there;

    if (id_equal(row->mailbox_id, after->mailbox_id))
        return true;
    if (!store_look(c->store, &mailbox_kind, after->mailbox_id, c->arena, &box, &there, &c->err))
        return false;
    if (!there || !id_equal(box.user_id, row->user_id))
        call_fault(c, "/mailbox_id", "not_found", "No such mailbox of this user");
    return true;
}

struct updating {
    const struct entry_update_in *in;
    struct entry_row after;
};

static bool update_once(struct call *c, void *arg, bool *again)
{
    struct updating *w = arg;
    struct entry_row row;
    bool done;

    if (!access_entry(c, w->in->id, SCOPE_MAIL_WRITE, &row))
        return false;
    w->after = row;
    if (!members_apply(c, &entry_members, &w->in->given, w->in->named, &w->after) ||
        !check_target(c, &row, &w->after) || !call_check(c))
        return false;
    done = update_row(c, &row, &w->after);
    *again = c->err.code == ERR_CONFLICT;
    return done;
}

bool entry_update(struct call *c, const struct entry_update_in *in, struct entry_view *out)
{
    struct updating w = { .in = in };

    return retry_run(c, in->id, update_once, &w) && entry_show(c, w.after.user_id, &w.after, 1, out);
}

static bool delete_row(struct call *c, const struct entry_row *row)
{
    struct batch *b = batch_new(c->arena);
    const struct gone_place at = { row->account_id, row->user_id, row->mailbox_id };
    struct gone gone;

    gone_begin(&gone, b, c->arena, &at, 1);
    gone_entry(&gone, row);
    gone_end(&gone);
    if (!store_commit(c->store, b, c->deadline, &c->err))
        return false;
    directory_add_used(c->svc, row->user_id, -row->size);
    return true;
}

static bool delete_once(struct call *c, void *arg, bool *again)
{
    const struct entry_delete_in *in = arg;
    struct entry_row row;
    bool done;

    if (!access_entry(c, in->id, SCOPE_MAIL_WRITE, &row))
        return false;
    done = delete_row(c, &row);
    *again = c->err.code == ERR_CONFLICT;
    return done;
}

bool entry_delete(struct call *c, const struct entry_delete_in *in, void *out)
{
    struct entry_delete_in what = *in;

    (void)out;
    return retry_run(c, in->id, delete_once, &what);
}
