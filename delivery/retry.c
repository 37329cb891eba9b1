/* delivery/retry.c - when next: the steps, what a reply asks for, and the spread. The spread comes of a hash of message
 * and site, not of chance: what failed together does not come back together, and a test or another node reckons the
 * same. What a peer writes is only believed within bounds, and only where its number is a time. */
#include "delivery/retry.h"
#include "delivery/hash.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

enum { SPREAD = 20, GREYLIST_SPREAD = 10, HINT_REACH = 80 };

bool retry_rules_read(struct bytes list, struct retry_rules *out, struct err *e)
{
    if (!pauses_read("delivery.retry", "10s", list, &out->steps, e))
        return false;
    out->hint_max = 3 * HOUR;
    out->greylist = 5 * MINUTE;
    out->ambiguous = 10 * MINUTE;
    return true;
}

uint64_t retry_hash(struct id message, struct bytes site)
{
    return hash_text(hash_text(0, (struct bytes){ (const char *)message.b, sizeof message.b }), site);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static size_t find_nocase(struct bytes text, struct bytes word)
{
    for (size_t i = 0; i + word.n <= text.n; i++)
        if (bytes_equal_nocase(bytes_head(bytes_from(text, i), word.n), word))
            return i;
    return text.n;
}

/* Digits at the start, at most six of them; *n of what is too long is -1. */
static size_t read_number(struct bytes text, int64_t *n)
{
    size_t i = 0;

    *n = 0;
    for (; i < text.n && is_digit(text.p[i]); i++)
        *n = i < 6 ? *n * 10 + (text.p[i] - '0') : -1;
    return i;
}

/* "s", "sec", "seconds", "min", "h" ...: what a word that says so begins with and is no longer than. */
static int64_t unit_of(struct bytes word)
{
    static const struct {
        struct bytes whole;
        int64_t ms;
    } units[] = { { BYTES_ROW("seconds"), SECOND }, { BYTES_ROW("secs"), SECOND }, { BYTES_ROW("minutes"), MINUTE },
                  { BYTES_ROW("mins"), MINUTE },    { BYTES_ROW("hours"), HOUR },  { BYTES_ROW("hrs"), HOUR } };

    for (size_t i = 0; word.n && i < sizeof units / sizeof *units; i++)
        if (bytes_starts_nocase(units[i].whole, word))
            return units[i].ms;
    return 0;
}

static struct bytes word_at(struct bytes text)
{
    size_t n = 0;

    while (n < text.n && lower(text.p[n]) >= 'a' && lower(text.p[n]) <= 'z')
        n++;
    return bytes_head(text, n);
}

/* "00:04:59" */
static size_t read_clock(struct bytes text, int64_t *ms)
{
    int64_t part = 0;
    size_t at = 0;

    *ms = 0;
    for (int i = 0; i < 3; i++) {
        size_t n = read_number(bytes_from(text, at), &part);

        if (n != 2 || part > 59 || (i < 2 && (at + 2 >= text.n || text.p[at + 2] != ':')))
            return 0;
        *ms = *ms * 60 + part * SECOND;
        at += i < 2 ? 3 : 2;
    }
    return at;
}

/* "5 min", "300s": one number and its unit; what it says is added. Its length, 0: it is none. */
static size_t read_span(struct bytes text, int64_t *ms)
{
    int64_t n = 0, unit = 0;
    size_t digits = read_number(text, &n), at = digits;
    struct bytes word;

    while (at < text.n && (text.p[at] == ' ' || text.p[at] == '-'))
        at++;
    word = word_at(bytes_from(text, at));
    unit = unit_of(word);
    if (!digits || n < 0 || !unit)
        return 0;
    *ms += n * unit;
    return at + word.n;
}

/* The first time that is named, with what is joined to it ("5m30s", "1 hour and 30 minutes"). */
static int64_t first_time(struct bytes text)
{
    int64_t ms = 0;

    for (size_t i = 0; i < text.n; i++) {
        struct bytes rest = bytes_from(text, i);
        size_t n = 0;

        if (!is_digit(*rest.p))
            continue;
        if (read_clock(rest, &ms))
            return ms;
        ms = 0;
        while ((n = read_span(rest, &ms)) > 0) {
            rest = bytes_from(rest, n);
            rest = bytes_trim(rest);
            if (bytes_starts_nocase(rest, BYTES("and ")))
                rest = bytes_from(rest, 4);
        }
        if (ms)
            return ms;
        i += read_number(bytes_from(text, i), &ms) - 1;
        ms = 0;
    }
    return 0;
}

int64_t retry_hint(struct bytes text)
{
    static const struct bytes words[] = { BYTES_ROW("try again"), BYTES_ROW("retry"),    BYTES_ROW("come back"),
                                          BYTES_ROW("wait"),      BYTES_ROW("resubmit"), BYTES_ROW("greylist"),
                                          BYTES_ROW("graylist") };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t at = find_nocase(text, words[i]);
        int64_t ms = at < text.n ? first_time(bytes_head(bytes_from(text, at), HINT_REACH)) : 0;

        if (ms)
            return ms;
    }
    return 0;
}

int64_t retry_at(const struct retry_rules *rules, const struct retry_in *in)
{
    uint64_t h = hash_mix(in->hash, (uint64_t)in->n);
    int64_t wait = in->greylist ? hash_spread(rules->greylist, GREYLIST_SPREAD, h)
                                : hash_spread(pauses_nth(&rules->steps, in->n), SPREAD, h);
    int64_t hint = retry_hint(in->text), at = 0;

    if (hint > rules->hint_max)
        hint = rules->hint_max;
    if (wait < hint)
        wait = hint + (int64_t)(h % (uint64_t)(hint / 20 + 1)); /* later, and not all at once */
    if (in->ambiguous && wait < rules->ambiguous)
        wait = rules->ambiguous;
    at = in->now + wait;
    return in->expires_at && at > in->expires_at ? in->expires_at : at;
}
