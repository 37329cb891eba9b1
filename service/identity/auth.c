/* service/identity/auth.c - logins: the order of the steps is what keeps guessers out.
 *
 * Is the pair heard at all, is the password remembered, a turn at the hasher, is it heard still (others may have failed
 * meanwhile), the comparison, and the count of a failure before the turn is given on. Unknown users cost the same hash
 * and get the same answer. A failure that the store cannot count is answered by the store's error, not by "wrong". */
#include "service/identity/auth.h"
#include "base/mask.h"
#include "mail/address.h"
#include "service/core/state.h"
#include "service/identity/auth_private.h"
#include "service/identity/directory.h"
#include <sys/stat.h>

#define NAME_MOST     320
#define PASSWORD_MOST 1024

struct crypt_password_cost auth_cost(void)
{
    return (struct crypt_password_cost){ .passes = (uint64_t)PARAM_INT(auth, argon2_passes),
                                         .memory = (uint64_t)PARAM_INT(auth, argon2_memory) };
}

const struct turn_rule auth_turn_rule = { .parallel = PARAM_auth_argon2_parallel,
                                          .waiting = PARAM_auth_argon2_waiting,
                                          .gauge = METRIC_auth_waiting,
                                          .busy = "Too many logins at once" };

struct auth *auth_new(void)
{
    struct auth *a = calloc(1, sizeof *a);

    if (!a)
        die("out of memory: logins");
    a->throttle = throttle_new();
    pthread_mutex_init(&a->mutex, NULL);
    a->turns = turns_new(&auth_turn_rule);
    a->known = known_new();
    return a;
}

void auth_free(struct auth **a)
{
    struct auth *old = *a;

    if (!old)
        return;
    throttle_free(&old->throttle);
    remember_clear(old, NO_ID);
    keys_clear(old);
    seen_clear(old);
    turns_free(&old->turns);
    known_free(&old->known);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *a = NULL;
}

void auth_forget_user(struct service *svc, struct id user_id)
{
    remember_clear(svc->auth, user_id);
}

/* ---- hashing ---- */

static void work(void *arg)
{
    struct hash_job *j = arg;
    struct crypt_password_cost cost = auth_cost();

    metric_add(METRIC_auth_hashes_total, 1);
    if (j->make)
        j->ok = crypt_password_hash(j->password, &cost, j->hash, &j->err);
    else
        j->ok = crypt_password_check(j->hash, j->password);
}

bool auth_hash(struct hash_job *job, const struct hash_watch *watch)
{
    struct call *c = job->c;
    struct turns *t = c->svc->auth->turns;
    bool ok;

    if (!turn_take(t, c->client_net, job->standing, &c->err))
        return false;
    ok = (!watch || watch->before(watch->ctx)) && offload(POOL_CPU, work, job, &c->err);
    if (ok && watch)
        watch->after(watch->ctx, job);
    turn_give(t);
    return ok;
}

bool password_hash(struct call *c, struct bytes password, struct bytes *out)
{
    struct hash_job job = { .c = c, .password = password, .make = true, .standing = STANDING_KNOWN };

    if (!auth_hash(&job, NULL))
        return false;
    if (!job.ok) {
        c->err = job.err;
        return false;
    }
    *out = arena_copy(c->arena, bytes_of(job.hash));
    return true;
}

/* ---- passwords ---- */

struct login {
    struct call *c;
    struct bytes name; /* as it is kept, or at least in lower case */
    struct bytes password;
    struct user_row *user; /* id none: nobody, or nobody who may */
    bool known;            /* there is a hash to compare with */
    bool right, counted;
    enum standing standing;
    struct throttle_state state;
};

/* What is no address may be a password that was typed in the wrong place, and so may what stands behind one. */
static struct bytes shown_name(const struct login *l)
{
    struct arena *a = l->c->arena;
    struct bytes word = bytes_head(l->name, bytes_find(l->name, ' '));
    struct address ignored;
    struct err why = { 0 };

    if (address_parse(l->name, a, &ignored, &why))
        return l->name;
    return address_parse(word, a, &ignored, &why) ? arena_bytesf(a, "%.*s ***", SHOW(word)) : BYTES("(no address)");
}

/* What could not be counted is not told either. */
static bool refuse(struct login *l)
{
    struct call *c = l->c;

    if (!l->counted)
        return false;
    metric_add(METRIC_auth_failures_total, 1);
    log_warn("auth", LOG_BYTES("id", id_text(c->arena, "req", c->request)), LOG_TEXT("result", "failed"),
             LOG_BYTES("client", c->client_ip), LOG_BYTES("user", shown_name(l)), LOG_TEXT("door", c->door));
    return err_set(&c->err, ERR_AUTH, "Wrong user or password");
}

static bool heard(struct login *l, bool ask)
{
    struct call *c = l->c;

    if (!throttle_look(c, l->name, ask, &l->state))
        return false;
    if (l->state.wait == 0 && l->standing != STANDING_KNOWN && !throttle_network(c, ask, &l->state.wait))
        return false;
    if (l->state.wait == 0)
        return true;
    log_warn("auth", LOG_BYTES("id", id_text(c->arena, "req", c->request)), LOG_TEXT("result", "throttled"),
             LOG_BYTES("client", c->client_ip), LOG_BYTES("user", shown_name(l)), LOG_TEXT("door", c->door));
    return err_set(&c->err, ERR_RATE, "Too many failed logins; try again in %lld s",
                   (long long)(l->state.wait / 1000 + 1));
}

/* Asked after the wait for a hasher: whoever guesses many at once gets no more guesses than one after the other. */
static bool still_heard(void *ctx)
{
    return heard(ctx, true);
}

/* Before another has the hasher: of those who wait for it none is heard who should not be. */
static void judge(void *ctx, const struct hash_job *job)
{
    struct login *l = ctx;

    /* A longer one was compared as far as PASSWORD_MOST, at the usual cost, and is wrong whatever came of it. */
    l->right = job->ok && l->known && l->password.n <= PASSWORD_MOST;
    if (!l->right)
        l->counted = throttle_failed(l->c, l->name, id_is_none(l->user->id) ? NULL : l->user);
}

/* Have failures for this user been counted, at whichever node, that may not be known here? */
static bool is_guarded(const struct login *l)
{
    return l->user->guarded_until > store_now(l->c->store);
}

static bool find_user(struct login *l, struct bytes given)
{
    struct call *c = l->c;
    struct directory_user known;
    struct address address;
    struct err ignored = { 0 };

    l->user = arena_alloc(c->arena, sizeof *l->user);
    l->name = arena_lower(c->arena, bytes_head(given, NAME_MOST));
    if (!address_parse(given, c->arena, &address, &ignored) ||
        !address_normalize(&address, true, c->arena, &l->name, &ignored))
        return true;
    if (!directory_find(c, &address, &known) ||
        !store_get(c->store, &user_kind, known.id, c->arena, l->user, &c->err)) {
        l->user->id = NO_ID;
        if (!call_was_missing(c))
            return false;
    } else if (known.how != FOUND_EXACT || known.disabled || l->user->disabled) {
        l->user->id = NO_ID;
    }
    return true;
}

/* A hash of another cost than today's is made anew while the password is at hand. That it fails is no trouble. */
static void renew(struct login *l)
{
    struct crypt_password_cost cost = auth_cost();
    struct call *c = l->c;
    struct batch *b = batch_new(c->arena);
    struct cond same = COND("password_hash", IS, V_TEXT(l->user->password_hash));
    struct bytes hash = NO_BYTES;
    struct set set;

    if (!crypt_password_outdated(arena_text(c->arena, l->user->password_hash), &cost))
        return;
    if (password_hash(c, l->password, &hash)) {
        set = SET("password_hash", V_TEXT(hash));
        batch_update(b, &user_kind, l->user->id, &same, 1, &set, 1);
        if (store_commit(c->store, b, c->deadline, &c->err))
            l->user->password_hash = hash;
    }
    c->err = (struct err){ 0 };
}

/* The same work for whoever there is not: a hash is made instead of compared. */
static bool compare(struct login *l)
{
    struct hash_watch watch = { still_heard, judge, l };
    struct hash_job job = { .c = l->c, .password = bytes_head(l->password, PASSWORD_MOST), .standing = l->standing };
    enum remembered_as how;

    l->known = !id_is_none(l->user->id) && l->user->password_hash.p;
    job.make = !l->known;
    how = l->known ? remember_check(l->c, l->user, l->password) : REMEMBERED_NOTHING;
    if (how == REMEMBERED_OTHER)
        throttle_doubt(l->c, l->name);
    if (how == REMEMBERED_SAME && !l->state.suspect)
        return true;
    if (l->known)
        snprintf(job.hash, sizeof job.hash, "%.*s", SHOW(l->user->password_hash));
    if (!auth_hash(&job, &watch))
        return false;
    if (!l->right)
        return refuse(l);
    renew(l);
    known_note(l->c, l->name);
    remember_add(l->c, l->user, l->password);
    return true;
}

static const struct principal *principal_of(struct login *l)
{
    struct principal *p = arena_alloc(l->c->arena, sizeof *p);

    *p = (struct principal){
        .kind = WHO_USER,
        .id = l->user->id,
        .account_id = l->user->account_id,
        .scopes = SCOPE_SEND | SCOPE_MAIL_READ | SCOPE_MAIL_WRITE,
        .name = l->user->address,
        .mark = directory_password_mark(l->user->password_hash),
        .user = l->user,
    };
    return p;
}

/* curl -u KEY: and mail programs that were given the key as the user. It opens nothing, whether it is good or not. */
static bool refuse_key(struct call *c)
{
    log_warn("auth", LOG_BYTES("id", id_text(c->arena, "req", c->request)), LOG_TEXT("result", "failed"),
             LOG_BYTES("client", c->client_ip), LOG_TEXT("door", c->door), LOG_TEXT("reason", "a key as user name"));
    return err_set(&c->err, ERR_KEY_AS_NAME,
                   "A key is no user name. To submit mail the user name is apikey and the password the key; HTTP takes "
                   "it as Authorization: Bearer; POP3 takes a user's address and password");
}

bool auth_password(struct call *c, struct bytes user, struct bytes password, const struct principal **out)
{
    struct login l = { .c = c, .password = password };

    if (mask_is_key(user) || (bytes_equal_nocase(user, BYTES("apikey")) && mask_is_key(password)))
        return refuse_key(c);
    if (!find_user(&l, user))
        return false;
    l.standing = known_standing(c, l.name);
    if (!heard(&l, is_guarded(&l)) || !compare(&l))
        return false;
    if (l.state.suspect)
        throttle_passed(c, l.name);
    seen_note(c->svc, &user_kind, l.user->id);
    *out = principal_of(&l);
    return true;
}

/* ---- the other ways ---- */

bool auth_submission(struct call *c, struct bytes name, struct bytes password, const struct principal **out)
{
    if (bytes_equal_nocase(name, BYTES("apikey")))
        return auth_key(c, password, out);
    return auth_password(c, name, password, out);
}

bool auth_socket(struct call *c, unsigned uid, const struct principal **out)
{
    struct principal *p;
    struct stat st;

    if (uid != 0 && (stat(c->svc->data_dir, &st) != 0 || st.st_uid != uid))
        return err_set(&c->err, ERR_AUTH, "Only root and the owner of the data folder need no key here");
    p = arena_alloc(c->arena, sizeof *p);
    *p = (struct principal){
        .kind = WHO_SOCKET, .account_id = c->svc->operator_account, .scopes = SCOPE_ALL, .name = BYTES("socket")
    };
    *out = p;
    return true;
}

bool auth_clear_allowed(const struct call *c)
{
    struct bytes rule = PARAM_TEXT(auth, cleartext);

    if (c->client_tls || bytes_equal(rule, BYTES("always")))
        return true;
    return bytes_equal(rule, BYTES("loopback")) && (c->client_loopback || !c->client_ip.p);
}

/* Its store calls take turns with those of other accounts. The end of an id is random, its beginning a time. */
static bool work_for(struct call *c, struct id account)
{
    uint64_t owner;

    memcpy(&owner, account.b + sizeof account.b - sizeof owner, sizeof owner);
    c->account = account;
    fiber_for(owner);
    return true;
}

bool call_act_as(struct call *c, const struct principal *who, struct bytes other)
{
    struct account_row account = { 0 };
    struct id id;

    c->who = who;
    work_for(c, who->account_id);
    if (!other.p)
        return true;
    if (id_parse("acc", other, &id) && id_equal(id, c->account))
        return true;
    if (!call_may(c, SCOPE_OPERATOR))
        return false;
    if (!id_parse("acc", other, &id))
        return err_set(&c->err, ERR_MISSING, "No such account");
    if (!store_get(c->store, &account_kind, id, c->arena, &account, &c->err))
        return c->err.code == ERR_MISSING ? err_again(c, ERR_MISSING, "No such account") : false;
    return work_for(c, id);
}
