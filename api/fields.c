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

int64_t query_int(const struct request *r, const char *name, int64_t otherwise)
{
    struct json_object *given = json_member(r->query, name);

    return given ? json_object_get_int64(given) : otherwise;
}

int64_t time_of(struct bytes text)
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

uint64_t body_members(const struct request *r, const struct members *m, void *given)
{
    return members_read(m, r->body, r->call.arena, given);
}

struct bytes body_text(const struct request *r, const char *name)
{
    return json_text(r->body, name);
}

bool body_bool(const struct request *r, const char *name)
{
    return json_object_get_boolean(json_member(r->body, name));
}

int64_t body_time(const struct request *r, const char *name)
{
    return time_of(json_text(r->body, name));
}

int64_t body_int(const struct request *r, const char *name)
{
    return json_object_get_int64(json_member(r->body, name));
}
