/* service/queue/public_token.c - a token is version, key number, and sealed behind them: kind, flags, account, message,
 * text. Both numbers are bound to what is sealed, so that none is read as of another version. There is one key so far.
 */
#include "service/queue/public_token.h"
#include "base/crypt.h"
#include "base/params.h"
#include "service/core/limits.h"
#include "service/core/state.h"
#include "service/queue/suspension.h"

enum { VERSION = 1, KEY_NUMBER = 1, HEAD = 2 }; /* before what is sealed */
enum { KIND_AT, FLAGS_AT, ACCOUNT_AT, MESSAGE_AT = ACCOUNT_AT + 16, TEXT_AT = MESSAGE_AT + 16 }; /* in it */
enum { SEVERAL = 1 };
enum { BYTES_MOST = HEAD + CRYPT_SEAL_EXTRA + TEXT_AT + PUBLIC_TEXT_MOST, FAULT_WINDOW = 60 * 1000 };

void public_token_write(const struct service *svc, const struct public_token *t, struct buf *out)
{
    static const char head[HEAD] = { VERSION, KEY_NUMBER };
    char fixed[TEXT_AT] = { (char)t->kind, t->several ? SEVERAL : 0 };
    struct buf plain, sealed;

    buf_init(&plain, TEXT_AT + PUBLIC_TEXT_MOST);
    buf_init(&sealed, BYTES_MOST);
    memcpy(fixed + ACCOUNT_AT, t->account.b, sizeof t->account.b);
    memcpy(fixed + MESSAGE_AT, t->message.b, sizeof t->message.b);
    buf_add(&plain, (struct bytes){ fixed, sizeof fixed });
    buf_add(&plain, t->text);
    buf_add(&sealed, (struct bytes){ head, sizeof head });
    if (plain.overflowed || !crypt_seal(&svc->public_key, buf_bytes(&plain), (struct bytes){ head, HEAD }, &sealed))
        die("a token of %zu bytes", t->text.n);
    crypt_to_base64(buf_bytes(&sealed), CRYPT_BASE64_URL, out);
    buf_clear(&plain);
    buf_clear(&sealed);
}

static bool take_apart(struct bytes plain, enum public_kind kind, struct arena *a, struct public_token *out)
{
    if (plain.n < TEXT_AT || plain.p[KIND_AT] != (char)kind)
        return false;
    *out = (struct public_token){ .kind = kind, .several = plain.p[FLAGS_AT] & SEVERAL };
    memcpy(out->account.b, plain.p + ACCOUNT_AT, sizeof out->account.b);
    memcpy(out->message.b, plain.p + MESSAGE_AT, sizeof out->message.b);
    out->text = arena_copy(a, bytes_from(plain, TEXT_AT));
    return true;
}

bool public_token_read(const struct service *svc, enum public_kind kind, struct bytes token, struct arena *a,
                       struct public_token *out)
{
    struct bytes sealed;
    struct buf all, plain;
    bool ok;

    buf_init(&all, BYTES_MOST);
    buf_init(&plain, TEXT_AT + PUBLIC_TEXT_MOST);
    ok = crypt_from_base64(token, CRYPT_BASE64_URL, &all) && all.n >= HEAD && all.p[0] == VERSION &&
         all.p[1] == KEY_NUMBER;
    sealed = bytes_from(buf_bytes(&all), HEAD);
    ok = ok && crypt_open(&svc->public_key, sealed, bytes_head(buf_bytes(&all), HEAD), &plain) &&
         take_apart(buf_bytes(&plain), kind, a, out);
    buf_clear(&all);
    buf_clear(&plain);
    return ok;
}

/* Who tries tokens gets none right, but costs work and hides what others ask: past a rate nothing is looked at for them
 * alone. While the store is away nobody is counted. */
static bool refuse(struct call *c)
{
    const struct limit limit = { .name = arena_bytesf(c->arena, "public token %.*s", SHOW(c->client_net)),
                                 .most = PARAM_INT(limits, public_faults_per_minute),
                                 .window_ms = FAULT_WINDOW };
    int64_t wait = 0;

    if (limit.most && !limits_take(c, &limit, 1, &wait))
        c->err = (struct err){ 0 };
    if (wait)
        return err_set(&c->err, ERR_RATE, "Too many links that are none; try again in %lld s",
                       (long long)(wait / 1000 + 1));
    return err_set(&c->err, ERR_MISSING, "This link is not one of ours, or it is not whole");
}

bool public_token_take(struct call *c, enum public_kind kind, struct bytes token, struct public_token *out)
{
    if (!public_token_read(c->svc, kind, token, c->arena, out))
        return refuse(c);
    return !suspensions_disabled(c->svc, out->account) ||
           err_set(&c->err, ERR_GONE, "This link leads nowhere any more");
}
