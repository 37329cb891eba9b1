/* mail/lookups.c - the book: found by a walk, since it holds 300 questions at most and is asked a few hundred
 * times. What a stranger said is kept as text, as it was; a book that is read again holds no question that is open. */
#include "mail/lookups.h"
#include "base/json.h"

static const char *const types[] = { LOOKUP_TYPES_TEXT };

void lookups_init(struct lookups *l, struct arena *a)
{
    *l = (struct lookups){ .arena = a, .list = arena_array(a, LOOKUPS_MAX, sizeof *l->list) };
}

const char *lookup_type_name(enum lookup_type type)
{
    return types[type];
}

const struct lookup *lookups_find(struct lookups *l, struct bytes name, enum lookup_type type)
{
    static const struct lookup too_many = { .result = LOOKUP_FAILED, .why = BYTES_ROW("too many names to look up") },
                               no_name = { .result = LOOKUP_NONE };

    if (!name.n || name.n > LOOKUP_NAME_MAX)
        return &no_name;
    for (size_t i = 0; i < l->n; i++)
        if (l->list[i].type == type && bytes_equal_nocase(l->list[i].name, name))
            return &l->list[i];
    if (l->n == LOOKUPS_MAX)
        return &too_many;
    l->list[l->n] = (struct lookup){ .name = arena_lower(l->arena, name), .type = type };
    return &l->list[l->n++];
}

bool lookup_mx(struct bytes value, unsigned *preference, struct bytes *host)
{
    struct bytes number;
    int64_t n;

    if (!bytes_cut(value, ' ', &number, host) || !bytes_to_int(number, &n) || n < 0 || n > 65535)
        return false;
    *preference = (unsigned)n;
    if (!host->p)
        *host = BYTES("");
    return true;
}

static void write_one(struct jw *w, const struct lookup *one)
{
    jw_object(w);
    jw_key_text(w, "name", one->name);
    jw_key_text(w, "type", bytes_of(types[one->type]));
    if (one->target.p)
        jw_key_text(w, "target", one->target);
    if (one->result == LOOKUP_FAILED)
        jw_key_text(w, "why", one->why);
    jw_key(w, "values");
    jw_array(w);
    for (size_t i = 0; i < one->n; i++)
        jw_text(w, one->values[i]);
    jw_array_end(w);
    jw_object_end(w);
}

struct bytes lookups_write(const struct lookups *l, struct arena *a)
{
    struct buf out;
    struct bytes text;
    struct jw w;

    buf_init(&out, LOOKUPS_TEXT_MAX + 6 * (LOOKUP_ANSWER_MAX + LOOKUP_VALUE_MAX) + 4096); /* \u0001 for a byte */
    jw_init(&w, &out);
    jw_array(&w);
    for (size_t i = 0; i < l->n; i++)
        if (l->list[i].result != LOOKUP_PENDING && out.n < LOOKUPS_TEXT_MAX)
            write_one(&w, &l->list[i]);
    jw_array_end(&w);
    text = out.overflowed ? NO_BYTES : arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return text;
}

static void read_one(struct lookups *l, struct json_object *object)
{
    struct lookup *one = &l->list[l->n];
    struct bytes type = json_text(object, "type");

    *one = (struct lookup){ .name = arena_copy(l->arena, json_text(object, "name")) };
    while (one->type < LOOKUP_PTR && !bytes_equal(type, bytes_of(types[one->type])))
        one->type++;
    one->target = arena_copy(l->arena, json_text(object, "target"));
    one->why = arena_copy(l->arena, json_text(object, "why"));
    one->values = json_texts(l->arena, json_member(object, "values"), &one->n);
    one->result = one->why.p ? LOOKUP_FAILED : one->n ? LOOKUP_FOUND : LOOKUP_NONE;
    l->n++;
}

bool lookups_read(struct lookups *l, struct bytes json, struct err *e)
{
    struct json_object *list = NULL;

    if (!json.p)
        return true;
    if (!json_read(json, &list, e))
        return false;
    for (size_t i = 0; i < json_object_array_length(list) && l->n < LOOKUPS_MAX; i++)
        read_one(l, json_object_array_get_idx(list, i));
    json_object_put(list);
    return true;
}
