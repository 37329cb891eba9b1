#include "api/request.h"

/* The headers that we read; those that are no lists may come once (RFC 9110 5.3). */
static const struct known {
    const char *name;
    size_t offset; /* in struct request */
    bool many;
} headers[] = {
    { "Host", offsetof(struct request, host), false },
    { "User-Agent", offsetof(struct request, user_agent), false },
    { "Accept-Language", offsetof(struct request, accept_language), true },
    { "Sec-Purpose", offsetof(struct request, purpose), true },
    { "Purpose", offsetof(struct request, purpose), true },
    { "X-Purpose", offsetof(struct request, purpose), true },
    { "X-Moz", offsetof(struct request, purpose), true },
    { "Accept", offsetof(struct request, accept), true },
    { "Last-Event-ID", offsetof(struct request, last_event), false },
    { "Authorization", offsetof(struct request, authorization), false },
    { "Content-Type", offsetof(struct request, content_type), false },
    { "Content-Encoding", offsetof(struct request, content_encoding), true },
    { "If-Match", offsetof(struct request, if_match), true },
    { "Idempotency-Key", offsetof(struct request, key), false },
    { "Postrider-Account", offsetof(struct request, other_account), false },
    { "X-Forwarded-For", offsetof(struct request, forwarded_for), true },
    { "X-Forwarded-Proto", offsetof(struct request, forwarded_proto), true },
};

static void read_one(struct request *r, const struct http_field *f)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct bytes *to = (struct bytes *)(void *)((char *)r + headers[i].offset);

        if (!bytes_equal_nocase(f->name, bytes_of(headers[i].name)))
            continue;
        if (to->p && !headers[i].many)
            r->malformed = true;
        *to = to->p ? arena_bytesf(r->call.arena, "%.*s, %.*s", SHOW(*to), SHOW(f->value)) : f->value;
    }
}

void head_read(struct request *r)
{
    const struct http_head *h = &r->x->head;

    for (size_t i = 0; i < h->n; i++)
        read_one(r, &h->fields[i]);
}

bool head_accepts(const struct request *r, const char *type)
{
    struct bytes rest = r->accept, one;

    while (rest.n) {
        bytes_cut(rest, ',', &one, &rest);
        if (bytes_equal_nocase(bytes_trim(bytes_head(one, bytes_find(one, ';'))), bytes_of(type)))
            return true;
    }
    return false;
}
