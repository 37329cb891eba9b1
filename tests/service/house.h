/* tests/service/house.h - an empty server in a temporary folder and place, its operator, calls in somebody's name. */
#ifndef TESTS_SERVICE_HOUSE_H
#define TESTS_SERVICE_HOUSE_H
/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mail/address.h"
#include "service/box/mailbox.h"
#include "service/box/me.h"
#include "service/box/user_whole.h"
#include "service/core/idempotency.h"
#include "service/core/member.h"
#include "service/core/secrets.h"
#include "service/core/setting.h"
#include "service/core/state.h"
#include "service/identity/account.h"
#include "service/identity/auth.h"
#include "service/identity/directory.h"
#include "service/identity/domain.h"
#include "service/identity/sender.h"
#include "service/service.h"
#include "tests/store/place.h"
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

struct house {
    char dir[64], url[PLACE_URL];
    struct service *svc;
    struct arena *arena;
    struct call c;
    struct principal operator;
};

#define B(text) bytes_of(text)

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static inline void set_param(const char *name, const char *value)
{
    struct err e = { 0 };
    enum param p;

    assert_true(param_find(B(name), &p));
    if (!param_set(p, PARAM_FROM_FLAG, B(value), &e))
        fail_msg("%s", e.message);
}

static inline void must(struct house *h, bool ok)
{
    if (!ok)
        fail_msg("%s: %s at %s", err_row(h->c.err.code)->name, h->c.err.message, h->c.err.where);
}

/* Fails with this code; the call is as new then. */
static inline void wont(struct house *h, bool ok, enum err_code code)
{
    if (ok)
        fail_msg("it should fail with %s", err_row(code)->name);
    if (h->c.err.code != code)
        fail_msg("%s instead of %s: %s", err_row(h->c.err.code)->name, err_row(code)->name, h->c.err.message);
    call_renew(&h->c);
}

/* Fails with this fault among the others. */
static inline void faults(struct house *h, bool ok, const char *pointer)
{
    if (ok)
        fail_msg("it should fail at %s", pointer);
    assert_int_equal(h->c.err.code, ERR_INVALID);
    for (size_t i = 0; i < h->c.n_faults; i++)
        if (bytes_equal(h->c.faults[i].pointer, B(pointer))) {
            call_renew(&h->c);
            return;
        }
    fail_msg("no fault at %s", pointer);
}

static inline void same(struct bytes got, const char *want)
{
    if (!bytes_equal(got, bytes_of(want)))
        fail_msg("\"%.*s\" instead of \"%s\"", SHOW(got), want ? want : "(none)");
}

static inline struct call *as(struct house *h, const struct principal *who)
{
    call_init(&h->c, h->svc, h->arena, "test");
    h->c.client_ip = h->c.client_net = BYTES("192.0.2.7");
    if (who)
        assert_true(call_act_as(&h->c, who, NO_BYTES));
    return &h->c;
}

static inline bool house_try_open(struct house *h, struct err *e)
{
    struct service_options o = { .data_dir = h->dir, .store_url = h->url };

    return service_open(&o, &h->svc, e);
}

static inline void house_open(struct house *h)
{
    struct err e = { 0 };

    if (!house_try_open(h, &e))
        fail_msg("%s", e.message);
    h->operator=(struct principal){
        .kind = WHO_SOCKET, .account_id = h->svc->operator_account, .scopes = SCOPE_ALL, .name = BYTES("socket")
    };
    as(h, &h->operator);
}

static inline int house_setup(void **state)
{
    struct house *h = calloc(1, sizeof *h);

    params_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    snprintf(h->dir, sizeof h->dir, "/tmp/postrider-test-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    place_make(h->url, h->dir, "postrider");
    h->arena = arena_new((size_t)256 << 20);
    house_open(h);
    *state = h;
    return 0;
}

static inline int house_teardown(void **state)
{
    struct house *h = *state;

    service_close(&h->svc);
    arena_free(&h->arena);
    place_drop(h->url);
    nftw(h->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(h);
    params_free();
    return 0;
}

/* ---- what most tests begin with ---- */

/* A tenant and the key of its owner. */
static inline struct principal *tenant(struct house *h, const char *name)
{
    struct account_create_in in = { .given = { .name = B(name) } };
    struct account_create_out out;
    const struct principal *who;
    struct principal *p = arena_alloc(h->arena, sizeof *p);

    must(h, account_create(as(h, &h->operator), &in, &out));
    must(h, auth_key(as(h, NULL), out.key.secret, &who));
    *p = *who;
    return p;
}

static inline struct domain_row domain(struct house *h, const struct principal *who, const char *name)
{
    struct domain_create_in in = { .given = { .name = B(name) } };
    struct domain_view out;

    must(h, domain_create(as(h, who), &in, &out));
    return out.row;
}

static inline struct user_row user(struct house *h, const struct principal *who, const char *address,
                                   const char *password)
{
    struct user_create_in in = { .change = { .row = { .address = B(address) } } };
    struct user_row out;

    if (password) {
        in.change.named = members_named(&user_members, "password");
        in.change.password = B(password);
    }
    must(h, user_create(as(h, who), &in, &out));
    return out;
}

static inline struct bytes text_of(struct house *h, const char *prefix, struct id id)
{
    return id_text(h->arena, prefix, id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, house_setup, house_teardown)
#endif
