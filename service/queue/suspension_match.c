/* service/queue/suspension_match.c - which suspension holds for a mail: see suspension.h. Pure. */
#include "base/json.h"
#include "service/queue/mail_route.h"
#include "service/queue/suspension.h"

bool tag_holds(struct bytes pattern, struct bytes tags)
{
    struct json_object *list = NULL;
    struct err ignored = { 0 };
    bool found = false;

    if (!tags.p || !json_read(tags, &list, &ignored))
        return false;
    for (size_t i = 0; !found && i < json_object_array_length(list); i++) {
        struct json_object *tag = json_object_array_get_idx(list, i);
        struct bytes name = json_text(tag, "name"), value = json_text(tag, "value");

        found = bytes_equal(pattern, name) ||
                (pattern.n == name.n + 1 + value.n && bytes_equal(bytes_head(pattern, name.n), name) &&
                 pattern.p[name.n] == '=' && bytes_equal(bytes_from(pattern, name.n + 1), value));
    }
    json_object_put(list);
    return found;
}

bool suspension_matches(const struct suspension *s, const struct suspend_query *q)
{
    switch (s->scope) {
    case SUSPEND_SITE: return q->site.p && mail_route_domain_matches(s->match, q->site);
    case SUSPEND_PROVIDER: return q->provider.p && bytes_equal_nocase(s->match, q->provider);
    case SUSPEND_SOURCE: return q->source.p && bytes_equal_nocase(s->match, q->source);
    case SUSPEND_PATH: return q->path.p && bytes_equal_nocase(s->match, q->path);
    case SUSPEND_ACCOUNT: return !id_is_none(q->account) && id_equal(s->account, q->account);
    case SUSPEND_STREAM: return q->stream.p && bytes_equal_nocase(s->match, q->stream);
    case SUSPEND_TAG: return id_equal(s->account, q->account) && tag_holds(s->match, q->tags);
    default: return false;
    }
}

const struct suspension *suspension_match(const struct suspension *list, size_t n, const struct suspend_query *q,
                                          int64_t now)
{
    const struct suspension *found = NULL;

    for (size_t i = 0; i < n; i++) {
        bool over = list[i].expires_at && list[i].expires_at <= now;

        if (over || (found && (list[i].slow || !found->slow)))
            continue;
        if (suspension_matches(&list[i], q))
            found = &list[i];
    }
    return found;
}
