/* tests/dialogue.h - runs dialogue files (tests/smtp, tests/pop3) over memory streams against a real service with a
 * folder and a store of its own (tests/store/place.h).
 *
 *     A title: what is shown.
 *     # a comment                         empty lines and these are skipped
 *     set: smtp.errors_max 3              a parameter, for this dialogue
 *     door: submission bare               which door; bare: the dialogue says EHLO (or logs in) itself
 *     mail: Subject: hi\r\n\r\nHello\r\n  POP3: waits in ana's INBOX
 *     utf8mail: Subject: hé\r\n\r\n        the same, and came with SMTPUTF8
 *     C: NOOP                             a line of the client, CRLF is added
 *     X: a\nb                             bytes with escapes (\r \n \0 \\ \xHH), nothing is added; "X*1000: ab" repeats
 *     S: 250 2.0.0 *                      the next line of the server; * stands for anything
 *     S: ~                                any lines, up to one that the next S: matches
 *     end                                 the server has hung up: what the client says later is not answered
 * The server's lines must come in this order and no others. Every file runs whole and byte by byte.
 *
 * The service: domain example.org (verified) with ana and bo, password "correct horse"; full@example.org has no room.
 */
#ifndef TESTS_DIALOGUE_H
#define TESTS_DIALOGUE_H
#include "base/crypt.h"
#include "base/log.h"
#include "base/params.h"
#include "service/box/user_whole.h"
#include "service/core/member.h"
#include "service/identity/auth.h"
#include "service/identity/domain.h"
#include "service/service.h"
#include "tests/base/check.h"
#include "tests/store/place.h"
#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD BYTES("correct horse")

/* ---- the service ---- */

struct office {
    char folder[64], url[PLACE_URL];
    struct service *svc;
    struct arena *arena;
    struct call call;
};

static inline void must(struct office *o, bool done, const char *what)
{
    if (!done)
        fail_msg("%s: %s %s (%s)", what, err_row(o->call.err.code)->name, o->call.err.message, o->call.err.where);
}

static inline void user_add(struct office *o, const char *address, int64_t quota)
{
    struct user_create_in in = { .change = { .row = { .address = bytes_of(address) },
                                             .password = PASSWORD,
                                             .named = members_named(&user_members, "password") } };
    struct user_row row;

    if (quota) {
        in.change.named |= members_named(&user_members, "quota");
        in.change.row.quota = quota;
    }
    call_renew(&o->call);
    must(o, user_create(&o->call, &in, &row), address);
}

static inline void office_fill(struct office *o)
{
    struct domain_create_in domain = { .given = { .name = BYTES("example.org") } };
    struct domain_verify_in verify = { .id = BYTES("example.org"), .force = true };
    const struct principal *who = NULL;
    struct domain_view out;

    must(o, auth_socket(&o->call, getuid(), &who) && call_act_as(&o->call, who, NO_BYTES), "login");
    must(o, domain_create(&o->call, &domain, &out), "domain");
    must(o, domain_verify(&o->call, &verify, &out), "verify");
    user_add(o, "ana@example.org", 0);
    user_add(o, "bo@example.org", 0);
    user_add(o, "full@example.org", 1);
}

static inline void office_open(struct office *o)
{
    struct service_options options = { .data_dir = o->folder, .store_url = o->url };

    memset(o, 0, sizeof *o);
    snprintf(o->folder, sizeof o->folder, "/tmp/postrider-test-XXXXXX");
    assert_non_null(mkdtemp(o->folder));
    place_make(o->url, o->folder, "postrider");
    o->arena = arena_new(16 << 20);
    must(o, service_open(&options, &o->svc, &o->call.err), "service");
    call_init(&o->call, o->svc, o->arena, "test");
    o->call.deadline = INT64_MAX;
    o->call.client_loopback = true;
    office_fill(o);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)type;
    (void)f;
    return remove(path);
}

static inline void office_close(struct office *o)
{
    service_close(&o->svc);
    arena_free(&o->arena);
    place_drop(o->url);
    nftw(o->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the file ---- */

struct dialogue {
    struct buf text, in, want; /* want: the S: lines */
    struct buf mails;          /* escaped, one a line, behind '8' (came with SMTPUTF8) or ' ' */
    struct bytes title, door;
    bool bare;
};

static inline int hex_digit(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0';
}

static inline void unescape(struct bytes in, struct buf *out)
{
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];

        if (c == '\\' && i + 1 < in.n) {
            c = in.p[++i];
            if (c == 'x' && i + 2 < in.n) {
                c = (char)(hex_digit(in.p[i + 1]) << 4 | hex_digit(in.p[i + 2]));
                i += 2;
            } else {
                c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
            }
        }
        buf_addc(out, c);
    }
}

static inline void dialogue_set(struct bytes rest)
{
    struct bytes name, value;
    enum param p;
    struct err e = { 0 };

    (void)bytes_cut(rest, ' ', &name, &value);
    if (!param_find(name, &p) || !param_set(p, PARAM_FROM_FLAG, value, &e))
        fail_msg("set: %.*s %s", SHOW(rest), e.message);
}

static inline void dialogue_bytes(struct dialogue *d, struct bytes head, struct bytes rest)
{
    int64_t times = 1;

    if (head.n > 1)
        assert_true(bytes_to_int(bytes_from(head, 2), &times));
    while (times-- > 0)
        unescape(rest, &d->in);
}

static inline void dialogue_line(struct dialogue *d, struct bytes line)
{
    struct bytes head, rest;

    if (!line.n || line.p[0] == '#' || bytes_equal(line, BYTES("end")))
        return;
    if (!d->title.p) {
        d->title = line;
        return;
    }
    if (!bytes_cut(line, ':', &head, &rest))
        fail_msg("what is \"%.*s\"?", SHOW(line));
    if (rest.n && rest.p[0] == ' ')
        rest = bytes_from(rest, 1);
    if (bytes_equal(head, BYTES("C"))) {
        buf_add(&d->in, rest);
        buf_adds(&d->in, "\r\n");
    } else if (head.p[0] == 'X') {
        dialogue_bytes(d, head, rest);
    } else if (bytes_equal(head, BYTES("S"))) {
        buf_add(&d->want, rest);
        buf_addc(&d->want, '\n');
    } else if (bytes_equal(head, BYTES("door"))) {
        d->door = bytes_head(rest, bytes_find(rest, ' '));
        d->bare = bytes_ends(rest, BYTES(" bare"));
    } else if (bytes_equal(head, BYTES("mail")) || bytes_equal(head, BYTES("utf8mail"))) {
        buf_addc(&d->mails, head.p[0] == 'u' ? '8' : ' ');
        buf_add(&d->mails, rest);
        buf_addc(&d->mails, '\n');
    } else if (bytes_equal(head, BYTES("set"))) {
        dialogue_set(rest);
    } else {
        fail_msg("what is \"%.*s\"?", SHOW(line));
    }
}

static inline void dialogue_read(struct dialogue *d, const char *path)
{
    struct bytes line, rest;

    memset(d, 0, sizeof *d);
    buf_init(&d->in, 64 << 20);
    buf_init(&d->want, 1 << 20);
    buf_init(&d->mails, 1 << 20);
    if (!read_whole(path, &d->text))
        fail_msg("%s: cannot be read", path);
    rest = buf_bytes(&d->text);
    while (rest.n) {
        (void)bytes_cut(rest, '\n', &line, &rest);
        dialogue_line(d, line);
    }
}

static inline void dialogue_clear(struct dialogue *d)
{
    buf_clear(&d->text);
    buf_clear(&d->in);
    buf_clear(&d->want);
    buf_clear(&d->mails);
}

/* ---- comparing ---- */

static inline bool matches(struct bytes pattern, struct bytes text)
{
    size_t star = bytes_find(pattern, '*');

    if (star == pattern.n)
        return bytes_equal(pattern, text);
    if (!bytes_starts(text, bytes_head(pattern, star)))
        return false;
    pattern = bytes_from(pattern, star + 1);
    for (size_t i = star; i <= text.n; i++)
        if (matches(pattern, bytes_from(text, i)))
            return true;
    return false;
}

static inline bool differs(const char *path, const char *what, struct bytes got, struct bytes want)
{
    print_error("%s: %s \"%.*s\", want \"%.*s\"\n", path, what, SHOW(bytes_head(got, 200)), SHOW(want));
    return false;
}

static inline bool compare(const char *path, struct bytes want, struct bytes got)
{
    struct bytes pattern, line;
    bool skipping = false;

    while (want.n) {
        (void)bytes_cut(want, '\n', &pattern, &want);
        if (bytes_equal(pattern, BYTES("~"))) {
            skipping = true;
            continue;
        }
        do
            (void)bytes_cut(got, '\n', &line, &got);
        while (skipping && got.n && !matches(pattern, bytes_head(line, line.n - 1)));
        skipping = false;
        if (!bytes_ends(line, BYTES("\r")))
            return differs(path, "no CRLF in", line, pattern);
        line.n--;
        if (!matches(pattern, line))
            return differs(path, "got", line, pattern);
    }
    return !got.n || differs(path, "got", got, BYTES("nothing more"));
}

/* ---- running all of a folder ---- */

struct dialogue_program {
    const char *folder; /* "tests/smtp" */
    /* Puts what every session begins with into *in and *want, then runs the session. */
    void (*run)(struct office *o, const struct dialogue *d, size_t step, struct buf *out);
    const char *(*preface)(const struct dialogue *d, struct buf *in); /* the S: lines it brings, '\n' behind each */
};

static inline bool dialogue_play(const struct dialogue_program *p, const char *path, size_t step)
{
    struct dialogue d;
    struct office o;
    struct buf in, want, out;
    bool same;

    params_init();
    dialogue_set(BYTES("auth.argon2_memory 64K")); /* what a password costs is not asked here */
    dialogue_read(&d, path);
    office_open(&o);
    buf_init(&in, 64 << 20);
    buf_init(&want, 1 << 20);
    buf_init(&out, 16 << 20);
    buf_adds(&want, p->preface(&d, &in));
    buf_add(&in, buf_bytes(&d.in));
    buf_add(&want, buf_bytes(&d.want));
    buf_reset(&d.in);
    buf_add(&d.in, buf_bytes(&in));
    p->run(&o, &d, step, &out);
    same = compare(path, buf_bytes(&want), buf_bytes(&out));
    buf_clear(&in);
    buf_clear(&want);
    buf_clear(&out);
    dialogue_clear(&d);
    office_close(&o);
    return same;
}

static inline int by_name(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    return n > 4 && !strcmp(e->d_name + n - 4, ".txt");
}

/* Every .txt of the folder, or those named in POSTRIDER_DIALOGUES (a part of the name). */
static inline void dialogues_play(void **state)
{
    const struct dialogue_program *p = *state;
    const char *only = getenv("POSTRIDER_DIALOGUES");
    struct dirent **all = NULL;
    int wrong = 0, n = scandir(p->folder, &all, by_name, alphasort);

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char path[512];

        snprintf(path, sizeof path, "%s/%s", p->folder, all[i]->d_name);
        free(all[i]);
        if (only && !strstr(path, only))
            continue;
        wrong += !dialogue_play(p, path, 0);
        wrong += !dialogue_play(p, path, 1);
    }
    free(all);
    assert_int_equal(wrong, 0);
}

/* The whole of a test program's main. */
static inline int dialogues_main(struct dialogue_program p)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_prestate(dialogues_play, &p) };

    crypt_init();
    log_set(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
