/* service/queue/return_path.c - return paths made and read: see return_path.h.
 *
 * Which one a mail leaves with is decided when it leaves, by what the domain's records are then. Nothing is kept of it:
 * the address proves itself. There is one key so far, and its number is written so that there can be another. */
#include "service/queue/return_path.h"
#include "base/clock.h"
#include "base/params.h"
#include "mail/srs.h"
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

static struct bytes by_token(const struct service *svc, struct token t, struct bytes domain, struct arena *a)
{
    struct token_key key = newest(svc);
    struct bytes path;
    struct buf text;

    buf_init(&text, 512);
    token_write(&t, &key, TOKEN_BOUNCE, domain, &text);
    path = arena_copy(a, buf_bytes(&text));
    buf_clear(&text);
    crypt_wipe(&key, sizeof key);
    return path;
}

static struct bytes by_srs(const struct service *svc, struct bytes sender, struct bytes via, struct arena *a)
{
    struct bytes domain = bytes_from(via, bytes_find_last(via, '@') + 1), path = BYTES("");
    struct err ignored = { 0 };
    struct address from;
    struct buf text;

    buf_init(&text, 512);
    if (address_parse(sender, a, &from, &ignored) &&
        srs_forward(&from, &svc->srs_key, domain, clock_wall(), a, &text, &ignored))
        path = arena_copy(a, buf_bytes(&text));
    buf_clear(&text);
    return path;
}

/* Of the author's own domain, once its records are seen to lead here; NO_BYTES: there is none. While the store is away
 * it is taken for none: a report at the other domain is as good. */
static struct bytes domain_for(struct service *svc, const struct message_row *m, struct arena *a)
{
    struct bytes name = bytes_from(m->envelope_from, bytes_find_last(m->envelope_from, '@') + 1);
    struct directory_domain domain;
    struct call c;

    call_init(&c, svc, a, "delivery");
    if (name.n && directory_domain(&c, name, &domain) && domain.return_path)
        return arena_bytesf(a, BELOW "%.*s", SHOW(domain.name));
    return bounce_domain(a);
}

struct bytes return_path_write(struct service *svc, const struct message_row *m, const struct delivery_row *d,
                               bool several, struct arena *a)
{
    struct token t = { several ? TOKEN_MESSAGE : TOKEN_DELIVERY, several ? m->id : d->id };
    struct bytes domain;

    if (d->via.p && m->envelope_from.n)
        return by_srs(svc, m->envelope_from, d->via, a);
    domain = m->token_path ? domain_for(svc, m, a) : NO_BYTES;
    return domain.n ? by_token(svc, t, domain, a) : m->envelope_from;
}

/* Its time stays, and says how the rest is covered; so what covers it uncovers it, too. */
struct id return_path_veil(const struct service *svc, struct id id)
{
    uint8_t cover[CRYPT_HASH];

    crypt_keyed_hash(&svc->token_key, (struct bytes){ (const char *)id.b, 6 }, cover);
    cover[6] &= 0x0F; /* version and variant of RFC 9562 stay */
    cover[8] &= 0x3F;
    for (size_t i = 6; i < sizeof id.b; i++)
        id.b[i] ^= cover[i];
    return id;
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
