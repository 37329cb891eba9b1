/* service/queue/suppression_slices.c - an import, slice by slice: see suppression_import.h.
 *
 * A slice is read from the file, looked up, and written by one batch on condition of the claim's token: the rows, and
 * in the import's own row the counts, the faults and where the next slice begins. Where somebody else adds or removes
 * the same addresses at that moment the look is made again. After some slices the import is due anew, behind those of
 * others that wait. */
#include "service/body/seal.h"
#include "service/queue/suppression_import_private.h"

#define SLICE_ROWS  500
#define SLICE_BYTES ((size_t)512 * 1024) /* of the file: rows may have long texts */
#define SLICES      20                   /* of one turn */
#define PAUSE_MOST  64                   /* ms before a look is made again */
#define AWAY_MS     2000
#define FAULTS_MOST ((size_t)64 * 1024)

struct import {
    struct service *svc;
    struct suppression_import_row row; /* as it is in the store; its texts in `arena` or `faults` */
    struct import_columns columns;
    struct arena *arena; /* of the claim */
    struct arena *slice;
    struct call c; /* in whose name rows are judged */
    struct body_reader *body;
    struct bytes piece; /* read, and not taken by the CSV reader yet */
    struct csv csv;
    struct buf faults; /* JSON list, without its end */
    bool over;         /* the file has been read to its end */
    bool lost;         /* somebody else's by now */
    /* Of the slice. */
    struct suppressing *list;
    size_t n;
    int64_t read;
};

/* ---- faults ---- */

static void add_fault(struct import *x, int64_t row, struct bytes column, struct bytes code, struct bytes message)
{
    struct jw w;

    if (x->row.n_faults == FAULTS_MAX || x->faults.n + 1024 > x->faults.max)
        return;
    x->row.n_faults++;
    buf_addc(&x->faults, x->faults.n ? ',' : '[');
    jw_init(&w, &x->faults);
    jw_object(&w);
    jw_key_int(&w, "row", row);
    jw_key_text(&w, "column", column);
    jw_key_text(&w, "code", code);
    jw_key_text(&w, "message", message);
    jw_object_end(&w);
}

/* The faults of one row, as suppression_given notes them. */
static void add_faults(struct import *x, int64_t row)
{
    for (size_t i = 0; i < x->c.n_faults; i++)
        add_fault(x, row, bytes_from(x->c.faults[i].pointer, 1), x->c.faults[i].code, x->c.faults[i].message);
    x->c.n_faults = 0;
}

static struct bytes faults_text(const struct import *x)
{
    return x->faults.n ? arena_bytesf(x->slice, "%.*s]", SHOW(buf_bytes(&x->faults))) : NO_BYTES;
}

/* ---- a record ---- */

static struct bytes cell(struct import *x, enum import_column column)
{
    struct bytes text = x->columns.at[column] == IMPORT_ABSENT ? NO_BYTES : csv_cell(&x->csv, x->columns.at[column]);

    text = bytes_trim(csv_plain(text));
    return text.n ? arena_copy(x->slice, text) : NO_BYTES;
}

static void take_record(struct import *x)
{
    struct suppression_row given = { .email = cell(x, IMPORT_EMAIL),
                                     .reason = arena_lower(x->slice, cell(x, IMPORT_REASON)),
                                     .topic = cell(x, IMPORT_TOPIC),
                                     .text = cell(x, IMPORT_TEXT) };
    struct bytes expires = cell(x, IMPORT_EXPIRES), stream = cell(x, IMPORT_STREAM);

    if (!given.reason.n)
        given.reason = BYTES("import");
    if (stream.p && !id_parse("str", stream, &given.stream_id))
        call_fault(&x->c, "/stream_id", "invalid_id", "Not an id of this kind");
    if (expires.p && !clock_parse_rfc3339(expires, &given.expires_at))
        call_fault(&x->c, "/expires_at", "invalid_time", "Not an RFC 3339 time");
    suppression_given(&x->c, &given, "", &x->list[x->n]);
    if (!x->c.n_faults)
        x->n++;
    add_faults(x, x->csv.row);
}

static void take(struct import *x)
{
    bool first = x->columns.titled && !x->row.row && !x->read;

    if (!x->csv.n && !x->csv.fault) /* a blank line */
        return;
    if (first) {
        x->columns.titled = false;
        return;
    }
    x->read++;
    if (x->csv.fault)
        add_fault(x, x->csv.row, NO_BYTES, BYTES("malformed"), bytes_of(csv_fault_text(x->csv.fault)));
    else
        take_record(x);
}

/* Reads up to the end of the next record; *more is false behind the last one. */
static bool next_record(struct import *x, bool *more, struct err *e)
{
    size_t used;

    for (*more = true;;) {
        if (x->piece.n && csv_next(&x->csv, x->piece, &used) == CSV_RECORD) {
            x->piece = bytes_from(x->piece, used);
            return true;
        }
        if (!body_next(x->body, &x->piece, e))
            return false;
        if (!x->piece.n) {
            x->over = true;
            *more = csv_end(&x->csv) == CSV_RECORD;
            return true;
        }
    }
}

static bool read_slice(struct import *x, struct err *e)
{
    int64_t from = x->csv.at;
    bool more = true;

    x->list = arena_array(x->slice, SLICE_ROWS, sizeof *x->list);
    x->n = 0;
    x->read = 0;
    while (more && x->read < SLICE_ROWS && x->csv.at - from < (int64_t)SLICE_BYTES) {
        if (!next_record(x, &more, e))
            return false;
        if (more)
            take(x);
    }
    x->over = x->over && !more;
    return arena_check(x->slice, e);
}

/* ---- the batch ---- */

#define SETS 14

static void set_progress(struct import *x, const struct suppression_import_row *r, struct set *sets, size_t *n)
{
    sets[(*n)++] = SET("status", V_TEXT(r->status));
    sets[(*n)++] = SET("place", V_INT(r->place));
    sets[(*n)++] = SET("row", V_INT(r->row));
    sets[(*n)++] = SET("read", V_INT(r->read));
    sets[(*n)++] = SET("added", V_INT(r->added));
    sets[(*n)++] = SET("unchanged", V_INT(r->unchanged));
    sets[(*n)++] = SET("faults", V_JSON(faults_text(x)));
    sets[(*n)++] = SET("n_faults", V_INT(x->row.n_faults));
    sets[(*n)++] = SET("due_at", V_TIME(r->due_at));
    sets[(*n)++] = SET("lease_until", V_TIME(r->lease_until));
}

/* Behind the last slice the file goes. */
static void set_end(const struct suppression_import_row *r, struct set *sets, size_t *n)
{
    sets[(*n)++] = SET("wrapped_key", V_BYTES(NO_BYTES));
    sets[(*n)++] = SET("body_id", V_ID(NO_ID));
    sets[(*n)++] = SET("finished_at", V_TIME(r->finished_at));
    sets[(*n)++] = SET("expires_at", V_TIME(r->finished_at + PARAM_INT(suppression, import_keep)));
}

static void add_progress(struct import *x, struct batch *b, const struct suppression_import_row *r)
{
    struct cond *ours = arena_alloc(x->slice, sizeof *ours);
    struct set *sets = arena_array(x->slice, SETS, sizeof *sets);
    size_t n = 0;

    *ours = COND("token", IS, V_INT(r->token));
    set_progress(x, r, sets, &n);
    if (r->finished_at)
        set_end(r, sets, &n);
    batch_update(b, &suppression_import_kind, r->id, ours, 1, sets, n);
    if (r->finished_at && !id_is_none(x->row.body_id)) {
        batch_delete(b, &body_kind, x->row.body_id, NULL, 0);
        batch_blob_delete(b, x->row.body_id);
    }
}

/* The import's row behind this slice; `last`: of this turn. */
static struct suppression_import_row row_behind(const struct import *x, bool last)
{
    struct suppression_import_row r = x->row;
    int64_t now = store_now(x->svc->store);

    for (size_t i = 0; i < x->n; i++) {
        r.added += x->list[i].adds;
        r.unchanged += !x->list[i].adds;
    }
    r.read += x->read;
    r.place = x->csv.at;
    r.row = x->csv.row;
    r.status = x->over ? BYTES("done") : BYTES("running");
    r.finished_at = x->over ? now : 0;
    r.lease_until = x->over || last ? 0 : now + PARAM_INT(delivery, lease);
    r.due_at = x->over ? 0 : last ? now : r.lease_until;
    return r;
}

/* *again: somebody else has changed one of the rows since they were looked at. */
static bool write_once(struct import *x, bool last, bool *again, struct err *e)
{
    struct batch *b = batch_new(x->slice);
    struct suppression_import_row r;
    struct batch_failure f;

    *again = false;
    if (!suppression_look(x->svc, x->slice, x->list, x->n, e))
        return false;
    r = row_behind(x, last);
    add_progress(x, b, &r); /* first: its operation is 0 */
    for (size_t i = 0; i < x->n; i++)
        suppression_add_exact(b, x->slice, &x->list[i]);
    if (store_commit(x->svc->store, b, clock_monotonic() + PARAM_INT(delivery, lease) / 4, e)) {
        r.n_faults = x->row.n_faults;
        x->row = r;
        return true;
    }
    f = batch_failure(b);
    x->lost = e->code == ERR_CONFLICT && f.operation == 0;
    if (e->code == ERR_CONFLICT && f.operation == 1 && x->over && f.fault == FAULT_MISSING) {
        x->row.body_id = NO_ID; /* the file went by other ways */
        *again = true;
    }
    *again = *again || (e->code == ERR_CONFLICT && !x->lost);
    return false;
}

/* Whoever adds single ones is quicker than a slice, but has an end. */
static bool write_slice(struct import *x, bool last, struct err *e)
{
    struct arena_mark clean = arena_mark(x->slice);
    int64_t until = clock_monotonic() + PARAM_INT(delivery, lease) / 4;
    bool again = true;

    for (int64_t pause = 1; clock_monotonic() < until; pause = pause < PAUSE_MOST ? 2 * pause : PAUSE_MOST) {
        *e = (struct err){ 0 };
        arena_rewind(x->slice, clean);
        if (write_once(x, last, &again, e))
            return true;
        if (!again)
            return false;
        service_sleep(x->svc, pause);
    }
    *e = (struct err){ 0 };
    return err_set(e, ERR_BUSY, "Others keep changing the same suppressions");
}

/* ---- one turn ---- */

static bool file_open(struct import *x, struct err *e)
{
    struct crypt_key key;
    bool ok = seal_open_server(x->svc, x->row.id, x->row.wrapped_key, x->row.wrap, &key, e) &&
              body_open(x->svc->store, x->row.body_id, &key, &x->body, e);

    crypt_wipe(&key, sizeof key);
    if (!ok)
        return false;
    if (x->row.columns.n != sizeof x->columns)
        return err_set(e, ERR_INTERNAL, "The columns of the import are damaged");
    memcpy(&x->columns, x->row.columns.p, sizeof x->columns);
    body_seek(x->body, x->row.place);
    csv_init(&x->csv, (char)x->row.separator, IMPORT_RECORD_MAX);
    csv_seek(&x->csv, x->row.place, x->row.row);
    if (x->row.faults.n > 1) /* as it was, without its end */
        buf_add(&x->faults, bytes_head(x->row.faults, x->row.faults.n - 1));
    return true;
}

/* What can never be imported, for our own reasons: told in the import, which is over. */
static bool give_up(struct import *x, const struct err *why, struct err *e)
{
    struct batch *b;
    struct suppression_import_row r;

    log_error("suppression", LOG_BYTES("import", id_text(x->slice, suppression_import_kind.prefix, x->row.id)),
              LOG_TEXT("error", why->message), LOG_TEXT("where", why->where));
    add_fault(x, x->row.row, NO_BYTES, BYTES("failed"), bytes_of(err_told(why)));
    for (int i = 0; i < 2; i++) {
        *e = (struct err){ 0 };
        b = batch_new(x->slice);
        r = x->row;
        r.status = BYTES("failed");
        r.finished_at = store_now(x->svc->store);
        r.due_at = r.lease_until = 0;
        add_progress(x, b, &r);
        if (store_commit(x->svc->store, b, clock_monotonic() + PARAM_INT(delivery, lease) / 4, e))
            return true;
        x->row.body_id = NO_ID; /* it may be what failed: then the file is no more */
    }
    return e->code == ERR_CONFLICT; /* somebody else's by now */
}

/* What failed now may be done soon, and need not wait for the end of the lease; if that cannot be said either, it does.
 */
static void put_off(struct import *x)
{
    int64_t now = store_now(x->svc->store);
    struct batch *b;
    struct err ignored = { 0 };
    const struct cond ours = COND("token", IS, V_INT(x->row.token));
    const struct set sets[] = { SET("due_at", V_TIME(now + AWAY_MS)), SET("lease_until", V_TIME(0)) };

    arena_reset(x->slice);
    b = batch_new(x->slice);
    batch_update(b, &suppression_import_kind, x->row.id, &ours, 1, sets, 2);
    store_commit(x->svc->store, b, clock_monotonic() + AWAY_MS, &ignored);
}

static bool account_is_there(struct import *x, bool *there, struct err *e)
{
    struct account_row row;

    return store_look(x->svc->store, &account_kind, x->row.account_id, x->arena, &row, there, e);
}

static bool run(struct import *x, struct err *e)
{
    bool there;

    if (!account_is_there(x, &there, e))
        return false;
    if (!there)
        return err_set(e, ERR_MISSING, "The account is no more");
    if (!file_open(x, e))
        return false;
    for (int i = 1; i <= SLICES && !x->row.finished_at; i++) {
        bool last = i == SLICES || x->svc->stopping;

        arena_reset(x->slice);
        x->c.faults = NULL;
        if (!read_slice(x, e) || !write_slice(x, last, e))
            return false;
        if (last)
            break;
    }
    return true;
}

bool import_go_on(struct service *svc, const struct suppression_import_row *claimed, struct err *e)
{
    struct import x = { .svc = svc, .row = *claimed };
    struct err why = { 0 };
    bool ok;

    x.arena = arena_new(IMPORT_ARENA);
    x.slice = arena_new(IMPORT_ARENA);
    buf_init(&x.faults, FAULTS_MOST);
    call_init(&x.c, svc, x.slice, "import");
    x.c.account = claimed->account_id;
    ok = run(&x, &why) || x.lost;
    if (!ok && queue_passes(why.code)) {
        *e = why;
        put_off(&x);
    } else if (!ok) {
        ok = give_up(&x, &why, e);
    }
    if (ok && x.row.finished_at)
        log_info("suppression", LOG_BYTES("import", id_text(x.slice, suppression_import_kind.prefix, x.row.id)),
                 LOG_TEXT("result", "done"), LOG_INT("read", x.row.read), LOG_INT("added", x.row.added),
                 LOG_INT("unchanged", x.row.unchanged));
    body_close(&x.body);
    csv_clear(&x.csv);
    buf_clear(&x.faults);
    arena_free(&x.arena);
    arena_free(&x.slice);
    return ok;
}
