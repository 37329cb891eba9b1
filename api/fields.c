/* Reading what the schema has checked. */
#include "api/request.h"
#include "base/clock.h"

struct bytes query_text(const struct request *r, const char *name)
{
    return json_text(r->query, name);
}

bool query_bool(const struct request *r, const char *name)
{
    return json_object_get_boolean(json_member(r->query, name));
}

static int64_t time_of(struct bytes text)
{
    int64_t wall = 0;

    return text.p && clock_parse_rfc3339(text, &wall) ? wall : 0;
}

int64_t query_time(const struct request *r, const char *name)
{
    return time_of(json_text(r->query, name));
}

struct page query_page(const struct request *r)
{
    return (struct page){
        .limit = (int)json_object_get_int64(json_member(r->query, "limit")),
        .after = query_text(r, "after"),
        .before = query_text(r, "before"),
    };
}

bool body_has(const struct request *r, const char *name)
{
    return json_object_object_get_ex(r->body, name, NULL);
}

struct bytes body_text(const struct request *r, const char *name)
{
    return json_text(r->body, name);
}

bool body_bool(const struct request *r, const char *name)
{
    return json_object_get_boolean(json_member(r->body, name));
}

int64_t body_int(const struct request *r, const char *name)
{
    return json_object_get_int64(json_member(r->body, name));
}

int64_t body_time(const struct request *r, const char *name)
{
    return time_of(json_text(r->body, name));
}

struct bytes *body_texts(const struct request *r, const char *name, size_t *n)
{
    return json_texts(r->call.arena, json_member(r->body, name), n);
}

struct bytes tree_text(struct request *r, struct json_object *tree)
{
    struct buf out;
    struct jw w;
    struct bytes text;

    if (!tree)
        return NO_BYTES;
    buf_init(&out, (size_t)1024 * 1024);
    jw_init(&w, &out);
    jw_tree(&w, tree);
    text = arena_copy(r->call.arena, buf_bytes(&out));
    buf_clear(&out);
    return text;
}
