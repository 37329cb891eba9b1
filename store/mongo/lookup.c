/* store/mongo/lookup.c - keys that rows outside the group have.
 *
 * Asked for only by groups after one that failed so (`careful`), as the server names the key and not the batch that
 * wanted it. A row of the database that the group itself frees or moves is no obstacle: that was judged in memory
 * (keys.c). */
#include "store/mongo/apply.h"

enum { KEYS_AT_ONCE = 200 };

static bool has_key(const struct row_state *s, const struct index *x)
{
    return s->is && s->by && !s->by->ended && key_is_held(s->kind, x, s->row);
}

static void append_key(bson_t *either, uint32_t n, const struct row_state *s, const struct index *x)
{
    bson_t item;
    char room[16];
    const char *key;
    size_t length = bson_uint32_to_string(n, &key, room, sizeof room);

    bson_append_document_begin(either, key, (int)length, &item);
    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++) {
        const struct field *f = kind_field(s->kind, x->fields[i]);
        struct value v = value_of(f, s->row);

        document_value(&item, document_name(s->kind, f), &v);
    }
    bson_append_document_end(either, &item);
}

/* A row of the database holds the key: does the group leave it there, and who of the group wants it? */
static enum applied compare_key(struct attempt *t, const struct kind *k, const struct index *x, const bson_t *doc,
                                size_t table)
{
    void *theirs = arena_alloc(t->arena, k->size);
    struct value id;
    const struct row_state *known;
    enum applied result = APPLIED;

    if (!document_to_row(doc, k, ALL_FIELDS, t->arena, theirs, t->e))
        return CONFLICT;
    id = value_of(&k->fields[0], theirs);
    known = group_row(&t->group, k, id.id);
    if (known && known->before)
        return APPLIED; /* judged in memory */
    for (struct row_state *s = t->group.by_table[table]; s; s = s->in_table)
        if ((s != known || !s->was) && has_key(s, x) && key_is_same(k, x, s->row, theirs))
            result = attempt_refuse(t, s, x->name);
    return result;
}

static enum applied find_keys(struct attempt *t, const struct kind *k, const struct index *x, const bson_t *filter,
                              size_t table)
{
    mongoc_collection_t *c = attempt_collection(t, k->name);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, filter, &t->session, NULL);
    const bson_t *doc;
    bson_error_t why;
    enum applied result = APPLIED;

    while (mongoc_cursor_next(cursor, &doc)) {
        enum applied one = compare_key(t, k, x, doc, table);

        if (one != APPLIED)
            result = one;
    }
    if (mongoc_cursor_error(cursor, &why))
        result = attempt_broke(t, &why);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    return result;
}

static enum applied look_up_index(struct attempt *t, size_t table, const struct index *x)
{
    const struct kind *k = t->store->tables.at[table].kind;
    struct row_state *s = t->group.by_table[table];
    enum applied result = APPLIED;

    while (s && (result == APPLIED || result == REFUSED)) {
        bson_t filter = BSON_INITIALIZER, either;
        uint32_t n = 0;

        bson_append_array_begin(&filter, "$or", -1, &either);
        for (; s && n < KEYS_AT_ONCE; s = s->in_table)
            if (has_key(s, x))
                append_key(&either, n++, s, x);
        bson_append_array_end(&filter, &either);
        if (n) {
            enum applied one = find_keys(t, k, x, &filter, table);

            result = one == APPLIED ? result : one;
        }
        bson_destroy(&filter);
    }
    return result;
}

enum applied lookup_keys(struct attempt *t)
{
    static const struct index by_id = { .name = "id", .unique = true, .fields = { "id" } };
    enum applied result = APPLIED;

    for (size_t i = 0; i < t->store->tables.n; i++) {
        const struct kind *k = t->store->tables.at[i].kind;

        for (size_t j = 0; j <= k->n_indexes && t->group.by_table[i]; j++) {
            const struct index *x = j < k->n_indexes ? &k->indexes[j] : &by_id;
            enum applied one = x->unique ? look_up_index(t, i, x) : APPLIED;

            if (one != APPLIED && one != REFUSED)
                return one;
            if (one == REFUSED)
                result = REFUSED;
        }
    }
    return result;
}
