/* service/core/call.c - what every service function stands on: faults, scopes, what a credential sees, the commit.
 *
 * call_sees judges one row and query_seen a list; they are one rule in two forms and change together. What an
 * Idempotency-Key may repeat is committed by call_commit and nothing else, for only then are the change and the answer
 * that is kept of it one batch. */
#include "service/core/call.h"
#include "base/clock.h"
#include "base/mask.h"
#include "net/stream.h"
#include "service/core/idempotency.h"
#include "service/core/scope.h"
#include "service/core/state.h"
#include <assert.h>
#include <stdarg.h>

#define CALL_DEADLINE_MS 30000

void call_init(struct call *c, struct service *svc, struct arena *a, const char *door)
{
    *c = (struct call){ .svc = svc, .store = svc ? svc->store : NULL, .arena = a, .door = door };
    call_renew(c);
}

void call_renew(struct call *c)
{
    c->request = id_new();
    c->deadline = clock_monotonic() + CALL_DEADLINE_MS;
    c->faults = NULL;
    c->n_faults = 0;
    c->err = (struct err){ 0 };
}

void call_client(struct call *c, const struct stream *s)
{
    const struct peer *p = stream_peer(s);

    c->client_ip = bytes_of(p->text);
    c->client_net = bytes_of(p->net);
    c->client_loopback = p->loopback;
    c->client_tls = stream_is_tls(s);
}

void call_as_system(struct call *c)
{
    struct principal *who = arena_alloc(c->arena, sizeof *who);

    *who = (struct principal){ .kind = WHO_SYSTEM, .account_id = c->svc->operator_account, .name = BYTES("system") };
    c->who = who;
    c->account = who->account_id;
}

/* ---- faults ---- */

bool call_fault(struct call *c, const char *pointer, const char *code, const char *format, ...)
{
    char message[256];
    va_list args;
    int n;

    if (c->n_faults == FAULTS_MAX)
        return false;
    if (!c->faults)
        c->faults = arena_array(c->arena, FAULTS_MAX, sizeof *c->faults);
    va_start(args, format);
    n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    assert(n >= 0);
    /* What was given may be a secret in the wrong field, and faults are answered and logged. */
    message[mask_text(message, strlen(message))] = '\0';
    c->faults[c->n_faults++] = (struct fault){
        .pointer = arena_copy(c->arena, bytes_of(pointer)),
        .code = arena_copy(c->arena, bytes_of(code)),
        .message = arena_copy(c->arena, bytes_of(message)),
    };
    return false;
}

bool call_check(struct call *c)
{
    if (c->n_faults == 0)
        return true;
    return err_set(&c->err, ERR_INVALID, "%.*s", SHOW(c->faults[0].message));
}

void faults_show(struct jw *w, const struct fault *faults, size_t n)
{
    jw_array(w);
    for (size_t i = 0; i < n; i++) {
        jw_object(w);
        jw_key_text(w, "pointer", faults[i].pointer);
        jw_key_text(w, "code", faults[i].code);
        jw_key_text(w, "message", faults[i].message);
        jw_object_end(w);
    }
    jw_array_end(w);
}

bool call_was_missing(struct call *c)
{
    if (c->err.code != ERR_NONE && c->err.code != ERR_MISSING && c->err.code != ERR_SYNTAX)
        return false;
    c->err = (struct err){ 0 };
    return true;
}

/* ---- scopes ---- */

/* settings, metrics and operator exist only in the operator's account. */
static unsigned scopes_here(const struct call *c)
{
    if (id_equal(c->who->account_id, c->svc->operator_account))
        return c->who->scopes;
    return c->who->scopes & SCOPE_TENANT;
}

/* What changes things other than mail that is sent. */
#define SCOPE_CHANGES                                                                                                  \
    (SCOPE_MAIL_WRITE | SCOPE_DOMAINS | SCOPE_USERS | SCOPE_KEYS | SCOPE_SETTINGS | SCOPE_OPERATOR |                   \
     SCOPE_SUPPRESSIONS | SCOPE_TEMPLATES | SCOPE_STREAMS)

bool call_may(struct call *c, unsigned scope)
{
    if (!c->who)
        return err_set(&c->err, ERR_AUTH, "Log in first");
    if (c->who->test && !c->reads && (scope & SCOPE_CHANGES))
        return err_set(&c->err, ERR_SCOPE, "A test key writes nothing but test mail");
    if (scopes_here(c) & scope)
        return true;
    for (unsigned i = 0; i < SCOPES; i++)
        if (scope & (1u << i))
            return err_set(&c->err, ERR_SCOPE, "This needs the scope %s", scope_name((enum scope_number)i));
    return err_set(&c->err, ERR_SCOPE, "This credential may not do that");
}

bool call_reaches(const struct call *c, struct id domain)
{
    for (size_t i = 0; i < c->who->n_domain_ids; i++)
        if (id_equal(c->who->domain_ids[i], domain))
            return true;
    return c->who->n_domain_ids == 0;
}

bool call_is_operator(const struct call *c)
{
    return scopes_here(c) & SCOPE_OPERATOR;
}

bool call_oversees(const struct call *c)
{
    return id_equal(c->account, c->svc->operator_account) && call_is_operator(c) && !c->who->test &&
           !c->who->n_domain_ids;
}

bool call_sees(const struct call *c, struct id account, struct bytes mode, struct id domain)
{
    return id_equal(account, c->account) && (!c->who->test || bytes_equal(mode, BYTES("test"))) &&
           call_reaches(c, domain);
}

void query_seen(struct call *c, struct query *q)
{
    if (c->who->test)
        q->conds[q->n_conds++] = COND("mode", IS, V_TEXT(BYTES("test")));
    query_reached(c, q, "domain_id");
}

void query_reached(struct call *c, struct query *q, const char *field)
{
    struct value *list;

    if (!c->who->n_domain_ids)
        return;
    list = arena_array(c->arena, c->who->n_domain_ids, sizeof *list);
    for (size_t i = 0; i < c->who->n_domain_ids; i++)
        list[i] = V_ID(c->who->domain_ids[i]);
    q->conds[q->n_conds++] = COND_ONE_OF(field, list, c->who->n_domain_ids);
}

/* ---- commits ---- */

bool call_commit(struct call *c, struct batch *b, const void *out, struct id ref)
{
    bool keyed = c->idempotency && c->idempotency->key.p;

    if (keyed && !idempotency_add(c, b, out, ref))
        return false;
    if (!arena_check(c->arena, &c->err))
        return false;
    if (store_commit(c->store, b, c->deadline, &c->err))
        return true;
    if (keyed)
        idempotency_lost(c, b);
    return false;
}
