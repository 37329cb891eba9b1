#include "service/body/seal.h"
#include "service/core/secrets.h"
#include "service/core/state.h"

static struct bytes row_context(const struct id *row)
{
    return (struct bytes){ (const char *)row->b, sizeof row->b };
}

static struct bytes wrap_under(const struct crypt_key *outer, const struct crypt_key *content, struct id row,
                               struct arena *a)
{
    uint8_t *out = arena_alloc(a, CRYPT_WRAPPED);

    crypt_wrap(outer, content, row_context(&row), out);
    return (struct bytes){ (const char *)out, CRYPT_WRAPPED };
}

struct bytes seal_wrap_name(struct service *svc)
{
    return (struct bytes){ svc->wrap_name, WRAP_NAME };
}

struct bytes seal_for_server(struct service *svc, const struct crypt_key *content, struct id row, struct arena *a)
{
    return wrap_under(&svc->wrap_key, content, row, a);
}

bool seal_open_server(struct service *svc, struct id row, struct bytes wrapped, struct bytes wrap,
                      struct crypt_key *out, struct err *e)
{
    if (!wrapped.p)
        return err_set(e, ERR_GONE, "The content is no longer kept");
    if (!bytes_equal(wrap, seal_wrap_name(svc)))
        return err_set(e, ERR_SEALED, "The content is sealed with the server key %.*s", SHOW(wrap));
    if (!crypt_unwrap(&svc->wrap_key, wrapped, row_context(&row), out))
        return err_set(e, ERR_INTERNAL, "A content key does not open");
    return true;
}

bool seal_user_key(struct service *svc, const struct directory_user *user, struct crypt_key *out, struct err *e)
{
    return user_key_open(svc, user->id, user->user_key, user->user_key_wrap, out, e);
}

struct bytes seal_for_user(const struct crypt_key *user, const struct crypt_key *content, struct id entry,
                           struct arena *a)
{
    return wrap_under(user, content, entry, a);
}

bool seal_open_user(const struct crypt_key *user, const struct entry_row *entry, struct crypt_key *out, struct err *e)
{
    if (!crypt_unwrap(user, entry->wrapped_key, row_context(&entry->id), out))
        return err_set(e, ERR_INTERNAL, "The content key of an entry does not open");
    return true;
}

struct bytes seal_text(const struct crypt_key *content, struct id body, struct bytes text, struct arena *a)
{
    struct buf out;
    struct bytes sealed = NO_BYTES;

    buf_init(&out, SEALED_MAX + CRYPT_SEAL_EXTRA);
    if (crypt_seal(content, bytes_head(text, SEALED_MAX), row_context(&body), &out))
        sealed = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return sealed;
}

struct bytes seal_open_text(const struct crypt_key *content, struct id body, struct bytes sealed, struct arena *a)
{
    struct buf out;
    struct bytes text = NO_BYTES;

    if (!sealed.p)
        return NO_BYTES;
    buf_init(&out, SEALED_MAX);
    if (crypt_open(content, sealed, row_context(&body), &out))
        text = out.n ? arena_copy(a, buf_bytes(&out)) : BYTES("");
    buf_clear(&out);
    return text;
}
