/* mail/date.c - the date of a mail as programs write it: RFC 5322 with its obsolete forms (4.3), asctime's, and near
 * misses.
 *
 * Lenient, because the result is only shown and sorted by; 0 when nothing can be made of it, or when it names a moment
 * that never was. strptime is not used: it follows the locale and knows no zones. */
#include "mail/chars.h"
#include "mail/header.h"

enum { TEXT_MAX = 128 };

/* The value without comments and folding, cut: a date is short. */
struct text {
    char p[TEXT_MAX];
    size_t n;
};

static void clean(struct bytes value, struct text *out)
{
    size_t depth = 0;

    for (size_t i = 0; i < value.n && out->n < TEXT_MAX; i++) {
        char c = value.p[i];

        if (c == '(')
            depth++;
        else if (c == ')')
            depth -= depth > 0;
        else if (depth == 0)
            out->p[out->n++] = char_is_blank(c) || c == ',' ? ' ' : c;
    }
}

static void skip(struct bytes *in, struct bytes set)
{
    while (in->n && char_in(in->p[0], set))
        *in = bytes_from(*in, 1);
}

static bool number(struct bytes *in, size_t digits, int *out, size_t *used)
{
    size_t n = 0;

    *out = 0;
    while (n < in->n && n < digits && char_is_digit(in->p[n]))
        *out = *out * 10 + (in->p[n++] - '0');
    *in = bytes_from(*in, n);
    if (used)
        *used = n;
    return n > 0;
}

static struct bytes word(struct bytes *in)
{
    size_t n = 0;
    struct bytes out;

    while (n < in->n && char_is_letter(in->p[n]))
        n++;
    out = bytes_head(*in, n);
    *in = bytes_from(*in, n);
    return out;
}

static int month_of(struct bytes name)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int m = 0; name.n >= 3 && m < 12; m++)
        if (bytes_equal_nocase(bytes_head(name, 3), (struct bytes){ months + 3 * m, 3 }))
            return m + 1;
    return 0;
}

struct moment {
    int year, month, day, hour, minute, second, zone; /* zone in minutes east */
};

static bool read_year(struct bytes *in, int *year)
{
    size_t digits = 0;

    if (!number(in, 4, year, &digits) || digits < 2 || (in->n && char_is_digit(in->p[0])))
        return false;
    if (digits == 2) /* RFC 5322 4.3 */
        *year += *year < 50 ? 2000 : 1900;
    else if (digits == 3)
        *year += 1900;
    return *year >= 1900; /* RFC 5322 3.3 */
}

/* "1 Jul 2003", "01-Jul-03"; asctime's "Jul  1 10:52:37 2003" has the year behind the time. */
static bool read_day(struct bytes *in, struct moment *m, bool *year_last)
{
    struct bytes blank = BYTES(" -.");
    struct bytes name;

    skip(in, blank);
    name = word(in);
    m->month = month_of(name);
    *year_last = m->month > 0 && name.n > 0;
    if (!*year_last) { /* it was the day's name, or nothing */
        skip(in, blank);
        name = in->n && char_is_letter(in->p[0]) ? word(in) : NO_BYTES;
        m->month = month_of(name);
        *year_last = m->month > 0;
    }
    skip(in, blank);
    if (!number(in, 2, &m->day, NULL))
        return false;
    skip(in, blank);
    if (*year_last)
        return true;
    m->month = month_of(word(in));
    skip(in, blank);
    return m->month && read_year(in, &m->year);
}

static bool read_time(struct bytes *in, struct moment *m)
{
    struct bytes blank = BYTES(" "), colon = BYTES(" :.");

    skip(in, blank);
    if (!number(in, 2, &m->hour, NULL))
        return false;
    skip(in, colon);
    if (!number(in, 2, &m->minute, NULL))
        return false;
    skip(in, blank);
    if (in->n && (in->p[0] == ':' || in->p[0] == '.')) {
        skip(in, colon);
        if (!number(in, 2, &m->second, NULL))
            return false;
    }
    return true;
}

static int zone_of(struct bytes name)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 },
                  { "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 } };

    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
        if (bytes_equal_nocase(name, bytes_of(zones[i].name)))
            return zones[i].hours * 60;
    return 0; /* UT, GMT, and the military letters, which were defined the wrong way round (RFC 5322 4.3) */
}

/* "+0100", and "+01:00" or "+01" of those who know another standard. A name may stand before or instead. */
static bool read_zone(struct bytes *in, struct moment *m)
{
    int sign = 0, digits = 0, minutes = 0;
    size_t used = 0, more = 0;
    bool colon;

    skip(in, BYTES(" "));
    m->zone = zone_of(word(in));
    skip(in, BYTES(" "));
    if (in->n == 0 || (in->p[0] != '+' && in->p[0] != '-'))
        return true;
    sign = in->p[0] == '-' ? -1 : 1;
    *in = bytes_from(*in, 1);
    if (!number(in, 2, &digits, &used))
        return false;
    colon = in->n && in->p[0] == ':';
    skip(in, BYTES(":"));
    number(in, 2, &minutes, &more);
    m->zone = sign * (digits * 60 + minutes);
    return (more == 2 || (more == 0 && !colon)) && minutes < 60 && !(in->n && char_is_digit(in->p[0]));
}

static bool leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool valid(const struct moment *m)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int most = days[m->month - 1] + (m->month == 2 && leap(m->year));

    return m->day >= 1 && m->day <= most && m->hour < 24 && m->minute < 60 && m->second <= 60;
}

/* Days since 1970 of the proleptic Gregorian calendar. */
static int64_t days_of(const struct moment *m)
{
    int64_t y = m->month > 2 ? m->year : m->year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (m->month + (m->month > 2 ? -3 : 9)) + 2) / 5 + m->day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t header_date(struct bytes value)
{
    struct text text = { .n = 0 };
    struct moment m = { 0 };
    struct bytes in;
    bool year_last = false;
    size_t semicolon = 0;

    semicolon = bytes_find_last(value, ';'); /* in Received the date stands behind one */
    clean(semicolon < value.n ? bytes_from(value, semicolon + 1) : value, &text);
    in = (struct bytes){ text.p, text.n };
    if (!read_day(&in, &m, &year_last) || !read_time(&in, &m))
        return 0;
    if (year_last) {
        skip(&in, BYTES(" "));
        if (in.n && char_is_letter(in.p[0]) && !read_zone(&in, &m))
            return 0;
        skip(&in, BYTES(" "));
        if (!read_year(&in, &m.year))
            return 0;
    }
    if (!read_zone(&in, &m) || !valid(&m))
        return 0;
    return ((days_of(&m) * 24 + m.hour) * 60 + m.minute - m.zone) * 60000 + m.second * 1000;
}
