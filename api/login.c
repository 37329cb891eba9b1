#include "api/private.h"
#include "api/request.h"
#include "base/crypt.h"
#include "base/params.h"

/* Behind a trusted proxy the client is the last address in X-Forwarded-For that is no trusted proxy itself. */
static void client_behind_proxy(struct request *r)
{
    struct bytes trusted = PARAM_TEXT(api, trusted_proxies), rest = r->forwarded_for, last;
    struct call *c = &r->call;

    if (!PARAM_INT(api, behind_proxy) || !r->forwarded_for.p || !network_list_has(trusted, c->client_ip))
        return;
    c->client_tls = bytes_equal_nocase(bytes_trim(r->forwarded_proto), BYTES("https"));
    while (rest.n) {
        size_t at = bytes_find_last(rest, ',');

        last = bytes_trim(at < rest.n ? bytes_from(rest, at + 1) : rest);
        rest = at < rest.n ? bytes_head(rest, at) : NO_BYTES;
        if (!client_set(c, last))
            return; /* what is no address is worth nothing, and neither is what stands before it */
        if (!network_list_has(trusted, last))
            return;
    }
}

static bool basic(struct request *r, struct bytes text, const struct principal **who)
{
    struct call *c = &r->call;
    struct bytes user, password;
    struct buf plain;
    bool good;

    if (!auth_clear_allowed(c))
        return err_set(&c->err, ERR_AUTH, "A password may not cross this connection in clear; use HTTPS");
    buf_init(&plain, 4096);
    good = crypt_from_base64(text, CRYPT_BASE64, &plain) && !plain.overflowed &&
           bytes_cut(arena_copy(c->arena, buf_bytes(&plain)), ':', &user, &password);
    if (plain.p)
        crypt_wipe(plain.p, plain.n);
    buf_clear(&plain);
    if (!good)
        return err_set(&c->err, ERR_AUTH, "The Basic credential is not well formed");
    return auth_password(c, user, password, who);
}

static bool credential(struct request *r, const struct principal **who)
{
    struct bytes scheme, text;

    bytes_cut(r->authorization, ' ', &scheme, &text);
    text = bytes_trim(text);
    if (bytes_equal_nocase(scheme, BYTES("Bearer")) && text.n)
        return auth_key(&r->call, text, who);
    if (bytes_equal_nocase(scheme, BYTES("Basic")) && text.n)
        return basic(r, text, who);
    return err_set(&r->call.err, ERR_AUTH, "Give an API key as `Authorization: Bearer …`");
}

bool request_login(struct request *r)
{
    const struct principal *who = NULL;

    client_behind_proxy(r);
    if (r->route->flags & ROUTE_OPEN)
        return true;
    if (r->authorization.p)
        return credential(r, &who) && call_act_as(&r->call, who, r->other_account);
    if (r->is_unix)
        return auth_socket(&r->call, r->uid, &who) && call_act_as(&r->call, who, r->other_account);
    return true; /* open metrics: nobody else gets so far */
}
