#include "service/queue/return_path.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/core/state.h"
#include "service/identity/directory.h"

#define BELOW "rp."
/* Of the key that tokens are written with now. */
#define KEY_NUMBER 1

static struct token_key newest(const struct service *svc)
{
    return (struct token_key){ .number = KEY_NUMBER, .key = svc->token_key };
}

/* As domain_normalize has it; NO_BYTES: none is set. */
static struct bytes bounce_domain(struct arena *a)
{
    struct bytes name = PARAM_TEXT(delivery, bounce_domain), plain;
    struct err ignored = { 0 };

    return name.n && domain_normalize(name, a, &plain, &ignored) ? plain : NO_BYTES;
}

struct bytes return_path_write(const struct service *svc, const struct message_row *m, struct id one, struct arena *a)
{
    struct token t = { id_is_none(one) ? TOKEN_MESSAGE : TOKEN_DELIVERY, id_is_none(one) ? m->id : one };
    struct token_key key = newest(svc);
    struct bytes domain = bounce_domain(a), path = m->envelope_from;
    struct buf text;

    if (m->token_path && domain.n) {
        buf_init(&text, 512);
        token_write(&t, &key, TOKEN_BOUNCE, domain, &text);
        path = arena_copy(a, buf_bytes(&text));
        buf_clear(&text);
    }
    crypt_wipe(&key, sizeof key);
    return path;
}

bool return_domain_find(struct call *c, struct bytes name, struct return_domain *out)
{
    struct directory_domain domain;

    *out = (struct return_domain){ .is = bytes_equal(name, bounce_domain(c->arena)) };
    if (out->is || !bytes_starts(name, BYTES(BELOW)))
        return true;
    if (!directory_domain(c, bytes_from(name, sizeof BELOW - 1), &domain))
        return call_was_missing(c);
    *out = (struct return_domain){ .is = true, .below = domain.name };
    return true;
}

enum token_read return_path_read(const struct service *svc, struct bytes local, struct bytes domain, int64_t now,
                                 struct token *t, enum token_use *use)
{
    struct token_key key = newest(svc);
    enum token_read result = token_read(local, domain, &key, 1, now, TOKEN_AGE_MAX, t, use);

    crypt_wipe(&key, sizeof key);
    return result;
}
