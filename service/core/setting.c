/* service/core/setting.c - settings: rows of the store put in force here, and followed when other nodes change them.
 *
 * From a change the follower (follow.h) learns only the name and reads the row, which has the latest word; so changes
 * that arrive late or twice do no harm. Lists are of the table of parameters, by name: a cursor is a name. */
#include "service/core/setting.h"
#include "base/param_value.h"
#include "service/core/follow.h"
#include "service/core/public_url.h"
#include "service/core/state.h"

#define VALUE_MOST 4096

/* ---- stored values ---- */

/* A value that this build does not take (another build wrote it) leaves the one below it in force. */
static void apply(struct bytes name, struct bytes value)
{
    struct err e = { 0 };
    enum param p;

    if (!param_find(name, &p))
        return;
    if (!param_set(p, PARAM_FROM_STORE, value, &e))
        log_warn("setting", LOG_BYTES("name", name), LOG_TEXT("result", "ignored"), LOG_TEXT("reason", e.message));
}

bool settings_load(struct service *svc, struct err *e)
{
    struct arena *a = arena_new(64 * 1024 * 1024);
    struct query q = { .kind = &setting_kind, .limit = PARAMS + 100 };
    struct setting_row *rows;
    size_t n = 0;
    bool ok = store_find(svc->store, &q, a, (void **)&rows, &n, e);

    for (size_t i = 0; ok && i < n; i++)
        apply(rows[i].name, rows[i].value);
    arena_free(&a);
    return ok;
}

/* Another node's change, or our own once more: the row has the latest word, so an older change never wins. */
static bool reread(struct service *svc, struct bytes name, struct arena *a, struct err *e)
{
    struct setting_row row = { 0 };
    struct value v = V_TEXT(name);

    if (!store_get_by(svc->store, &setting_kind, "name", &v, 1, a, &row, e))
        return false;
    apply(name, row.value);
    return true;
}

/* The rows before a failure are read again: each is the latest word. */
static bool changed(struct service *svc, const void *found, size_t n, struct arena *a, struct err *e)
{
    const struct setting_change_row *rows = found;

    for (size_t i = 0; i < n; i++)
        if (!reread(svc, rows[i].name, a, e))
            return false;
    return true;
}

void settings_follow(struct service *svc)
{
    static const struct following how = { .kind = &setting_change_kind,
                                          .wait_ms = 500,
                                          .arena = (size_t)4 * 1024 * 1024,
                                          .all = settings_load,
                                          .rows = changed };

    follow(svc, &how);
}

/* ---- views ---- */

static const char *const type_names[] = {
    [PARAM_TYPE_INT] = "int",   [PARAM_TYPE_SIZE] = "size", [PARAM_TYPE_DURATION] = "duration",
    [PARAM_TYPE_BOOL] = "bool", [PARAM_TYPE_TEXT] = "text", [PARAM_TYPE_CHOICE] = "choice",
    [PARAM_TYPE_LIST] = "list"
};

/* A bound as the API shows values: seconds and bytes. Lengths of texts and lists of choices are that already. */
static struct bytes show_bound(const struct param_row *row, const char *text, struct arena *a)
{
    struct param_value *v;
    struct err ignored = { 0 };

    if (!text || !*text)
        return NO_BYTES;
    if (row->type != PARAM_TYPE_SIZE && row->type != PARAM_TYPE_DURATION)
        return bytes_of(text);
    v = arena_alloc(a, sizeof *v);
    return param_value_read(row, bytes_of(text), v, &ignored) ? v->text : bytes_of(text);
}

static struct setting_view view_of(enum param p, struct arena *a)
{
    const struct param_row *row = param_row(p);

    return (struct setting_view){
        .param = p,
        .value = param_show(p, a),
        .pending = param_waits(p) ? param_show_next(p, a) : NO_BYTES,
        .standard = param_show_default(p, a),
        .min = show_bound(row, row->min, a),
        .max = show_bound(row, row->max, a),
        .type = type_names[row->type],
        .source = param_source(p),
    };
}

static bool setting_find(struct call *c, struct bytes name, enum param *p)
{
    if (!call_may(c, SCOPE_SETTINGS))
        return false;
    return param_find(name, p) || err_set(&c->err, ERR_MISSING, "No setting \"%.*s\"", SHOW(bytes_head(name, 64)));
}

bool setting_get(struct call *c, const struct setting_get_in *in, struct setting_view *out)
{
    enum param p;

    if (!setting_find(c, in->name, &p))
        return false;
    *out = view_of(p, c->arena);
    return true;
}

/* ---- lists: by name, not from the store ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(param_row(*(const enum param *)a)->name, param_row(*(const enum param *)b)->name);
}

static struct bytes cursor_of(enum param p, struct arena *a)
{
    struct buf text;
    struct bytes out;

    buf_init(&text, 512);
    crypt_to_base64(bytes_of(param_row(p)->name), CRYPT_BASE64_URL, &text);
    out = arena_copy(a, buf_bytes(&text));
    buf_clear(&text);
    return out;
}

/* The place of a cursor in `sorted`; SIZE_MAX for what is none. */
static size_t place_of(const enum param *sorted, struct bytes cursor)
{
    struct buf name;
    size_t place = SIZE_MAX;

    buf_init(&name, 256);
    if (crypt_from_base64(cursor, CRYPT_BASE64_URL, &name))
        for (size_t i = 0; i < PARAMS; i++)
            if (bytes_equal(buf_bytes(&name), bytes_of(param_row(sorted[i])->name)))
                place = i;
    buf_clear(&name);
    return place;
}

static bool bounds(struct call *c, const enum param *sorted, const struct page *page, size_t *from, size_t *to)
{
    int limit = page->limit ? page->limit : 20;
    size_t place = 0;

    if (limit < 1 || limit > 100)
        call_fault(c, "/limit", "out_of_range", "limit is from 1 to 100");
    if (page->after.p && page->before.p)
        call_fault(c, "/before", "conflicting", "Only one of after and before can be given");
    if (page->after.p && (place = place_of(sorted, page->after)) == SIZE_MAX)
        call_fault(c, "/after", "invalid_cursor", "Not a cursor of this list");
    if (page->before.p && (place = place_of(sorted, page->before)) == SIZE_MAX)
        call_fault(c, "/before", "invalid_cursor", "Not a cursor of this list");
    if (!call_check(c))
        return false;
    *from = page->after.p ? place + 1 : 0;
    if (page->before.p)
        *from = place > (size_t)limit ? place - (size_t)limit : 0;
    *to = page->before.p ? place : *from + (size_t)limit;
    if (*to > PARAMS)
        *to = PARAMS;
    return true;
}

bool setting_list(struct call *c, const struct setting_list_in *in, struct setting_list_out *out)
{
    enum param *sorted;
    size_t from, to;

    *out = (struct setting_list_out){ 0 };
    if (!call_may(c, SCOPE_SETTINGS))
        return false;
    sorted = arena_array(c->arena, PARAMS, sizeof *sorted);
    for (size_t i = 0; i < PARAMS; i++)
        sorted[i] = (enum param)i;
    qsort(sorted, PARAMS, sizeof *sorted, by_name);
    if (!bounds(c, sorted, &in->page, &from, &to))
        return false;
    out->rows = arena_array(c->arena, to - from + 1, sizeof *out->rows);
    for (size_t i = from; i < to; i++)
        out->rows[out->n++] = view_of(sorted[i], c->arena);
    out->page.has_more = to < PARAMS;
    if (out->n && to < PARAMS)
        out->page.next = cursor_of(sorted[to - 1], c->arena);
    if (out->n && from > 0)
        out->page.previous = cursor_of(sorted[from], c->arena);
    return true;
}

bool setting_history(struct call *c, const struct setting_history_in *in, struct setting_history_out *out)
{
    struct query q = { .kind = &setting_change_kind, .index = "name", .n_conds = 1 };
    enum param p;

    *out = (struct setting_history_out){ 0 };
    if (!setting_find(c, in->name, &p))
        return false;
    q.conds[0] = COND("name", IS, V_TEXT(in->name));
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

/* ---- changes ---- */

/* In live mode we have a name; and what links are made of is no path. */
static bool keeps_name(struct call *c, enum param p, struct bytes value, struct err *why)
{
    if (p == PARAM_delivery_mode && bytes_equal(value, BYTES("live")))
        return service_has_full_name(why);
    if (p == PARAM_server_public_url && value.n)
        return public_url_check(value, why);
    return p != PARAM_server_hostname || !service_is_live(c->svc) || full_name_check(value, why);
}

static bool check_value(struct call *c, enum param p, const struct setting_update_in *in)
{
    struct err why = { 0 };

    if (!in->value.p)
        return true;
    if (!keeps_name(c, p, in->value, &why))
        call_fault(c, "/value", "not_available", "%s", why.message);
    else if (param_row(p)->when == PARAM_BOOT)
        call_fault(c, "/value", "not_available",
                   "It is read before the store is open: set it in the boot file, the environment or by a flag");
    else if (in->value.n > VALUE_MOST || !param_check(p, in->value, &why))
        call_fault(c, "/value", "invalid_value", "%s", why.code ? why.message : "The value is too long");
    return call_check(c);
}

/* The row and its change in one batch; *old is NO_BYTES where there was none. */
static void add_change(struct call *c, struct batch *b, const struct setting_row *old, struct bytes name,
                       struct bytes value)
{
    struct setting_row *row = arena_alloc(c->arena, sizeof *row);
    struct setting_change_row *change = arena_alloc(c->arena, sizeof *change);
    struct cond *same = arena_alloc(c->arena, sizeof *same);
    struct set *sets = arena_array(c->arena, 2, sizeof *sets);

    *row = (struct setting_row){ .id = id_new(), .name = name, .value = value, .updated_at = clock_wall() };
    *change = (struct setting_change_row){ .id = id_new(),
                                           .name = name,
                                           .old_value = old->value,
                                           .new_value = value,
                                           .who = c->who->name,
                                           .at = row->updated_at };
    *same = COND("value", IS, V_TEXT(old->value));
    sets[0] = SET("value", V_TEXT(value));
    sets[1] = SET("updated_at", V_TIME(row->updated_at));
    if (id_is_none(old->id))
        batch_insert(b, &setting_kind, row, NULL, 0);
    else
        batch_update(b, &setting_kind, old->id, same, 1, sets, 2);
    batch_insert(b, &setting_change_kind, change, NULL, 0);
}

bool setting_update(struct call *c, const struct setting_update_in *in, struct setting_view *out)
{
    struct batch *b = batch_new(c->arena);
    struct setting_row old = { 0 };
    struct value name = V_TEXT(in->name);
    struct err why = { 0 };
    enum param p;

    if (!setting_find(c, in->name, &p) || !check_value(c, p, in))
        return false;
    if (!store_get_by(c->store, &setting_kind, "name", &name, 1, c->arena, &old, &why) && why.code != ERR_MISSING) {
        c->err = why;
        return false;
    }
    add_change(c, b, &old, in->name, in->value);
    if (!call_commit(c, b, NULL, NO_ID))
        return false;
    apply(in->name, in->value);
    log_info("setting", LOG_BYTES("id", id_text(c->arena, "req", c->request)), LOG_BYTES("name", in->name),
             LOG_BYTES("value", in->value.p ? in->value : BYTES("default")), LOG_BYTES("who", c->who->name));
    *out = view_of(p, c->arena);
    return true;
}
