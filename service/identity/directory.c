/* service/identity/directory.c - a cache in front of the rows that every RCPT asks for.
 *
 * A question notes the generation before the store is asked: what was read before a change is never taken for fresh
 * after it. What is not there is remembered like what is, since strangers ask for names that do not exist; errors are
 * not. All reads of one question are one job on a store thread, and who asks the same meanwhile waits for its answer.
 * Shards, so that loops do not wait for one mutex. */
#include "service/identity/directory.h"
#include "net/wait.h"
#include "service/core/state.h"
#include "service/identity/domain_records.h"
#define uthash_fatal(message) die("out of memory: the directory")
#include <uthash.h>

#define FRESH_MS  1000
#define SHARDS    16
#define NAME_MOST 330 /* an address and the mark before it */
#define TEXTS     10

/* What is remembered of a name, or that there is nothing. The name begins with what it is of: 'd' a domain, 'a' an
 * address (whose user.id and user.how count), 'u' the 16 bytes of a user's id. Texts lie in `memory`. */
struct known {
    UT_hash_handle hh;
    uint64_t generation;
    int64_t until;
    bool found;
    struct bytes name;
    struct directory_domain domain;
    struct directory_user user;
    struct bytes forward; /* of an address; user.account_id and domain_id are its own then */
    char *memory;
};

/* A name that somebody asks the store for; lies on the stack of whoever does. */
struct asked {
    struct asked *next;
    struct bytes name;
};

struct shard {
    pthread_mutex_t mutex;
    struct known *all; /* in the order in which they came */
    struct asked *asked;
    struct signal *answered;
};

struct directory {
    atomic_uint_fast64_t generation;
    struct shard shards[SHARDS];
};

struct directory *directory_new(void)
{
    struct directory *d = calloc(1, sizeof *d);

    if (!d)
        die("out of memory: the directory");
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&d->shards[i].mutex, NULL);
    for (size_t i = 0; i < SHARDS; i++)
        d->shards[i].answered = signal_new();
    return d;
}

static void forget(struct shard *s, struct known *k)
{
    HASH_DEL(s->all, k);
    free(k->memory);
    free(k);
}

void directory_free(struct directory **d)
{
    if (!*d)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct known *k, *next;

        HASH_ITER (hh, (*d)->shards[i].all, k, next)
            forget(&(*d)->shards[i], k);
        pthread_mutex_destroy(&(*d)->shards[i].mutex);
        signal_free(&(*d)->shards[i].answered);
    }
    free(*d);
    *d = NULL;
}

void directory_changed(struct service *svc)
{
    atomic_fetch_add(&svc->directory->generation, 1);
}

/* ---- memory ---- */

static struct shard *shard_of(struct directory *d, struct bytes name)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)name.p[i]) * 16777619u;
    return &d->shards[h % SHARDS];
}

/* The texts of what is known, in one order for copying in and out. */
static void texts_of(struct known *k, struct bytes *texts[TEXTS])
{
    struct bytes *all[TEXTS] = { &k->name,         &k->domain.name,    &k->domain.catch_all,
                                 &k->user.address, &k->user.user_key,  &k->user.user_key_wrap,
                                 &k->user.send_as, &k->user.index_key, &k->user.index_key_wrap,
                                 &k->forward };

    memcpy(texts, all, sizeof all);
}

static void keep_texts(struct known *k)
{
    struct bytes *texts[TEXTS];

    texts_of(k, texts);
    k->memory = bytes_gather(texts, TEXTS);
}

static struct known *look(struct shard *s, struct bytes name)
{
    struct known *k;

    HASH_FIND(hh, s->all, name.p, name.n, k);
    return k;
}

/* *out is a copy whose texts lie in the arena; false when nothing fresh is known. */
static bool recall(struct directory *d, struct bytes name, struct arena *a, struct known *out)
{
    struct shard *s = shard_of(d, name);
    struct bytes *texts[TEXTS];
    struct known *k;
    bool fresh;

    pthread_mutex_lock(&s->mutex);
    k = look(s, name);
    fresh = k && k->generation == atomic_load(&d->generation) && k->until > clock_monotonic();
    if (fresh) {
        *out = *k;
        texts_of(out, texts);
        for (size_t i = 0; i < TEXTS; i++)
            *texts[i] = arena_copy(a, *texts[i]);
    }
    pthread_mutex_unlock(&s->mutex);
    return fresh;
}

static void remember(struct directory *d, const struct known *found)
{
    size_t most = (size_t)PARAM_INT(directory, cache_entries) / SHARDS;
    struct shard *s = shard_of(d, found->name);
    struct known *k = malloc(sizeof *k), *old;

    if (!k)
        die("out of memory: the directory");
    *k = *found;
    k->until = clock_monotonic() + FRESH_MS;
    keep_texts(k);
    pthread_mutex_lock(&s->mutex);
    old = look(s, k->name);
    if (old)
        forget(s, old);
    while (s->all && HASH_COUNT(s->all) >= most)
        forget(s, s->all); /* the oldest */
    HASH_ADD_KEYPTR(hh, s->all, k->name.p, k->name.n, k);
    pthread_mutex_unlock(&s->mutex);
}

void directory_add_used(struct service *svc, struct id user_id, int64_t n)
{
    char name[1 + sizeof user_id.b] = { 'u' };
    struct bytes key = { name, sizeof name };
    struct shard *s = shard_of(svc->directory, key);
    struct known *k;

    memcpy(name + 1, user_id.b, sizeof user_id.b);
    s = shard_of(svc->directory, key);
    pthread_mutex_lock(&s->mutex);
    k = look(s, key);
    if (k)
        k->user.used += n;
    pthread_mutex_unlock(&s->mutex);
}

/* ---- the store ---- */

/* One question: read by a store thread in one trip. `read` fills `known` and sets found; false is an error. */
struct question {
    struct call *c;
    struct known known;
    bool (*read)(struct question *q, struct err *e);
    const struct address *address; /* of find */
    bool ok;
    struct err err;
};

static void ask_store(void *arg)
{
    struct question *q = arg;

    q->ok = q->read(q, &q->err);
}

/* ---- one question at a time for each name ---- */

static struct asked **asked_find(struct shard *s, struct bytes name)
{
    struct asked **at = &s->asked;

    while (*at && !bytes_equal((*at)->name, name))
        at = &(*at)->next;
    return at;
}

/* False when somebody asks for it already. */
static bool asked_begin(struct shard *s, struct asked *mine)
{
    bool alone;

    pthread_mutex_lock(&s->mutex);
    alone = !*asked_find(s, mine->name);
    if (alone) {
        mine->next = s->asked;
        s->asked = mine;
    }
    pthread_mutex_unlock(&s->mutex);
    return alone;
}

static void asked_end(struct shard *s, const struct asked *mine)
{
    struct asked **at;

    pthread_mutex_lock(&s->mutex);
    for (at = &s->asked; *at && *at != mine; at = &(*at)->next)
        ;
    if (*at)
        *at = mine->next;
    pthread_mutex_unlock(&s->mutex);
    signal_raise(s->answered);
}

static void asked_wait(struct shard *s, struct bytes name, int64_t deadline)
{
    for (;;) {
        uint64_t seen = signal_count(s->answered);
        bool goes_on;

        pthread_mutex_lock(&s->mutex);
        goes_on = *asked_find(s, name) != NULL;
        pthread_mutex_unlock(&s->mutex);
        if (!goes_on || !signal_wait(s->answered, seen, deadline))
            return;
    }
}

static bool ask_now(struct question *q)
{
    struct call *c = q->c;
    struct directory *d = c->svc->directory;

    /* Before the read: a change that comes meanwhile makes the answer stale at once. */
    q->known.generation = atomic_load(&d->generation);
    if (!offload(POOL_STORE, ask_store, q, &c->err))
        return false;
    if (!q->ok) {
        c->err = q->err;
        return false;
    }
    remember(d, &q->known);
    return true;
}

/* From memory or the store; ERR_MISSING is remembered too. */
static bool ask(struct question *q, const char *what)
{
    struct call *c = q->c;
    struct directory *d = c->svc->directory;
    struct bytes name = q->known.name;

    if (!recall(d, name, c->arena, &q->known)) {
        struct shard *s = shard_of(d, name);
        struct asked mine = { .name = name };
        bool alone = asked_begin(s, &mine), ok = true;

        if (!alone) /* whose answer may be too old, or none: then it is asked for here, too */
            asked_wait(s, name, c->deadline);
        if (alone || !recall(d, name, c->arena, &q->known))
            ok = ask_now(q);
        if (alone)
            asked_end(s, &mine);
        if (!ok)
            return false;
    }
    return q->known.found || err_set(&c->err, ERR_MISSING, "No such %s here", what);
}

static struct bytes mark(struct arena *a, char kind, struct bytes name)
{
    char *text = arena_alloc(a, name.n + 1);

    text[0] = kind;
    memcpy(text + 1, name.p, name.n);
    return (struct bytes){ text, name.n + 1 };
}

/* Turns ERR_MISSING into found false. */
static bool read_by(struct question *q, const struct kind *k, const char *index, struct bytes name, void *row,
                    bool *found, struct err *e)
{
    struct value v = V_TEXT(name);
    struct err why = { 0 };

    *found = store_get_by(q->c->store, k, index, &v, 1, q->c->arena, row, &why);
    if (!*found && why.code != ERR_MISSING)
        *e = why;
    return *found || why.code == ERR_MISSING;
}

/* ---- domains ---- */

static bool read_domain(struct question *q, struct err *e)
{
    struct domain_row row = { 0 };

    if (!read_by(q, &domain_kind, "name", bytes_from(q->known.name, 1), &row, &q->known.found, e))
        return false;
    q->known.domain = (struct directory_domain){
        .id = row.id,
        .account_id = row.account_id,
        .name = row.name,
        .catch_all = row.catch_all,
        .inbound = bytes_equal(row.inbound, BYTES("mailboxes")),
        .verified = domain_is_trusted(&row),
        .return_path = row.return_path,
    };
    return true;
}

bool directory_domain(struct call *c, struct bytes name, struct directory_domain *out)
{
    struct question q = { .c = c, .read = read_domain };
    struct bytes plain;

    if (!domain_normalize(name, c->arena, &plain, &c->err))
        return false;
    q.known.name = mark(c->arena, 'd', bytes_head(plain, NAME_MOST));
    if (!ask(&q, "domain"))
        return false;
    *out = q.known.domain;
    return true;
}

/* ---- users ---- */

static bool role_id(struct question *q, struct id user_id, struct bytes role, struct id *out, struct err *e)
{
    struct value v[] = { V_ID(user_id), V_TEXT(role) };
    struct mailbox_row row = { 0 };
    struct err why = { 0 };

    if (store_get_by(q->c->store, &mailbox_kind, "role", v, 2, q->c->arena, &row, &why))
        *out = row.id;
    else if (why.code != ERR_MISSING)
        return *e = why, false;
    return true;
}

bool directory_email(struct call *c, struct bytes text, struct bytes *out)
{
    struct directory_domain domain;
    struct address address;
    struct err ignored = { 0 };
    bool ours;

    *out = text;
    if (!address_parse(text, c->arena, &address, &ignored))
        return true;
    ours = directory_domain(c, address.domain, &domain); /* whose mailboxes are case-blind */
    if (!ours && !call_was_missing(c))
        return false;
    if (!address_normalize(&address, ours, c->arena, out, &ignored))
        *out = text;
    return true;
}

uint64_t directory_password_mark(struct bytes password_hash)
{
    uint8_t hash[CRYPT_HASH];
    uint64_t mark = 0;

    if (!password_hash.p)
        return 0;
    crypt_hash(password_hash, hash);
    memcpy(&mark, hash, sizeof mark);
    return mark;
}

static void fill_user(struct directory_user *u, const struct user_row *row)
{
    *u = (struct directory_user){
        .id = row->id,
        .account_id = row->account_id,
        .domain_id = row->domain_id,
        .address = row->address,
        .quota = row->quota,
        .used = row->used,
        .disabled = row->disabled,
        .password = directory_password_mark(row->password_hash),
        .save_sent = row->save_sent,
        .user_key = row->user_key,
        .user_key_wrap = row->user_key_wrap,
        .send_as = row->send_as,
        .index_key = row->index_key,
        .index_key_wrap = row->index_key_wrap,
    };
}

/* Not its metadata, which nobody here asks for and which may be large. */
static bool read_row(struct question *q, struct id id, void **rows, struct err *e)
{
    static const char *const only[] = {
        "id",        "account_id", "domain_id",     "address", "password_hash", "quota",          "used", "disabled",
        "save_sent", "user_key",   "user_key_wrap", "send_as", "index_key",     "index_key_wrap", NULL
    };
    struct query one = { .kind = &user_kind, .n_conds = 1, .limit = 1, .only = only };
    size_t n = 0;
    bool ok;

    one.conds[0] = COND("id", IS, V_ID(id));
    ok = store_find(q->c->store, &one, q->c->arena, rows, &n, e);
    q->known.found = ok && n > 0;
    return ok;
}

static bool read_user(struct question *q, struct err *e)
{
    struct directory_user *u = &q->known.user;
    const struct user_row *row;
    void *rows;
    struct account_row account = { 0 };
    struct id id;
    struct store *st = q->c->store;
    bool open;

    memcpy(id.b, q->known.name.p + 1, sizeof id.b);
    if (!read_row(q, id, &rows, e))
        return false;
    if (!q->known.found)
        return true;
    row = rows;
    fill_user(u, row);
    if (!store_look(st, &account_kind, row->account_id, q->c->arena, &account, &open, e))
        return false;
    u->disabled = u->disabled || !open || account.disabled;
    return role_id(q, id, BYTES("inbox"), &u->inbox_id, e) && role_id(q, id, BYTES("sent"), &u->sent_id, e);
}

bool directory_user(struct call *c, struct id user_id, struct directory_user *out)
{
    struct question q = { .c = c, .read = read_user };

    q.known.name = mark(c->arena, 'u', (struct bytes){ (char *)user_id.b, sizeof user_id.b });
    if (!ask(&q, "user"))
        return false;
    *out = q.known.user;
    return true;
}

/* ---- addresses ---- */

static bool try_address(struct question *q, struct bytes address, enum directory_how how, struct err *e)
{
    struct address_row row = { 0 };

    if (!read_by(q, &address_kind, "address", address, &row, &q->known.found, e))
        return false;
    q->known.user.id = row.user_id;
    q->known.user.account_id = row.account_id;
    q->known.user.domain_id = row.domain_id;
    q->known.user.how = how;
    q->known.forward = row.forward;
    return true;
}

static bool try_catch_all(struct question *q, struct bytes domain, struct err *e)
{
    struct domain_row row = { 0 };
    bool ours;

    if (!read_by(q, &domain_kind, "name", domain, &row, &ours, e))
        return false;
    return !ours || !row.catch_all.p || try_address(q, row.catch_all, FOUND_CATCH_ALL, e);
}

static bool read_address(struct question *q, struct err *e)
{
    struct bytes whole = bytes_from(q->known.name, 1), bare = address_untagged(q->address->local);
    struct bytes domain = bytes_from(whole, bytes_find_last(whole, '@') + 1);

    if (!try_address(q, whole, FOUND_EXACT, e))
        return false;
    if (!q->known.found && bare.n) {
        struct address untagged = { .local = bare, .domain = domain };
        struct bytes name;

        if (!address_normalize(&untagged, true, q->c->arena, &name, e) || !try_address(q, name, FOUND_TAG, e))
            return false;
    }
    return q->known.found || try_catch_all(q, domain, e);
}

static bool ask_address(struct question *q, struct call *c, const struct address *address)
{
    struct bytes plain;

    *q = (struct question){ .c = c, .read = read_address, .address = address };
    if (!address_normalize(address, true, c->arena, &plain, &c->err))
        return false;
    if (plain.n > NAME_MOST)
        return err_set(&c->err, ERR_MISSING, "No such address here");
    q->known.name = mark(c->arena, 'a', plain);
    return ask(q, "address");
}

bool directory_find(struct call *c, const struct address *address, struct directory_user *out)
{
    struct question q;

    if (!ask_address(&q, c, address) || !directory_user(c, q.known.user.id, out))
        return false;
    out->how = q.known.user.how;
    out->forwards = q.known.forward.p != NULL;
    return true;
}

bool directory_forward(struct call *c, const struct address *address, struct directory_forward *out)
{
    struct question q;

    if (!ask_address(&q, c, address))
        return false;
    if (!q.known.forward.p)
        return err_set(&c->err, ERR_MISSING, "Nothing is sent on from this address");
    *out =
        (struct directory_forward){ q.known.user.account_id, q.known.user.domain_id, q.known.user.id, q.known.forward };
    return true;
}
