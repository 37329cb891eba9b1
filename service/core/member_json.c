/* service/core/member_json.c - requests and answers by the table of members.
 *
 * The request has been checked against the contract before, so reading takes what is there and judges nothing. A member
 * that is given as null is named and empty, one that is absent is neither: a PATCH needs the difference. */
#include "base/clock.h"
#include "service/core/member.h"

/* ---- answers ---- */

static void member_write(struct jw *w, const struct member *x, const char *row)
{
    const void *at = row + x->offset;
    const struct bytes *text = at;

    jw_key(w, x->name);
    switch (x->type) {
    case MEMBER_ID: jw_id(w, x->prefix, *(const struct id *)at); break;
    case MEMBER_TEXT: jw_text(w, *text); break;
    case MEMBER_INT: jw_int(w, *(const int64_t *)at); break;
    case MEMBER_BOOL: jw_bool(w, *(const bool *)at); break;
    case MEMBER_TIME: jw_time(w, *(const int64_t *)at); break;
    case MEMBER_JSON: jw_raw(w, text->p || !x->otherwise ? *text : bytes_of(x->otherwise)); break;
    case MEMBER_BIT: jw_bool(w, *(const int64_t *)at & x->bit); break;
    case MEMBER_OWN: x->show(w, row); break;
    }
}

static void list_write(struct jw *w, const struct members *m, const void *row)
{
    if (m->base)
        list_write(w, m->base, row);
    for (size_t i = 0; i < m->n; i++)
        if (!m->all[i].hidden)
            member_write(w, &m->all[i], row);
}

void members_write(struct jw *w, const struct members *m, const void *row)
{
    jw_object(w);
    jw_key_text(w, "object", bytes_of(m->object));
    list_write(w, m, row);
    jw_object_end(w);
}

/* ---- requests ---- */

static struct bytes text_of(struct json_object *value)
{
    return json_object_is_type(value, json_type_string)
               ? (struct bytes){ json_object_get_string(value), (size_t)json_object_get_string_len(value) }
               : NO_BYTES;
}

static int64_t time_of(struct json_object *value)
{
    int64_t wall = 0;

    return clock_parse_rfc3339(text_of(value), &wall) ? wall : 0;
}

/* A value that is there; null leaves the zero that was. */
static void member_read(const struct member *x, struct json_object *value, struct arena *a, char *given)
{
    void *at = given + x->offset;

    switch (x->type) {
    case MEMBER_ID: (void)id_parse(x->prefix, text_of(value), at); break;
    case MEMBER_TEXT: *(struct bytes *)at = text_of(value); break;
    case MEMBER_INT: *(int64_t *)at = json_object_get_int64(value); break;
    case MEMBER_BOOL: *(bool *)at = json_object_get_boolean(value); break;
    case MEMBER_TIME: *(int64_t *)at = time_of(value); break;
    case MEMBER_JSON: *(struct bytes *)at = json_tree_text(a, value); break;
    case MEMBER_BIT: *(int64_t *)at |= json_object_get_boolean(value) ? x->bit : 0; break;
    case MEMBER_OWN: x->read(value, a, given); break;
    }
}

uint64_t members_read(const struct members *m, struct json_object *object, struct arena *a, void *given)
{
    struct json_object *value;
    uint64_t named = 0;

    for (size_t i = 0; i < m->n; i++) {
        if (!m->all[i].given || !json_object_object_get_ex(object, m->all[i].name, &value))
            continue;
        named |= UINT64_C(1) << i;
        if (value)
            member_read(&m->all[i], value, a, given);
    }
    return named;
}

struct bytes members_texts_json(struct arena *a, const struct bytes *texts, size_t n)
{
    struct bytes json;
    struct buf out;
    struct jw w;

    buf_init(&out, 64 * 1024);
    jw_init(&w, &out);
    jw_array(&w);
    for (size_t i = 0; i < n; i++)
        jw_text(&w, texts[i]);
    jw_array_end(&w);
    json = n ? arena_copy(a, buf_bytes(&out)) : NO_BYTES;
    buf_clear(&out);
    return json;
}

bool members_texts(struct call *c, struct bytes json, struct bytes **texts, size_t *n)
{
    struct json_object *list = NULL;

    *n = 0;
    *texts = NULL;
    if (!json.p)
        return true;
    if (!json_read(json, &list, &c->err))
        return false;
    *texts = json_texts(c->arena, list, n);
    json_object_put(list);
    return true;
}
