/* service/keep/upgrade.c - the steps that bring rows of older builds to what this one keeps: see upgrade.h.
 *
 * Each row is settled by itself, on condition that nobody has done it meanwhile: so a step that was broken off begins
 * anew without harm, and several nodes may work on one store at once. What is done is noted only behind the last row. A
 * new step is a function and a line in `steps`. */
#include "service/keep/upgrade.h"
#include "base/clock.h"
#include "base/log.h"
#include "service/box/mailbox.h"
#include "service/box/mailbox_name.h"
#include "service/core/secrets.h"
#include "service/keep/walk.h"
#include <assert.h>

enum { STEP_ARENA = 1 << 26, COMMIT_MS = 30000, TRIES = 5, BOXES_PAGE = 1000 };

static const struct id the_upgrade = { { 'u', 'p', 'g', 'r', 'a', 'd', 'e' } };

struct upgrade {
    struct service *svc;
    struct store *st;
    struct arena *arena; /* of one row */
    struct err *e;
};

/* *done is false when somebody else has changed a row meanwhile. */
static bool commit(struct upgrade *u, struct batch *b, bool *done)
{
    struct err why = { 0 };

    *done = batch_count(b) == 0 || store_commit(u->st, b, clock_monotonic() + COMMIT_MS, &why);
    if (*done || why.code == ERR_CONFLICT)
        return true;
    *u->e = why;
    return false;
}

/* ---- 1: a user counts the changes of all mailboxes ---- */

/* The highest numbers of the user's mailboxes. */
static bool highest(struct upgrade *u, struct id user, struct mailbox_row *out)
{
    static const char *const only[] = { "id", "user_id", "modseq", "uid_validity", NULL };
    struct query q = { .kind = &mailbox_kind, .index = "user", .n_conds = 1, .limit = BOXES_PAGE, .only = only };
    const struct mailbox_row *rows;
    void *found;
    size_t n;

    *out = (struct mailbox_row){ .modseq = 1 };
    q.conds[0] = COND("user_id", IS, V_ID(user));
    do {
        if (!store_find(u->st, &q, u->arena, &found, &n, u->e))
            return false;
        rows = found;
        for (size_t i = 0; i < n; i++) {
            out->modseq = rows[i].modseq > out->modseq ? rows[i].modseq : out->modseq;
            out->uid_validity = rows[i].uid_validity > out->uid_validity ? rows[i].uid_validity : out->uid_validity;
        }
        if (n)
            q.after = store_cursor(&q, &rows[n - 1], u->arena);
    } while (n == BOXES_PAGE);
    return true;
}

static bool count_changes(struct upgrade *u, const void *row, bool *done)
{
    const struct user_row *user = row;
    const struct cond unset = COND("modseq", IS, V_INT(0));
    struct batch *b = batch_new(u->arena);
    struct mailbox_row most;
    struct set sets[3];

    *done = user->modseq != 0;
    if (*done)
        return true;
    if (!highest(u, user->id, &most))
        return false;
    sets[0] = SET("modseq", V_INT(most.modseq));
    sets[1] = SET("gone_floor", V_INT(most.modseq)); /* nobody wrote down what went */
    sets[2] = SET("uid_validity", V_INT(most.uid_validity));
    batch_update(b, &user_kind, user->id, &unset, 1, sets, 3);
    return commit(u, b, done);
}

/* ---- 2: names of mailboxes are steps of a path ----
 *
 * No number counts it: what changed before the upgrade nobody can ask (gone_floor). */

/* *taken: another one of the same parent is called so. */
static bool rename_to(struct upgrade *u, const struct mailbox_row *box, struct bytes name, bool *done, bool *taken)
{
    const struct cond same = COND("slot", IS, V_TEXT(box->slot));
    struct batch *b = batch_new(u->arena);
    const struct set sets[] = { SET("name", V_TEXT(name)),
                                SET("slot", V_TEXT(mailbox_slot(box->parent_id, name, u->arena))) };

    batch_update(b, &mailbox_kind, box->id, &same, 1, sets, 2);
    if (!commit(u, b, done))
        return false;
    *taken = !*done && batch_failure(b).fault == FAULT_UNIQUE;
    return true;
}

static bool name_rightly(struct upgrade *u, const void *row, bool *done)
{
    const struct mailbox_row *box = row;
    struct bytes name = mailbox_name_mend(box->name, 1, u->arena);
    bool taken = true;

    *done = bytes_equal(name, box->name);
    for (int number = 1; !*done && taken; number++)
        if (!rename_to(u, box, mailbox_name_mend(box->name, number, u->arena), done, &taken))
            return false;
    return true;
}

/* ---- 3: keys by which mails are indexed ---- */

static bool give_index_key(struct upgrade *u, const void *row, bool *done)
{
    const struct user_row *user = row;
    const struct cond unset = COND("index_key", IS, V_BYTES(NO_BYTES));
    struct batch *b = batch_new(u->arena);
    struct bytes key, wrap;
    struct set sets[2];

    *done = user->index_key.p != NULL;
    if (*done)
        return true;
    index_key_make(u->svc, user->id, u->arena, &key, &wrap);
    sets[0] = SET("index_key", V_BYTES(key));
    sets[1] = SET("index_key_wrap", V_TEXT(wrap));
    batch_update(b, &user_kind, user->id, &unset, 1, sets, 2);
    return commit(u, b, done);
}

/* ---- 4: who might do everything in an account may do what is new ---- */

#define TENANT_BEFORE                                                                                                  \
    (SCOPE_SEND | SCOPE_MESSAGES_READ | SCOPE_DELIVERIES_WRITE | SCOPE_MAIL_READ | SCOPE_MAIL_WRITE | SCOPE_DOMAINS |  \
     SCOPE_USERS | SCOPE_KEYS)

#define TENANT_SINCE (SCOPE_SUPPRESSIONS | SCOPE_TEMPLATES | SCOPE_STREAMS)

static bool give_scopes(struct upgrade *u, const void *row, bool *done)
{
    const struct key_row *key = row;
    const struct cond same = COND("scopes", IS, V_INT(key->scopes));
    const struct set more = SET("scopes", V_INT(key->scopes | TENANT_SINCE));
    struct batch *b = batch_new(u->arena);

    *done = (key->scopes & TENANT_BEFORE) != TENANT_BEFORE || (key->scopes & TENANT_SINCE) == TENANT_SINCE;
    if (*done)
        return true;
    batch_update(b, &key_kind, key->id, &same, 1, &more, 1);
    return commit(u, b, done);
}

/* ---- the steps ---- */

static const struct step {
    const struct kind *kind; /* whose rows it looks at */
    bool (*one)(struct upgrade *u, const void *row, bool *done);
} steps[] = {
    { &user_kind, count_changes },
    { &mailbox_kind, name_rightly },
    { &user_kind, give_index_key },
    { &key_kind, give_scopes },
};
#define STEPS (sizeof steps / sizeof *steps)

/* A row that others change under it is read again; one that is gone needs nothing. */
static bool settle(struct upgrade *u, const struct step *s, const void *row)
{
    struct id id = *(const struct id *)row;
    bool there = true, done = false;

    arena_reset(u->arena);
    if (!s->one(u, row, &done))
        return false;
    for (int try = 0; there && !done && try < TRIES; try++) {
        void *now;

        arena_reset(u->arena);
        now = arena_alloc(u->arena, s->kind->size);
        if (!store_look(u->st, s->kind, id, u->arena, now, &there, u->e) || (there && !s->one(u, now, &done)))
            return false;
    }
    return !there || done || err_set(u->e, ERR_BUSY, "Rows of the kind %s keep changing: start again", s->kind->name);
}

static bool run(struct upgrade *u, const struct step *s)
{
    struct walk w;
    const void *row = NULL;
    bool ok;

    walk_begin(&w, u->st, s->kind, NO_BYTES);
    do
        ok = walk_row(&w, &row, u->e) && (!row || settle(u, s, row));
    while (ok && row);
    walk_end(&w);
    return ok;
}

static bool note(struct upgrade *u, int64_t step)
{
    const struct upgrade_row row = { .id = the_upgrade, .step = step };
    const struct set set = SET("step", V_INT(step));
    struct batch *b = batch_new(u->arena);
    bool done;

    batch_raise(b, &upgrade_kind, &row, NULL, &set, 1);
    return commit(u, b, &done);
}

bool upgrade_run(struct service *svc, struct err *e)
{
    struct upgrade u = { .svc = svc, .st = svc->store, .arena = arena_new(STEP_ARENA), .e = e };
    struct upgrade_row row = { .step = 0 };
    bool there, ok = store_look(u.st, &upgrade_kind, the_upgrade, u.arena, &row, &there, e);

    for (int64_t i = row.step; ok && i < (int64_t)STEPS; i++) {
        ok = run(&u, &steps[i]) && note(&u, i + 1);
        if (ok)
            log_info("service", LOG_TEXT("upgrade", "done"), LOG_INT("step", i + 1));
    }
    arena_free(&u.arena);
    return ok;
}
