/* mail/template/template_date.c - {{date t "format" "zone"}}: a time as people write it.
 *
 * Times come as RFC 3339, as a date alone, without a zone (UTC then), or as seconds or milliseconds since 1970. Formats
 * are those of Moment.js that SendGrid knows (MMMM DD, YYYY h:mm:ss A), with [text] as it stands. Zones are offsets
 * (-0800, +02:00, UTC) or names, which whoever renders knows. Names of days are English, by the proleptic Gregorian
 * calendar. */
#include "base/clock.h"
#include "mail/chars.h"
#include "mail/template/template_private.h"

enum { HOUR = 3600, FORMAT_MAX = 256 };

static const char *const months[] = { "January", "February", "March",     "April",   "May",      "June",
                                      "July",    "August",   "September", "October", "November", "December" };
static const char *const days[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };

struct moment {
    int64_t wall; /* milliseconds since 1970 */
    int offset;   /* of the zone, in seconds */
    struct civil at;
};

/* "2026-11-28", with a time behind T or a blank, seconds and zone as one likes. */
static bool text_time(struct bytes text, int64_t *wall)
{
    char full[CLOCK_TEXT + 8];
    struct bytes zone;

    text = bytes_trim(text);
    if (text.n < 10 || text.n > CLOCK_TEXT)
        return false;
    if (clock_parse_rfc3339(text, wall))
        return true;
    zone = text.n > 16 && text.p[16] != ':' ? bytes_from(text, 16) : BYTES("Z");
    if (text.n == 10)
        snprintf(full, sizeof full, "%.*sT00:00:00Z", SHOW(text));
    else if (text.n == 16 || zone.p[0] != 'Z' || zone.n == 1)
        snprintf(full, sizeof full, "%.*sT%.*s%s%.*s", SHOW(bytes_head(text, 10)),
                 SHOW(bytes_head(bytes_from(text, 11), text.n > 16 && text.p[16] == ':' ? text.n - 11 : 5)),
                 text.n > 16 && text.p[16] == ':' ? "" : ":00", SHOW(zone));
    else
        return false;
    return clock_parse_rfc3339(bytes_of(full), wall);
}

static bool time_of(const struct datum *d, int64_t *wall)
{
    if (d->kind == DATUM_TEXT)
        return text_time(d->text, wall);
    if (d->kind != DATUM_NUMBER || !(d->number > -6.2e13 && d->number < 2.5e14))
        return false;
    *wall = (int64_t)(d->number < 1e11 && d->number > -1e11 ? d->number * 1000 : d->number);
    return true;
}

/* "+02:00", "-0800", "UTC", "Z". */
static bool offset_of(struct bytes text, int *offset)
{
    char digits[5] = { 0 };
    size_t n = 0;
    int64_t hhmm = 0;

    *offset = 0;
    if (bytes_equal_nocase(text, BYTES("UTC")) || bytes_equal_nocase(text, BYTES("GMT")) ||
        bytes_equal(text, BYTES("Z")))
        return true;
    if (text.n < 5 || text.n > 6 || (text.p[0] != '+' && text.p[0] != '-'))
        return false;
    for (size_t i = 1; i < text.n && n < 4; i++)
        if (char_is_digit(text.p[i]))
            digits[n++] = text.p[i];
        else if (i != 3 || text.p[i] != ':')
            return false;
    if (n != 4 || !bytes_to_int(bytes_of(digits), &hhmm) || hhmm > 1400 || hhmm % 100 > 59)
        return false;
    *offset = (int)(hhmm / 100 * HOUR + hhmm % 100 * 60) * (text.p[0] == '-' ? -1 : 1);
    return true;
}

/* False with no fault: there is no such zone. */
static bool zone_of(struct helping *h, struct bytes text, struct moment *m)
{
    enum template_zone (*ask)(struct bytes, int64_t, int *) = h->r->job->zone;
    enum template_zone found;

    if (offset_of(text, &m->offset))
        return true;
    found = ask ? ask(text, m->wall, &m->offset) : TEMPLATE_ZONE_NONE;
    if (found == TEMPLATE_ZONE_LATER)
        return render_failed(h->r, h->call->at, "the time zone was not read yet");
    return found == TEMPLATE_ZONE_FOUND;
}

static const char *ordinal(int n)
{
    if (n % 100 >= 11 && n % 100 <= 13)
        return "th";
    return n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : n % 10 == 3 ? "rd" : "th";
}

static void put_zone(const struct moment *m, const char *between, struct buf *out)
{
    int minutes = (m->offset < 0 ? -m->offset : m->offset) / 60;

    buf_addf(out, "%c%02d%s%02d", m->offset < 0 ? '-' : '+', minutes / 60, between, minutes % 60);
}

/* Numbers: the sign, how often it stands there, and the value. */
static bool put_number(const struct moment *m, struct bytes token, struct buf *out)
{
    int hour12 = m->at.hour % 12 ? m->at.hour % 12 : 12;
    const struct {
        char sign;
        int value;
    } rows[] = { { 'M', m->at.month }, { 'D', m->at.day },    { 'H', m->at.hour },
                 { 'h', hour12 },      { 'm', m->at.minute }, { 's', m->at.second } };

    for (size_t i = 0; token.n <= 2 && token.p[0] == token.p[token.n - 1] && i < sizeof rows / sizeof *rows; i++) {
        if (token.p[0] != rows[i].sign)
            continue;
        buf_addf(out, "%0*d", (int)token.n, rows[i].value);
        return true;
    }
    return false;
}

static void put_token(const struct moment *m, struct bytes token, struct buf *out)
{
    if (put_number(m, token, out))
        return;
    if (bytes_equal(token, BYTES("YYYY")))
        buf_addf(out, "%04lld", (long long)m->at.year);
    else if (bytes_equal(token, BYTES("YY")))
        buf_addf(out, "%02d", (int)((m->at.year % 100 + 100) % 100));
    else if (bytes_equal(token, BYTES("MMMM")) || bytes_equal(token, BYTES("MMM")))
        buf_add(out, bytes_head(bytes_of(months[m->at.month - 1]), token.n == 4 ? 16 : 3));
    else if (bytes_equal(token, BYTES("dddd")) || bytes_equal(token, BYTES("ddd")))
        buf_add(out, bytes_head(bytes_of(days[m->at.weekday]), token.n == 4 ? 16 : 3));
    else if (bytes_equal(token, BYTES("Do")))
        buf_addf(out, "%d%s", m->at.day, ordinal(m->at.day));
    else if (bytes_equal(token, BYTES("A")) || bytes_equal(token, BYTES("a")))
        buf_adds(out, token.p[0] == 'A' ? (m->at.hour < 12 ? "AM" : "PM") : (m->at.hour < 12 ? "am" : "pm"));
    else if (bytes_equal(token, BYTES("SSS")))
        buf_addf(out, "%03d", m->at.ms);
    else if (bytes_equal(token, BYTES("ZZ")) || bytes_equal(token, BYTES("Z")))
        put_zone(m, token.n == 1 ? ":" : "", out);
    else if (bytes_equal(token, BYTES("X")))
        buf_addf(out, "%lld", (long long)(m->wall / 1000));
    else
        buf_add(out, token);
}

static size_t token_length(struct bytes rest)
{
    size_t n = 1;

    if (bytes_starts(rest, BYTES("Do")))
        return 2;
    while (n < rest.n && rest.p[n] == rest.p[0] && char_is_letter(rest.p[0]))
        n++;
    return n;
}

static void put_format(const struct moment *m, struct bytes format, struct buf *out)
{
    while (format.n) {
        size_t close = format.p[0] == '[' ? bytes_find(format, ']') : format.n, n = token_length(format);

        if (close < format.n) {
            buf_add(out, (struct bytes){ format.p + 1, close - 1 });
            n = close + 1;
        } else {
            put_token(m, bytes_head(format, n), out);
        }
        format = bytes_from(format, n);
    }
}

void help_date(struct helping *h, struct datum *out)
{
    struct bytes format = h->n > 1 ? helper_print(h, &h->args[1]) : BYTES("YYYY-MM-DD");
    struct moment m = { 0 };
    struct buf made;

    if (format.n > FORMAT_MAX || !time_of(&h->args[0], &m.wall) ||
        (h->n > 2 && !zone_of(h, helper_print(h, &h->args[2]), &m))) {
        helper_odd(h, out);
        return;
    }
    m.at = clock_civil(m.wall + (int64_t)m.offset * 1000);
    buf_init(&made, 8 * FORMAT_MAX);
    put_format(&m, format, &made);
    helper_text(h, &made, out);
    buf_clear(&made);
}
