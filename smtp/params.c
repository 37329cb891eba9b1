/* smtp/params.c - the parameters as a table, each with its reader.
 *
 * What is xtext or a number here is written into reports later, so it is judged now: no control character may hide in
 * it. A parameter that was not announced, or stands twice, is refused, since nobody knows which one was meant. */
#include "smtp/params.h"
#include "base/json.h"
#include "base/params.h"

enum { ENVID_MAX = 100, ORCPT_MAX = 500, DSN_JSON_MAX = 4096 }; /* RFC 3461 5.4 */

/* RFC 3461 section 4: printable ASCII but '+' and '=', and "+XX". What it stands for is written into mail later, so no
 * control character may hide in it; 8 bits are for ORCPT's utf-8 form only. */
static bool xtext_read(struct bytes in, bool utf8, struct arena *a, struct bytes *out)
{
    static const char digits[] = "0123456789ABCDEF";
    char *p = arena_alloc(a, in.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];

        if (c == '+') {
            const char *high = i + 2 < in.n ? strchr(digits, in.p[i + 1]) : NULL;
            const char *low = high ? strchr(digits, in.p[i + 2]) : NULL;

            if (!low || !*high || !*low)
                return false;
            c = (unsigned char)((high - digits) << 4 | (low - digits));
            i += 2;
        } else if (c == '=') {
            return false;
        }
        if (c < ' ' || c == 127 || (c > 127 && !utf8))
            return false;
        p[n++] = (char)c;
    }
    *out = (struct bytes){ p, n };
    return bytes_is_utf8(*out);
}

struct reading {
    struct arena *a;
    bool auth, utf8;
    struct mail_params *mail;
    struct rcpt_params *rcpt;
};

static bool size_read(struct reading *r, struct bytes value, struct err *e)
{
    struct bytes digits = value;

    while (digits.n > 1 && digits.p[0] == '0')
        digits = bytes_from(digits, 1);
    if (!value.n || value.n > 20 || value.p[0] < '0' || value.p[0] > '9')
        return err_set(e, ERR_SYNTAX, "SIZE is a number of octets");
    if (digits.n < 19 && !bytes_to_int(digits, &r->mail->size))
        return err_set(e, ERR_SYNTAX, "SIZE is a number of octets");
    if (digits.n >= 19 || r->mail->size > PARAM_INT(message, size_max))
        return err_set(e, ERR_TOO_LARGE, "The largest mail taken has %lld octets",
                       (long long)PARAM_INT(message, size_max));
    return true;
}

static bool body_read(struct reading *r, struct bytes value, struct err *e)
{
    (void)r;
    if (bytes_equal_nocase(value, BYTES("7BIT")) || bytes_equal_nocase(value, BYTES("8BITMIME")))
        return true;
    return err_set(e, ERR_SYNTAX, "BODY is 7BIT or 8BITMIME");
}

static bool utf8_read(struct reading *r, struct bytes value, struct err *e)
{
    if (value.p)
        return err_set(e, ERR_SYNTAX, "SMTPUTF8 has no value");
    r->mail->utf8 = true;
    return true;
}

static bool ret_read(struct reading *r, struct bytes value, struct err *e)
{
    if (bytes_equal_nocase(value, BYTES("FULL")))
        r->mail->ret = BYTES("FULL");
    else if (bytes_equal_nocase(value, BYTES("HDRS")))
        r->mail->ret = BYTES("HDRS");
    else
        return err_set(e, ERR_SYNTAX, "RET is FULL or HDRS");
    return true;
}

static bool envid_read(struct reading *r, struct bytes value, struct err *e)
{
    if (!value.n || value.n > ENVID_MAX || !xtext_read(value, false, r->a, &r->mail->envid))
        return err_set(e, ERR_SYNTAX, "ENVID is xtext of at most %d characters", ENVID_MAX);
    return true;
}

/* Whom an earlier server heard is told here. Nobody is trusted with it, so it is checked and forgotten, as if it said
 * <> (RFC 4954 section 5). */
static bool auth_read(struct reading *r, struct bytes value, struct err *e)
{
    struct bytes who;

    if (!r->auth)
        return err_set(e, ERR_METHOD, "AUTH is not offered here");
    if (!value.n || (!bytes_equal(value, BYTES("<>")) && !xtext_read(value, true, r->a, &who)))
        return err_set(e, ERR_SYNTAX, "AUTH is an address in xtext, or <>");
    return true;
}

static bool notify_read(struct reading *r, struct bytes value, struct err *e)
{
    static const char *const words[] = { "SUCCESS", "FAILURE", "DELAY" };
    unsigned seen = 0;
    struct bytes word, rest = value;

    if (bytes_equal_nocase(value, BYTES("NEVER"))) {
        r->rcpt->notify = BYTES("NEVER");
        return true;
    }
    while (rest.p) {
        unsigned bit = 0;

        (void)bytes_cut(rest, ',', &word, &rest);
        for (unsigned i = 0; i < 3; i++)
            if (bytes_equal_nocase(word, bytes_of(words[i])))
                bit = 1u << i;
        if (!bit || (seen & bit))
            return err_set(e, ERR_SYNTAX, "NOTIFY is NEVER, or a list of SUCCESS, FAILURE, DELAY");
        seen |= bit;
    }
    if (!seen)
        return err_set(e, ERR_SYNTAX, "NOTIFY needs a value");
    r->rcpt->notify =
        arena_bytesf(r->a, "%s%s%s%s%s", seen & 1 ? words[0] : "", seen & 1 && seen > 1 ? "," : "",
                     seen & 2 ? words[1] : "", (seen & 4) && (seen & 2) ? "," : "", seen & 4 ? words[2] : "");
    return true;
}

static bool orcpt_read(struct reading *r, struct bytes value, struct err *e)
{
    struct bytes type, text, address;

    if (value.n > ORCPT_MAX || !bytes_cut(value, ';', &type, &text) || !type.n || !text.n)
        return err_set(e, ERR_SYNTAX, "ORCPT is type;address of at most %d characters", ORCPT_MAX);
    for (size_t i = 0; i < type.n; i++)
        if (type.p[i] <= ' ' || (unsigned char)type.p[i] >= 127)
            return err_set(e, ERR_SYNTAX, "The type in ORCPT is no atom");
    /* RFC 6533 section 3 has the type utf-8 for it; Postfix sends UTF-8 under rfc822 too. */
    if (!xtext_read(text, r->utf8, r->a, &address))
        return err_set(e, ERR_SYNTAX, "The address in ORCPT is not xtext");
    r->rcpt->orcpt = arena_bytesf(r->a, "%.*s;%.*s", SHOW(type), SHOW(address));
    return true;
}

struct parameter {
    const char *name;
    bool (*read)(struct reading *r, struct bytes value, struct err *e);
};
static const struct parameter of_mail[] = { { "SIZE", size_read }, { "BODY", body_read },   { "SMTPUTF8", utf8_read },
                                            { "RET", ret_read },   { "ENVID", envid_read }, { "AUTH", auth_read } };
static const struct parameter of_rcpt[] = { { "NOTIFY", notify_read }, { "ORCPT", orcpt_read } };

static bool one_read(struct reading *r, struct bytes word, unsigned *seen, struct err *e)
{
    const struct parameter *table = r->mail ? of_mail : of_rcpt;
    size_t n = r->mail ? sizeof of_mail / sizeof *of_mail : sizeof of_rcpt / sizeof *of_rcpt;
    struct bytes name, value;

    (void)bytes_cut(word, '=', &name, &value);
    for (size_t i = 0; i < n; i++) {
        if (!bytes_equal_nocase(name, bytes_of(table[i].name)))
            continue;
        if (*seen & (1u << i))
            return err_set(e, ERR_SYNTAX, "%s is given twice", table[i].name);
        *seen |= 1u << i;
        return table[i].read(r, value, e);
    }
    return err_set(e, ERR_METHOD, "Parameter %.*s is not known", SHOW(bytes_head(name, 40)));
}

static bool all_read(struct reading *r, struct bytes text, struct err *e)
{
    struct bytes word, rest = text;
    unsigned seen = 0;

    while (rest.p) {
        (void)bytes_cut(rest, ' ', &word, &rest);
        if (word.n && !one_read(r, word, &seen, e))
            return false;
    }
    return true;
}

bool mail_params_read(struct bytes text, bool auth, struct arena *a, struct mail_params *out, struct err *e)
{
    struct reading r = { .a = a, .auth = auth, .mail = out };

    *out = (struct mail_params){ .ret = NO_BYTES };
    return all_read(&r, text, e);
}

bool rcpt_params_read(struct bytes text, bool utf8, struct arena *a, struct rcpt_params *out, struct err *e)
{
    struct reading r = { .a = a, .utf8 = utf8, .rcpt = out };

    *out = (struct rcpt_params){ .notify = NO_BYTES };
    return all_read(&r, text, e);
}

struct bytes rcpt_params_json(const struct rcpt_params *p, struct arena *a)
{
    struct buf text;
    struct bytes kept;
    struct jw w;

    if (!p->notify.p && !p->orcpt.p)
        return NO_BYTES;
    buf_init(&text, DSN_JSON_MAX);
    jw_init(&w, &text);
    jw_object(&w);
    jw_key_text(&w, "notify", p->notify);
    jw_key_text(&w, "orcpt", p->orcpt);
    jw_object_end(&w);
    kept = arena_copy(a, buf_bytes(&text));
    buf_clear(&text);
    return kept;
}
