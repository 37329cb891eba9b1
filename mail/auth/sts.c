/* mail/auth/sts.c - the two texts of RFC 8461 by their grammar, to the letter: a policy that is read wrongly would stop
 * mail, so what is not right is none. Of a field that is there twice the first counts (3.2), but for mx. */
#include "mail/auth/sts.h"
#include "mail/chars.h"

enum { NAME_MAX = 32, ID_MAX = 32, AGE_DIGITS = 10 };

static const char *const modes[] = { "none", "testing", "enforce" };

const char *sts_mode_name(enum sts_mode mode)
{
    return modes[mode];
}

static struct bytes trim_blanks(struct bytes b)
{
    while (b.n && (b.p[0] == ' ' || b.p[0] == '\t'))
        b = bytes_from(b, 1);
    while (b.n && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t'))
        b.n--;
    return b;
}

/* (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".") */
static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!char_is_alnum(name.p[i]) && (i == 0 || !char_in(name.p[i], BYTES("_-."))))
            return false;
    return name.n && name.n <= NAME_MAX;
}

static bool is_id(struct bytes id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!char_is_alnum(id.p[i]))
            return false;
    return id.n && id.n <= ID_MAX;
}

/* Of the record: no blank, "=" or ";"; of the policy blanks may stand within, and what UTF-8 has. */
static bool is_value(struct bytes value, bool policy)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        bool plain = c > 0x20 && c < 0x7F && (policy || (c != '=' && c != ';'));

        if (!plain && !(policy && (c == ' ' || char_is_8bit(c))))
            return false;
    }
    return value.n > 0 && (!policy || bytes_is_utf8(value));
}

/* Names may be any, but "id" is an id. */
static bool read_field(struct bytes field, struct bytes *id, struct err *e)
{
    struct bytes name, value;

    if (!bytes_cut(field, '=', &name, &value) || !is_name(name))
        return err_set(e, ERR_SYNTAX, "\"%.*s\" is no field", SHOW(bytes_head(field, 60)));
    if (bytes_equal(name, BYTES("id"))) {
        if (!is_id(value))
            return err_set(e, ERR_SYNTAX, "The id has 1 to %d letters and digits", ID_MAX);
        if (!id->p)
            *id = value;
        return true;
    }
    return is_value(value, false) || err_set(e, ERR_SYNTAX, "The value of %.*s is none", SHOW(name));
}

bool sts_record_read(struct bytes text, struct bytes *id, struct err *e)
{
    struct bytes field, rest = trim_blanks(text);

    *id = NO_BYTES;
    bytes_cut(rest, ';', &field, &rest);
    if (!bytes_equal(trim_blanks(field), BYTES("v=STSv1")))
        return err_set(e, ERR_SYNTAX, "It does not begin with v=STSv1");
    while (rest.n) {
        bytes_cut(rest, ';', &field, &rest);
        field = trim_blanks(field);
        if (!field.n && !rest.p)
            break; /* one ";" at the end */
        if (!read_field(field, id, e))
            return false;
    }
    return id->p || err_set(e, ERR_SYNTAX, "It has no id");
}

/* ---- the policy ---- */

static bool is_host(struct bytes name)
{
    struct bytes label, rest = name;

    if (!name.n || name.n > 253)
        return false;
    while (rest.p) {
        bytes_cut(rest, '.', &label, &rest);
        if (!label.n || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!char_is_alnum(label.p[i]) && label.p[i] != '-')
                return false;
    }
    return true;
}

static bool read_mx(struct bytes value, struct arena *a, struct sts_policy *out, struct err *e)
{
    struct bytes host = bytes_starts(value, BYTES("*.")) ? bytes_from(value, 2) : value;

    if (!is_host(host))
        return err_set(e, ERR_SYNTAX, "\"%.*s\" is no host, nor \"*.\" and one", SHOW(bytes_head(value, 100)));
    if (out->n == STS_MX_MAX)
        return err_set(e, ERR_SYNTAX, "It has more than %d mx", STS_MX_MAX);
    out->mx[out->n++] = arena_lower(a, value);
    return true;
}

static bool read_mode(struct bytes value, struct sts_policy *out, struct err *e)
{
    for (int i = 0; i < 3; i++)
        if (bytes_equal(value, bytes_of(modes[i]))) {
            out->mode = (enum sts_mode)i;
            return true;
        }
    return err_set(e, ERR_SYNTAX, "The mode is none, testing or enforce");
}

static bool read_age(struct bytes value, struct sts_policy *out, struct err *e)
{
    if (!value.n || value.n > AGE_DIGITS || !char_is_digit(value.p[0]) || !bytes_to_int(value, &out->max_age))
        return err_set(e, ERR_SYNTAX, "max_age has 1 to %d digits", AGE_DIGITS);
    out->max_age = out->max_age < STS_AGE_MAX ? out->max_age : STS_AGE_MAX;
    return true;
}

enum { HAS_VERSION = 1, HAS_MODE = 2, HAS_AGE = 4 };

/* A field whose first counts: true when it is new. */
static bool first(unsigned *has, unsigned which)
{
    bool is_new = !(*has & which);

    *has |= which;
    return is_new;
}

static bool read_line(struct bytes line, struct arena *a, unsigned *has, struct sts_policy *out, struct err *e)
{
    struct bytes name, value;

    if (!bytes_cut(line, ':', &name, &value) || !is_name(trim_blanks(name)))
        return err_set(e, ERR_SYNTAX, "\"%.*s\" is no field", SHOW(bytes_head(line, 60)));
    name = trim_blanks(name);
    value = trim_blanks(value);
    if (bytes_equal(name, BYTES("mx")))
        return read_mx(value, a, out, e);
    if (bytes_equal(name, BYTES("version")))
        return !first(has, HAS_VERSION) || bytes_equal(value, BYTES("STSv1")) ||
               err_set(e, ERR_SYNTAX, "The version is not STSv1");
    if (bytes_equal(name, BYTES("mode")))
        return !first(has, HAS_MODE) || read_mode(value, out, e);
    if (bytes_equal(name, BYTES("max_age")))
        return !first(has, HAS_AGE) || read_age(value, out, e);
    return is_value(value, true) || err_set(e, ERR_SYNTAX, "The value of %.*s is none", SHOW(name));
}

static bool is_whole(unsigned has, const struct sts_policy *p, struct err *e)
{
    const char *missing = !(has & HAS_VERSION)           ? "version"
                          : !(has & HAS_MODE)            ? "mode"
                          : !(has & HAS_AGE)             ? "max_age"
                          : p->mode != STS_NONE && !p->n ? "mx"
                                                         : NULL;

    return !missing || err_set(e, ERR_SYNTAX, "It has no %s", missing);
}

bool sts_policy_read(struct bytes text, struct arena *a, struct sts_policy *out, struct err *e)
{
    struct bytes line, rest = text;
    unsigned has = 0;

    *out = (struct sts_policy){ .mx = arena_array(a, STS_MX_MAX, sizeof *out->mx) };
    if (text.n > STS_POLICY_MAX)
        return err_set(e, ERR_SYNTAX, "It is larger than %zu bytes", STS_POLICY_MAX);
    while (rest.n) {
        bytes_cut(rest, '\n', &line, &rest);
        if (bytes_ends(line, BYTES("\r")))
            line.n--;
        if (!line.n && !bytes_trim(rest).n)
            break;
        if (!read_line(line, a, &has, out, e))
            return false;
    }
    return is_whole(has, out, e);
}

bool sts_policy_lets(const struct sts_policy *p, struct bytes host)
{
    struct bytes name = bytes_ends(host, BYTES(".")) ? bytes_head(host, host.n - 1) : host;
    size_t dot = bytes_find(name, '.');

    for (size_t i = 0; i < p->n; i++) {
        struct bytes mx = p->mx[i];

        if (bytes_starts(mx, BYTES("*.")) ? dot > 0 && bytes_equal_nocase(bytes_from(mx, 1), bytes_from(name, dot))
                                          : bytes_equal_nocase(mx, name))
            return true;
    }
    return false;
}
