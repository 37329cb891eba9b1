/* tests/service/mail_world.h - a store in a temporary folder with two accounts and three users, and what every test of
 * the mail half does with it. */
#ifndef TESTS_SERVICE_MAIL_WORLD_H
#define TESTS_SERVICE_MAIL_WORLD_H
/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "service/box/mailbox.h"
#include "service/box/maildrop.h"
#include "service/box/user_whole.h"
#include "service/core/secrets.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/keep/sweep.h"
#include "service/message/event.h"
#include "service/message/message.h"
#include "service/queue/bundle.h"
#include "service/queue/due.h"
#include "service/service.h"
#include "tests/store/place.h"
#include <ftw.h>
#include <unistd.h>

struct world {
    char dir[64], url[PLACE_URL];
    struct service *svc;
    struct arena *arena;
    struct id account, other; /* example.test; other.test */
    struct directory_user ana, bo, eve;
    struct principal key, test_key, other_key, ana_login;
    struct call c;
};

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static inline void set_param(const char *name, const char *value)
{
    struct err e = { 0 };
    enum param p;

    assert_true(param_find(bytes_of(name), &p));
    if (!param_set(p, PARAM_FROM_FLAG, bytes_of(value), &e))
        fail_msg("%s", e.message);
}

static inline void must(struct call *c, bool ok)
{
    if (!ok)
        fail_msg("%s at %s", c->err.message, c->err.where);
}

static inline void must_fail(struct call *c, bool ok, enum err_code code)
{
    if (ok)
        fail_msg("it should fail with %s", err_row(code)->name);
    if (c->err.code != code)
        fail_msg("%s instead of %s: %s", err_row(c->err.code)->name, err_row(code)->name, c->err.message);
    c->err = (struct err){ 0 };
}

static inline void commit(struct world *w, struct batch *b)
{
    struct err e = { 0 };

    if (!store_commit(w->svc->store, b, clock_monotonic() + 10000, &e))
        fail_msg("%s", e.message);
}

static inline struct id add_account(struct world *w, struct batch *b, const char *domain)
{
    struct account_row *account = arena_alloc(w->arena, sizeof *account);
    struct domain_row *row = arena_alloc(w->arena, sizeof *row);

    *account = (struct account_row){ .id = id_new(), .name = bytes_of(domain), .created_at = clock_wall() };
    *row = (struct domain_row){ .id = id_new(), .account_id = account->id, .name = bytes_of(domain) };
    row->inbound = BYTES("mailboxes");
    row->created_at = row->verified_at = clock_wall();
    batch_insert(b, &account_kind, account, NULL, 0);
    batch_insert(b, &domain_kind, row, NULL, 0);
    return account->id;
}

static inline void add_box(struct world *w, struct batch *b, const struct user_row *user, const char *name,
                           const char *role)
{
    struct mailbox_row *row = arena_alloc(w->arena, sizeof *row);

    *row = (struct mailbox_row){ .id = id_new(), .account_id = user->account_id, .user_id = user->id };
    row->name = bytes_of(name);
    row->role = bytes_of(role);
    row->slot = mailbox_slot(NO_ID, row->name, w->arena);
    row->uid_next = row->modseq = 1;
    row->uid_validity = 1;
    batch_insert(b, &mailbox_kind, row, NULL, 0);
}

static inline struct id add_user(struct world *w, struct batch *b, struct id account, const char *address,
                                 int64_t quota)
{
    struct user_row *user = arena_alloc(w->arena, sizeof *user);
    struct address_row *row = arena_alloc(w->arena, sizeof *row);

    *user = (struct user_row){ .id = id_new(), .account_id = account, .address = bytes_of(address), .quota = quota };
    user->encryption = BYTES("server");
    user->save_sent = true;
    user->modseq = 1;
    user_key_make(w->svc, user->id, w->arena, &user->user_key, &user->user_key_wrap);
    index_key_make(w->svc, user->id, w->arena, &user->index_key, &user->index_key_wrap);
    *row = (struct address_row){ .id = id_new(), .account_id = account, .user_id = user->id };
    row->address = user->address;
    row->primary = true;
    batch_insert(b, &user_kind, user, NULL, 0);
    batch_insert(b, &address_kind, row, NULL, 0);
    add_box(w, b, user, "INBOX", "inbox");
    add_box(w, b, user, "Sent", "sent");
    add_box(w, b, user, "Trash", "trash");
    return user->id;
}

static inline void act(struct world *w, const struct principal *who, const char *door)
{
    call_init(&w->c, w->svc, w->arena, door);
    w->c.who = who;
    if (who)
        w->c.account = who->account_id;
}

static inline struct principal key_of(struct id account, bool test)
{
    return (struct principal){
        .kind = WHO_KEY, .id = id_new(), .account_id = account, .scopes = SCOPE_TENANT, .test = test
    };
}

static inline void refresh(struct world *w)
{
    struct call c;

    directory_changed(w->svc);
    call_init(&c, w->svc, w->arena, "test");
    must(&c, directory_user(&c, w->ana.id, &w->ana));
    must(&c, directory_user(&c, w->bo.id, &w->bo));
    must(&c, directory_user(&c, w->eve.id, &w->eve));
}

static inline void people(struct world *w)
{
    struct batch *b = batch_new(w->arena);

    w->account = add_account(w, b, "example.test");
    w->other = add_account(w, b, "other.test");
    w->ana.id = add_user(w, b, w->account, "ana@example.test", 1 << 30);
    w->bo.id = add_user(w, b, w->account, "bo@example.test", 1 << 30);
    w->eve.id = add_user(w, b, w->other, "eve@other.test", 1 << 30);
    commit(w, b);
    refresh(w);
    w->key = key_of(w->account, false);
    w->test_key = key_of(w->account, true);
    w->other_key = key_of(w->other, false);
    w->ana_login = (struct principal){ .kind = WHO_USER, .id = w->ana.id, .account_id = w->account };
    w->ana_login.scopes = SCOPE_SEND | SCOPE_MAIL_READ | SCOPE_MAIL_WRITE;
}

static inline void open_world(struct world *w)
{
    struct service_options o = { .data_dir = w->dir, .store_url = w->url };
    struct err e = { 0 };

    if (!service_open(&o, &w->svc, &e))
        fail_msg("%s", e.message);
}

static inline int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    params_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    snprintf(w->dir, sizeof w->dir, "/tmp/pr-mail-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->arena = arena_new((size_t)1 << 30);
    place_make(w->url, w->dir, "postrider");
    open_world(w);
    people(w);
    act(w, &w->key, "api");
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;

    service_close(&w->svc);
    arena_free(&w->arena);
    place_drop(w->url);
    nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
    params_free();
    return 0;
}

/* ---- sending ---- */

static inline struct send_address at(struct world *w, const char *email, const char *pointer)
{
    struct send_address s = { .pointer = pointer };
    struct err e = { 0 };

    if (!address_parse(bytes_of(email), w->arena, &s.address, &e))
        fail_msg("%s", e.message);
    return s;
}

/* A send by JSON to up to 50 recipients. */
static inline struct message_send_in a_send(struct world *w, size_t n, const char *const *to)
{
    struct send_address *list = arena_array(w->arena, n ? n : 1, sizeof *list);
    struct message_send_in in = { .from = at(w, "app@example.test", "/from"), .subject = BYTES("Sturgeon season") };

    for (size_t i = 0; i < n; i++)
        list[i] = at(w, to[i], arena_printf(w->arena, "/to/%zu", i));
    in.to = list;
    in.n_to = n;
    in.text = BYTES("The quick brown walrus.\n");
    return in;
}

#define TO(...)                                                                                                        \
    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), (const char *const[])                               \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

static inline struct intake_out sent(struct world *w, size_t n, const char *const *to)
{
    struct message_send_in in = a_send(w, n, to);
    struct intake_out out = { 0 };

    must(&w->c, message_send(&w->c, &in, &out));
    return out;
}

/* Mail from outside: n times `to` with its number in place of %d. */
static inline bool receive(struct world *w, const char *to, size_t n, struct bytes mail, struct intake_out *out)
{
    struct recipient *list = arena_array(w->arena, n, sizeof *list);
    struct intake_in in = { .source = SOURCE_SMTP, .envelope_from = BYTES("far@away.test"), .n_recipients = n };
    struct intake *k = NULL;

    act(w, NULL, "smtp");
    for (size_t i = 0; i < n; i++) {
        struct recipient_check_in r = { 0 };
        char email[64];
        const char *number = strchr(to, '#');
        if (number)
            snprintf(email, sizeof email, "%.*s%zu%s", (int)(number - to), to, i, number + 1);
        else
            snprintf(email, sizeof email, "%s", to);
        must(&w->c, address_parse(arena_copy(w->arena, bytes_of(email)), w->arena, &r.address, &w->c.err));
        if (!recipient_check(&w->c, &r, &list[i]))
            return false;
    }
    in.recipients = list;
    in.received = (struct received){ .helo = BYTES("away.test"), .client_ip = BYTES("192.0.2.9"), .with = "ESMTP" };
    if (!intake_begin(&w->c, &in, &k))
        return false;
    if (!intake_append(k, &w->c, mail)) {
        intake_drop(&k);
        return false;
    }
    return intake_commit(&k, &w->c, out);
}

#define A_MAIL                                                                                                         \
    BYTES("From: Far <far@away.test>\r\nTo: ana@example.test\r\nSubject: A zebra\r\nMessage-ID: <1@away.test>\r\n"     \
          "Date: Sat, 21 Nov 2026 09:52:00 +0000\r\n\r\nStripes and more stripes.\r\n")

/* ---- looking ---- */

static inline struct mailbox_row box(struct world *w, struct id id)
{
    struct mailbox_row row = { 0 };
    struct err e = { 0 };

    if (!store_get(w->svc->store, &mailbox_kind, id, w->arena, &row, &e))
        fail_msg("%s", e.message);
    return row;
}

static inline size_t rows_of(struct world *w, const struct kind *k, const char *index, const char *field,
                             struct value value, void **rows)
{
    struct query q = { .kind = k, .index = index, .n_conds = 1, .limit = 5000 };
    struct err e = { 0 };
    size_t n;

    q.conds[0] = COND(field, IS, value);
    if (!store_find(w->svc->store, &q, w->arena, rows, &n, &e))
        fail_msg("%s", e.message);
    return n;
}

static inline struct entry_row *entries_in(struct world *w, struct id mailbox, size_t *n)
{
    void *rows;

    *n = rows_of(w, &entry_kind, "uid", "mailbox_id", V_ID(mailbox), &rows);
    return rows;
}

static inline struct entry_row only_entry(struct world *w, struct id mailbox)
{
    size_t n;
    struct entry_row *rows = entries_in(w, mailbox, &n);

    assert_int_equal(n, 1);
    return rows[0];
}

/* All of a content, which is closed; it has the size that was said, if one was. */
static inline struct bytes whole_of(struct world *w, struct content_out *out)
{
    struct buf all;
    struct bytes piece;

    buf_init(&all, 4 << 20);
    do {
        must(&w->c, content_next(out->content, &piece, &w->c.err));
        buf_add(&all, piece);
    } while (piece.n);
    content_close(&out->content);
    assert_false(all.overflowed);
    assert_true(out->size < 0 || all.n == (size_t)out->size);
    piece = arena_copy(w->arena, buf_bytes(&all));
    buf_clear(&all);
    return piece;
}

/* A mail of Ana's as she gets it. */
static inline struct bytes entry_text(struct world *w, struct id entry)
{
    struct entry_raw_in in = { .id = id_text(w->arena, entry_kind.prefix, entry) };
    struct content_out out;

    act(w, &w->ana_login, "api");
    must(&w->c, entry_raw(&w->c, &in, &out));
    return whole_of(w, &out);
}

static inline struct message_row message_of_id(struct world *w, struct id id)
{
    struct message_row row = { 0 };
    struct err e = { 0 };

    if (!store_get(w->svc->store, &message_kind, id, w->arena, &row, &e))
        fail_msg("%s", e.message);
    return row;
}

static inline struct bytes id_of(struct world *w, const struct kind *k, struct id id)
{
    return id_text(w->arena, k->prefix, id);
}

/* The events that an index finds, each by itself. */
static inline size_t events_by(struct world *w, const char *index, const char *field, struct id id,
                               struct event_row **list)
{
    void *found;
    size_t rows = rows_of(w, &event_kind, index, field, V_ID(id), &found), n = 0;

    *list = arena_array(w->arena, rows * BUNDLE_MOST, sizeof **list);
    for (size_t i = 0; i < rows; i++)
        n += event_expand((struct event_row *)found + i, *list + n);
    return n;
}

static inline size_t events_of(struct world *w, struct id message, struct event_row **list)
{
    return events_by(w, "message", "message_id", message, list);
}

/* Number of events of a message of that type. */
static inline size_t events(struct world *w, struct id message, const char *type)
{
    struct event_row *list;
    size_t n = events_of(w, message, &list), found = 0;

    for (size_t i = 0; i < n; i++)
        found += bytes_equal(list[i].type, bytes_of(type));
    return found;
}

static inline size_t work(struct world *w)
{
    struct err e = { 0 };
    size_t n, all = 0;

    do {
        if (!due_round(w->svc, &n, &e))
            fail_msg("%s", e.message);
        all += n;
    } while (n);
    return all;
}

static inline size_t sweep(struct world *w)
{
    struct err e = { 0 };
    size_t n;

    if (!sweep_round(w->svc, &n, &e))
        fail_msg("%s at %s", e.message, e.where);
    return n;
}

static inline bool collect(void *ctx, struct bytes piece, struct err *e)
{
    (void)e;
    buf_add(ctx, piece);
    return true;
}

#define assert_bytes(a_, b_)                                                                                           \
    do {                                                                                                               \
        struct bytes x_ = (a_), y_ = (b_);                                                                             \
        if (!bytes_equal(x_, y_))                                                                                      \
            fail_msg("'%.*s' is not '%.*s'", SHOW(x_), SHOW(y_));                                                      \
    } while (0)
#endif
