#include "pop3/session.h"

static bool capa(struct pop3 *s, struct bytes arg);
static bool noop(struct pop3 *s, struct bytes arg);
static bool utf8(struct pop3 *s, struct bytes arg);

#define ANY (IN(AUTHORIZATION) | IN(TRANSACTION))

static const struct verb verbs[] = {
    { "RETR", pop3_retr, IN(TRANSACTION), 1, 1, NULL, LINE_COMMAND },
    { "DELE", pop3_dele, IN(TRANSACTION), 1, 1, NULL, LINE_COMMAND },
    { "LIST", pop3_list, IN(TRANSACTION), 0, 1, NULL, LINE_COMMAND },
    { "UIDL", pop3_uidl, IN(TRANSACTION), 0, 1, NULL, LINE_COMMAND },
    { "TOP", pop3_top, IN(TRANSACTION), 2, 2, NULL, LINE_COMMAND },
    { "STAT", pop3_stat, IN(TRANSACTION), 0, 0, NULL, LINE_COMMAND },
    { "LAST", pop3_last, IN(TRANSACTION), 0, 0, NULL, LINE_COMMAND },
    { "RSET", pop3_rset, IN(TRANSACTION), 0, 0, NULL, LINE_COMMAND },
    { "NOOP", noop, IN(TRANSACTION), 0, 0, NULL, LINE_COMMAND },
    { "USER", pop3_user, IN(AUTHORIZATION), 1, RAW, pop3_login_offered, LINE_COMMAND },
    { "PASS", pop3_pass, IN(AUTHORIZATION), 1, RAW, pop3_login_offered, LINE_COMMAND },
    { "AUTH", pop3_auth, IN(AUTHORIZATION), 0, 2, pop3_login_offered, LINE_AUTH },
    { "STLS", pop3_stls, IN(AUTHORIZATION), 0, 0, pop3_stls_offered, LINE_COMMAND },
    { "UTF8", utf8, IN(AUTHORIZATION), 0, 0, NULL, LINE_COMMAND },
    { "CAPA", capa, ANY, 0, 0, NULL, LINE_COMMAND },
    { "QUIT", pop3_quit, ANY, 0, 0, NULL, LINE_COMMAND },
};
enum { VERBS = sizeof verbs / sizeof *verbs };

/* What CAPA lists (RFC 2449): a line stands while the command that brings it is offered. */
static const struct capability {
    const char *verb, *text;
} capabilities[] = {
    { "CAPA", "EXPIRE NEVER" },
    { "CAPA", "LOGIN-DELAY 0" },
    { "TOP", "TOP" },
    { "UIDL", "UIDL" },
    { "USER", "USER" },
    { "CAPA", "RESP-CODES" },
    { "CAPA", "AUTH-RESP-CODE" }, /* RFC 3206 */
    { "CAPA", "PIPELINING" },
    { "STLS", "STLS" },       /* RFC 2595 */
    { "AUTH", "SASL PLAIN" }, /* RFC 5034 */
    { "UTF8", "UTF8" },       /* RFC 6856 */
    { "CAPA", "IMPLEMENTATION Postrider-" POSTRIDER_VERSION },
};

const struct verb *pop3_verb_find(struct bytes name)
{
    for (size_t i = 0; i < VERBS; i++)
        if (bytes_equal_nocase(name, bytes_of(verbs[i].name)))
            return &verbs[i];
    return NULL;
}

struct bytes pop3_argument(struct bytes *rest)
{
    struct bytes word;

    while (rest->n && rest->p[0] == ' ')
        *rest = bytes_from(*rest, 1);
    word = bytes_head(*rest, bytes_find(*rest, ' '));
    *rest = bytes_from(*rest, word.n);
    return word.n ? word : NO_BYTES;
}

static bool capa(struct pop3 *s, struct bytes arg)
{
    (void)arg;
    if (!pop3_ok(s, "Capabilities follow"))
        return false;
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
        const struct verb *v = pop3_verb_find(bytes_of(capabilities[i].verb));

        if ((!v->offered || v->offered(s)) && !pop3_line_out(s, "%s", capabilities[i].text))
            return false;
    }
    return pop3_line_out(s, ".");
}

static bool noop(struct pop3 *s, struct bytes arg)
{
    (void)arg;
    return pop3_ok(s, "Nothing done");
}

static bool utf8(struct pop3 *s, struct bytes arg)
{
    (void)arg;
    s->utf8 = true;
    return pop3_ok(s, "UTF-8 headers are shown");
}
