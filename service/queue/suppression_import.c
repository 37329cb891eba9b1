/* service/queue/suppression_import.c - a CSV taken in, and the row that says how far it is added. The adding itself is
 * in suppression_slices.c.
 *
 * The file is read over as it comes, so that what could never be imported is refused at once; which cell is what is
 * told by its first row and kept with the import, since a later slice does not see that row. */
#include "net/wait.h"
#include "service/body/seal.h"
#include "service/core/member.h"
#include "service/queue/mail_private.h"
#include "service/queue/suppression_import_private.h"

#define STORE_MS 30000               /* what a store that is busy gets to take a piece */
#define TURN     ((size_t)64 * 1024) /* bytes handled before the other fibers of the loop may get a turn */
#define HEAD     ((size_t)4 * 1024)  /* the separator is told by so many */
#define PAUSE_MS 2000                /* without a poke, how long until an import is looked for again */

static void show_faults(struct jw *w, const void *row)
{
    const struct bytes faults = ((const struct suppression_import_row *)row)->faults;

    jw_raw(w, faults.p ? faults : BYTES("[]"));
}

static const struct member suppression_import_list_[] = {
    MEMBER(ID, suppression_import_row, id, .prefix = "imp"),
    MEMBER(ID, suppression_import_row, account_id, .prefix = "acc"),
    MEMBER(TEXT, suppression_import_row, status),
    MEMBER(INT, suppression_import_row, read),
    MEMBER(INT, suppression_import_row, added),
    MEMBER(INT, suppression_import_row, unchanged),
    MEMBER(OWN, suppression_import_row, faults, .show = show_faults),
    MEMBER(TIME, suppression_import_row, created_at),
    MEMBER(TIME, suppression_import_row, finished_at),
};
MEMBERS(suppression_import, .object = "suppression_import", .path = "/v1/suppressions/imports/",
        .kind = &suppression_import_kind);

/* ---- the first row ---- */

/* Without case, blanks, '_' and '-': programs call it "Email Address" and "expires_at". */
static bool is_named(struct bytes cell, const char *name)
{
    for (size_t i = 0; i < cell.n; i++) {
        char x = cell.p[i];

        if (x == ' ' || x == '_' || x == '-')
            continue;
        x = (char)(x >= 'A' && x <= 'Z' ? x + ('a' - 'A') : x);
        if (x != *name++)
            return false;
    }
    return *name == '\0';
}

static const struct {
    const char *name;
    enum import_column column;
} titles[] = {
    { "email", IMPORT_EMAIL },   { "emailaddress", IMPORT_EMAIL }, { "address", IMPORT_EMAIL },
    { "reason", IMPORT_REASON }, { "streamid", IMPORT_STREAM },    { "topic", IMPORT_TOPIC },
    { "text", IMPORT_TEXT },     { "expiresat", IMPORT_EXPIRES },
};

static void name_columns(struct import_columns *x, const struct csv *c)
{
    memset(x->at, IMPORT_ABSENT, sizeof x->at);
    x->titled = true;
    for (size_t k = 0; k < sizeof titles / sizeof *titles; k++)
        for (size_t i = 0; i < c->n && x->at[titles[k].column] == IMPORT_ABSENT; i++)
            if (is_named(csv_cell(c, i), titles[k].name))
                x->at[titles[k].column] = (uint8_t)i;
    for (size_t i = 0; i < c->n && x->at[IMPORT_EMAIL] == IMPORT_ABSENT; i++)
        if (bytes_find(csv_cell(c, i), '@') < csv_cell(c, i).n) { /* it names nothing: rows begin at once */
            x->at[IMPORT_EMAIL] = (uint8_t)i;
            x->titled = false;
        }
}

/* ---- the file ---- */

struct upload {
    struct body_writer *body;
    struct csv csv;
    struct import_columns columns;
    bool begun, named;
    int64_t rows;
};

static bool look_at(struct call *c, struct upload *u)
{
    if (!u->csv.n && !u->csv.fault)
        return true;
    if (!u->named) {
        u->named = true;
        name_columns(&u->columns, &u->csv);
        u->rows -= u->columns.titled;
        if (u->csv.fault || u->columns.at[IMPORT_EMAIL] == IMPORT_ABSENT)
            return call_fault(c, "/email", "required", "The first row names the columns, and one of them is email") ||
                   call_check(c);
    }
    if (++u->rows <= PARAM_INT(suppression, import_rows))
        return true;
    return call_fault(c, "", "too_many", "At most %lld rows", (long long)PARAM_INT(suppression, import_rows)) ||
           call_check(c);
}

static bool scan(struct call *c, struct upload *u, struct bytes piece)
{
    size_t used;

    while (csv_next(&u->csv, piece, &used) == CSV_RECORD) {
        if (!look_at(c, u))
            return false;
        piece = bytes_from(piece, used);
    }
    return true;
}

static bool scan_begin(struct call *c, struct upload *u)
{
    struct bytes head = body_preview(u->body);

    u->begun = true;
    csv_init(&u->csv, csv_separator(head), IMPORT_RECORD_MAX);
    return scan(c, u, head);
}

static bool take(struct call *c, struct upload *u, struct bytes piece)
{
    for (; piece.n; piece = bytes_from(piece, TURN)) {
        struct bytes some = bytes_head(piece, TURN);

        if (!body_write(u->body, some, clock_monotonic() + STORE_MS, &c->err))
            return false;
        if (u->begun ? !scan(c, u, some) : body_size(u->body) >= (int64_t)HEAD && !scan_begin(c, u))
            return false;
        fiber_turn();
    }
    return true;
}

static bool take_all(struct call *c, struct upload *u, const struct source *from)
{
    struct bytes piece;

    do {
        if (!from->read(from->ctx, &piece, &c->err) || !take(c, u, piece))
            return false;
    } while (piece.n);
    if (!u->begun && !scan_begin(c, u))
        return false;
    if (csv_end(&u->csv) == CSV_RECORD && !look_at(c, u))
        return false;
    if (!u->named)
        return call_fault(c, "/email", "required", "The file is empty") || call_check(c);
    c->deadline = clock_monotonic() + STORE_MS;
    return body_finish(u->body, c->deadline, &c->err) && auth_current(c); /* it may have taken long to come */
}

/* ---- the row ---- */

static bool has_room(struct call *c)
{
    static const char *const only[] = { "id", NULL };
    struct query q = { .kind = &suppression_import_kind, .index = "open", .n_conds = 2, .only = only };
    void *rows;
    size_t n;

    q.limit = (size_t)PARAM_INT(suppression, import_open);
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    q.conds[1] = COND("due_at", IS_NOT, V_TIME(0));
    return store_find(c->store, &q, c->arena, &rows, &n, &c->err) &&
           (n < q.limit || err_set(&c->err, ERR_RATE, "%zu imports are open; wait until one is done", n));
}

static bool keep(struct call *c, struct upload *u, struct suppression_import_row *out)
{
    struct batch *b = batch_new(c->arena);

    *out = (struct suppression_import_row){ .id = id_new(),
                                            .account_id = c->account,
                                            .body_id = body_id(u->body),
                                            .status = BYTES("queued"),
                                            .columns = { (const char *)&u->columns, sizeof u->columns },
                                            .separator = u->csv.separator,
                                            .created_at = clock_wall(),
                                            .due_at = store_now(c->store) };
    out->wrapped_key = seal_for_server(c->svc, body_key(u->body), out->id, c->arena);
    out->wrap = seal_wrap_name(c->svc);
    body_put(u->body, b, c->arena);
    batch_insert(b, &suppression_import_kind, out, NULL, 0);
    if (!call_commit(c, b, out, out->id))
        return false;
    body_kept(u->body);
    out->columns = NO_BYTES; /* lies in the upload */
    suppression_import_poke(c->svc);
    return true;
}

bool suppression_import(struct call *c, const struct suppression_import_in *in, struct suppression_import_row *out)
{
    struct upload u = { .rows = 0 };
    bool ok;

    if (!suppression_may(c) || !service_accepts(c->svc, &c->err) || !has_room(c))
        return false;
    u.body = body_begin(c->svc);
    ok = take_all(c, &u, &in->csv) && keep(c, &u, out);
    body_free(&u.body);
    if (u.begun)
        csv_clear(&u.csv);
    return ok;
}

bool suppression_import_get(struct call *c, const struct suppression_import_get_in *in,
                            struct suppression_import_row *out)
{
    struct id id;
    bool there;

    if (!suppression_may(c))
        return false;
    if (!id_parse(suppression_import_kind.prefix, in->id, &id))
        return err_set(&c->err, ERR_MISSING, "No such import");
    return store_look(c->store, &suppression_import_kind, id, c->arena, out, &there, &c->err) &&
           ((there && id_equal(out->account_id, c->account)) || err_set(&c->err, ERR_MISSING, "No such import"));
}

/* ---- background ---- */

static struct claim claim_of(int64_t lease_ms)
{
    struct claim claim = { .query = { .kind = &suppression_import_kind, .index = "due", .n_conds = 1, .limit = 1 },
                           .due = "due_at",
                           CLAIMED_BY,
                           .lease_ms = lease_ms };

    claim.query.conds[0] = COND("due_at", IS_NOT, V_TIME(0));
    return claim;
}

bool suppression_import_begin(struct service *svc, struct err *e)
{
    struct claim claim = claim_of(LEASE_MOST_MS);

    claim.query.limit = 100;
    return store_end_leases(svc->store, &claim, e);
}

bool suppression_import_round(struct service *svc, bool *any, struct err *e)
{
    struct claim claim = claim_of(PARAM_INT(delivery, lease));
    struct arena *a = arena_new(IMPORT_ARENA);
    void *rows = NULL;
    size_t n = 0;
    bool ok = store_claim(svc->store, &claim, a, &rows, &n, e);

    *any = ok && n > 0;
    if (*any)
        ok = import_go_on(svc, rows, e);
    arena_free(&a);
    return ok;
}

static void import_fiber(struct service *svc)
{
    while (!svc->stopping) {
        uint64_t seen = signal_count(svc->mail->imports);
        struct err e = { 0 };
        bool any = false;

        if (!suppression_import_round(svc, &any, &e)) {
            log_warn("suppression", LOG_TEXT("import", "waits"), LOG_TEXT("error", e.message),
                     LOG_TEXT("where", e.where));
            service_sleep(svc, PAUSE_MS);
        } else if (!any) {
            signal_wait(svc->mail->imports, seen, clock_monotonic() + PAUSE_MS);
        }
    }
}

bool suppression_import_start(struct service *svc, struct err *e)
{
    return service_spawn(svc, import_fiber, e);
}

void suppression_import_poke(struct service *svc)
{
    if (svc->mail)
        signal_raise(svc->mail->imports);
}
