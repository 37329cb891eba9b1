/* Opening: the data folder, the server key, the node, the first account. */
#include "house.h"
#include "service/core/secrets.h"
#include <sys/file.h>

static char *slurp(struct house *h, const char *name)
{
    FILE *f = fopen(arena_printf(h->arena, "%s/%s", h->dir, name), "r");
    char *text = arena_alloc(h->arena, 4097);

    assert_non_null(f);
    assert_true(fread(text, 1, 4096, f) > 0);
    fclose(f);
    return text;
}

static mode_t mode_of(struct house *h, const char *name)
{
    struct stat st;

    assert_int_equal(stat(arena_printf(h->arena, "%s/%s", h->dir, name), &st), 0);
    return st.st_mode & 0777;
}

static void refused(struct house *h, const char *says)
{
    struct err e = { 0 };

    assert_false(house_try_open(h, &e));
    assert_int_equal(e.code, ERR_INVALID);
    if (!strstr(e.message, says))
        fail_msg("\"%s\" does not say \"%s\"", e.message, says);
}

static void first_start_makes_the_operator_and_its_key(void **state)
{
    struct house *h = *state;
    const struct principal *who;
    struct bytes key = bytes_trim(B(slurp(h, "admin.key")));

    assert_true(bytes_starts(key, BYTES("pr_live_")));
    assert_true(key.n >= 40);
    must(h, auth_key(as(h, NULL), key, &who));
    assert_int_equal(who->scopes, SCOPE_ALL);
    assert_true(id_equal(who->account_id, h->svc->operator_account));
    assert_int_equal(mode_of(h, "admin.key"), 0600);
    assert_int_equal(mode_of(h, "server.key"), 0600);
    assert_int_equal(mode_of(h, "node.id"), 0600);
}

static void later_starts_change_nothing(void **state)
{
    struct house *h = *state;
    const char *admin = slurp(h, "admin.key"), *server = slurp(h, "server.key");
    struct id node = h->svc->node, operator= h->svc->operator_account;
    uint8_t wrap = h->svc->wrap_key.b[0];

    service_close(&h->svc);
    house_open(h);
    assert_string_equal(slurp(h, "admin.key"), admin);
    assert_string_equal(slurp(h, "server.key"), server);
    assert_true(id_equal(h->svc->node, node));
    assert_true(id_equal(h->svc->operator_account, operator));
    assert_int_equal(h->svc->wrap_key.b[0], wrap);
}

static void a_missing_key_is_never_made_anew(void **state)
{
    struct house *h = *state;

    service_close(&h->svc);
    assert_int_equal(unlink(arena_printf(h->arena, "%s/server.key", h->dir)), 0);
    refused(h, "put the file back");
    assert_int_equal(access(arena_printf(h->arena, "%s/server.key", h->dir), F_OK), -1);
}

static void another_key_is_refused(void **state)
{
    struct house *h = *state, other = { 0 };
    struct err e = { 0 };

    service_close(&h->svc);
    other = *h;
    place_make(other.url, h->dir, "other");
    assert_int_equal(
        rename(arena_printf(h->arena, "%s/server.key", h->dir), arena_printf(h->arena, "%s/first.key", h->dir)), 0);
    assert_true(house_try_open(&other, &e)); /* a new store makes a new key */
    service_close(&other.svc);
    place_drop(other.url);
    refused(h, "put the right file");
    assert_int_equal(
        rename(arena_printf(h->arena, "%s/first.key", h->dir), arena_printf(h->arena, "%s/server.key", h->dir)), 0);
    house_open(h);
}

static void a_damaged_key_is_refused(void **state)
{
    struct house *h = *state;
    char *text = slurp(h, "server.key");
    FILE *f;

    service_close(&h->svc);
    text[strlen(text) - 3] ^= 1;
    f = fopen(arena_printf(h->arena, "%s/server.key", h->dir), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    refused(h, "damaged");
}

static void files_that_others_can_read_are_refused(void **state)
{
    struct house *h = *state;
    char *key = arena_printf(h->arena, "%s/server.key", h->dir);

    service_close(&h->svc);
    assert_int_equal(chmod(key, 0640), 0);
    refused(h, "chmod 600");
    assert_int_equal(chmod(key, 0600), 0);
    assert_int_equal(chmod(h->dir, 0755), 0);
    refused(h, "chmod 700");
    assert_int_equal(chmod(h->dir, 0700), 0);
    house_open(h);
}

static void the_fingerprint_is_no_setting(void **state)
{
    struct house *h = *state;
    struct setting_get_in in = { .name = BYTES("server.key_fingerprint") };
    struct setting_view out;

    wont(h, setting_get(as(h, &h->operator), &in, &out), ERR_MISSING);
}

static void users_keys_open_under_the_server_key_alone(void **state)
{
    struct house *h = *state;
    struct bytes wrapped, wrap;
    struct crypt_key key;
    struct err e = { 0 };
    struct id id = id_new();

    user_key_make(h->svc, id, h->arena, &wrapped, &wrap);
    assert_true(user_key_open(h->svc, id, wrapped, wrap, &key, &e));
    assert_false(user_key_open(h->svc, id_new(), wrapped, wrap, &key, &e)); /* bound to its user */
    assert_int_equal(e.code, ERR_SEALED);
    assert_false(user_key_open(h->svc, id, wrapped, BYTES("00000000"), &key, &e));
}

/* The row remembers where the folder lay; the lock there tells whether that server lives. */
static void a_copy_of_a_running_folder_is_refused(void **state)
{
    struct house *h = *state, copy = *h;
    char *lock = arena_printf(h->arena, "%s/lock", h->dir);
    int fd, status;

    memcpy(copy.dir + strlen(copy.dir), "-copy", sizeof "-copy");
    place_copied(copy.url, h->url, copy.dir);
    service_close(&h->svc);
    status = system(arena_printf(h->arena, "cp -a %s %s", h->dir, copy.dir));
    assert_int_equal(status, 0);
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    refused(&copy, "is a copy of");
    close(fd); /* stopped: now it is a folder that was moved */
    copy.svc = NULL;
    house_open(&copy);
    service_close(&copy.svc);
    nftw(copy.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void readiness_follows_the_store(void **state)
{
    struct house *h = *state;
    struct err e = { 0 };

    assert_true(service_ready(h->svc, &e));
    assert_true(service_accepts(h->svc, &e));
    assert_false(service_is_live(h->svc));
}

static void background_starts_and_ends(void **state)
{
    struct house *h = *state;
    struct net_options o = { .loops = 1, .store_workers = 2, .cpu_workers = 1, .fibers_max = 100 };
    struct node_row row;
    struct err e = { 0 };

    assert_true(net_start(&o, &e));
    assert_true(service_start(h->svc, &e));
    service_stop(h->svc);
    net_stop();
    must(h, store_get(h->svc->store, &node_kind, h->svc->node, h->arena, &row, &h->c.err));
    assert_true(row.draining);
    assert_true(row.seen_at > 0);
    same(row.version, POSTRIDER_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_start_makes_the_operator_and_its_key),
        TEST(later_starts_change_nothing),
        TEST(a_missing_key_is_never_made_anew),
        TEST(another_key_is_refused),
        TEST(a_damaged_key_is_refused),
        TEST(files_that_others_can_read_are_refused),
        TEST(the_fingerprint_is_no_setting),
        TEST(users_keys_open_under_the_server_key_alone),
        TEST(a_copy_of_a_running_folder_is_refused),
        TEST(readiness_follows_the_store),
        TEST(background_starts_and_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
