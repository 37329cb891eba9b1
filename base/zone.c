/* base/zone.c - see zone.h. A file holds two forms of the same, of which the second has 64-bit times (RFC 9636 3.1),
 * and behind it a line that says by which rule it goes on (3.3). Every number of it is checked: the database is the
 * system's, but a file may be half a one. */
#include "base/zone.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/params.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { HEADER = 44, FILE_MOST = 64 * 1024, NAME_MOST = 64, ZONES_MOST = 2048, YEAR_DAYS = 365 };
#define DAY  INT64_C(86400)
#define HOUR INT64_C(3600)

/* One of the two days of the year on which the clocks change; `at`: seconds after its midnight, local. */
struct turn {
    char form; /* M: day `day` of week `week` of `month`; J: the day of the year from 1, without 29 February; 0: from 0
                */
    int month, week, day;
    int64_t at;
};

struct rule {
    bool there, changes;
    int standard, summer; /* seconds ahead of UTC */
    struct turn from, until;
};

struct zone {
    struct zone *next;
    char name[NAME_MOST + 1];
    size_t n;        /* changes */
    int64_t *at;     /* seconds since 1970 */
    int32_t *offset; /* from then on */
    int32_t before;
    struct rule rule; /* from the last one on */
};

/* ---- the file ---- */

static int64_t number(const char *p, size_t bytes)
{
    uint64_t n = (unsigned char)*p & 0x80 ? UINT64_MAX : 0;

    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | (unsigned char)p[i];
    return (int64_t)n;
}

struct counts {
    size_t isut, isstd, leap, time, type, chars;
};

static bool header_read(struct bytes file, struct counts *c, size_t width, size_t *size)
{
    size_t *all[] = { &c->isut, &c->isstd, &c->leap, &c->time, &c->type, &c->chars };

    if (file.n < HEADER || !bytes_starts(file, BYTES("TZif")))
        return false;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i] = (size_t)number(file.p + 20 + 4 * i, 4) & UINT32_MAX;
        if (*all[i] > FILE_MOST)
            return false;
    }
    *size = HEADER + c->time * (width + 1) + c->type * 6 + c->chars + c->leap * (width + 4) + c->isstd + c->isut;
    return *size <= file.n;
}

/* Zones with leap seconds count other seconds than we do. */
static bool changes_read(struct bytes part, const struct counts *c, struct zone *z)
{
    const char *times = part.p + HEADER, *kinds = times + 8 * c->time, *types = kinds + c->time;

    if (!c->type || c->leap)
        return false;
    z->n = c->time;
    z->at = calloc(z->n + 1, sizeof *z->at);
    z->offset = calloc(z->n + 1, sizeof *z->offset);
    if (!z->at || !z->offset)
        die("out of memory: a time zone");
    z->before = (int32_t)number(types, 4);
    for (size_t i = 0; i < z->n; i++) {
        size_t type = (unsigned char)kinds[i];

        if (type >= c->type)
            return false;
        z->at[i] = number(times + 8 * i, 8);
        z->offset[i] = (int32_t)number(types + 6 * type, 4);
    }
    return true;
}

/* ---- how it goes on: a TZ text of POSIX ---- */

static bool digits(struct bytes *text, int most, int *out)
{
    size_t n = 0;

    for (*out = 0; n < text->n && text->p[n] >= '0' && text->p[n] <= '9' && *out <= most; n++)
        *out = *out * 10 + (text->p[n] - '0');
    *text = bytes_from(*text, n);
    return n && *out <= most;
}

static bool take(struct bytes *text, char c)
{
    if (!text->n || text->p[0] != c)
        return false;
    *text = bytes_from(*text, 1);
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool time_read(struct bytes *text, int64_t *out)
{
    bool minus = take(text, '-'), plus = !minus && take(text, '+');
    int hour, minute = 0, second = 0;

    (void)plus;
    if (!digits(text, 167, &hour) || (take(text, ':') && !digits(text, 59, &minute)) ||
        (take(text, ':') && !digits(text, 59, &second)))
        return false;
    *out = (hour * HOUR + minute * 60 + second) * (minus ? -1 : 1);
    return true;
}

static bool name_skip(struct bytes *text)
{
    size_t n = 0;

    if (take(text, '<')) {
        n = bytes_find(*text, '>');
        *text = bytes_from(*text, n + 1);
        return true;
    }
    while (n < text->n && ((text->p[n] | 0x20) >= 'a' && (text->p[n] | 0x20) <= 'z'))
        n++;
    *text = bytes_from(*text, n);
    return n >= 3;
}

static bool turn_read(struct bytes *text, struct turn *t)
{
    if (!take(text, ','))
        return false;
    t->form = take(text, 'M') ? 'M' : take(text, 'J') ? 'J' : '0';
    if (t->form == 'M') {
        if (!digits(text, 12, &t->month) || t->month < 1 || !take(text, '.') || !digits(text, 5, &t->week) ||
            t->week < 1 || !take(text, '.') || !digits(text, 6, &t->day))
            return false;
    } else if (!digits(text, YEAR_DAYS, &t->day)) {
        return false;
    }
    t->at = 2 * HOUR;
    return !take(text, '/') || time_read(text, &t->at);
}

/* POSIX counts what is behind UTC. */
static bool rule_read(struct bytes text, struct rule *r)
{
    int64_t west;

    if (!name_skip(&text) || !time_read(&text, &west))
        return false;
    r->there = true;
    r->standard = (int)-west;
    r->summer = r->standard + (int)HOUR;
    if (!text.n)
        return true;
    if (!name_skip(&text))
        return false;
    if (text.n && text.p[0] != ',') {
        if (!time_read(&text, &west))
            return false;
        r->summer = (int)-west;
    }
    r->changes = turn_read(&text, &r->from) && turn_read(&text, &r->until) && !text.n;
    return r->changes;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* When it comes in that year, in local seconds since 1970. */
static int64_t turn_in(const struct turn *t, int64_t year)
{
    int64_t day;

    if (t->form == 'M') {
        int64_t first = clock_days(year, t->month, 1), next = clock_days(year + t->month / 12, t->month % 12 + 1, 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7;

        day = first + (t->day - weekday + 7) % 7 + 7 * (t->week - 1);
        while (day >= next)
            day -= 7;
    } else {
        day = clock_days(year, 1, 1) + t->day;
        if (t->form == 'J')
            day += is_leap(year) && t->day >= 60 ? 0 : -1;
    }
    return day * DAY + t->at;
}

static int rule_offset(const struct rule *r, int64_t second)
{
    int64_t year, from, until;
    bool summer;

    if (!r->changes)
        return r->standard;
    year = clock_civil((second + r->standard) * 1000).year;
    from = turn_in(&r->from, year) - r->standard;
    until = turn_in(&r->until, year) - r->summer;
    summer = from < until ? second >= from && second < until : second >= from || second < until;
    return summer ? r->summer : r->standard;
}

/* ---- a zone ---- */

static void zone_free(struct zone *z)
{
    free(z->at);
    free(z->offset);
    free(z);
}

static struct zone *zone_read(struct bytes file)
{
    struct zone *z = calloc(1, sizeof *z);
    struct bytes part = NO_BYTES, rest = NO_BYTES;
    struct counts c;
    size_t size;
    bool ok = header_read(file, &c, 4, &size) && file.p[4] >= '2';

    if (!z)
        die("out of memory: a time zone");
    if (ok)
        part = bytes_from(file, size);
    ok = ok && header_read(part, &c, 8, &size) && changes_read(part, &c, z);
    if (ok)
        rest = bytes_from(part, size);
    ok = ok && take(&rest, '\n');
    rest = bytes_head(rest, bytes_find(rest, '\n'));
    if (ok && (!rest.n || rule_read(rest, &z->rule)))
        return z;
    zone_free(z);
    return NULL;
}

static int offset_at(const struct zone *z, int64_t wall)
{
    int64_t second = wall / 1000 - (wall % 1000 < 0);
    size_t low = 0, high = z->n;

    if (z->rule.there && (!z->n || second >= z->at[z->n - 1]))
        return rule_offset(&z->rule, second);
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (z->at[middle] <= second)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? z->offset[low - 1] : z->before;
}

bool zone_offset_in(struct bytes file, int64_t wall, int *offset)
{
    struct zone *z = zone_read(file);

    if (!z)
        return false;
    *offset = offset_at(z, wall);
    zone_free(z);
    return true;
}

/* ---- those that were read: a list that only grows at its head ---- */

static _Atomic(struct zone *) known;
static atomic_int n_known;

static struct zone *find(struct bytes name)
{
    for (struct zone *z = atomic_load(&known); z; z = z->next)
        if (bytes_equal(bytes_of(z->name), name))
            return z;
    return NULL;
}

/* Letters, digits and signs, in words divided by '/': no name leads out of the folder. */
static bool name_ok(struct bytes name)
{
    bool word = false;

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i], low = (char)(c | 0x20);

        if (c == '/' && !word)
            return false;
        word = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+';
        if (!word && c != '/')
            return false;
    }
    return word && name.n <= NAME_MOST;
}

static struct zone *load(struct bytes name)
{
    char path[4096 + NAME_MOST + 2], *text = malloc(FILE_MOST);
    struct zone *z = NULL;
    FILE *f;
    int n = snprintf(path, sizeof path, "%.*s/%.*s", SHOW(PARAM_TEXT(template, zones)), SHOW(name));

    if (!text)
        die("out of memory: a time zone");
    f = n > 0 && (size_t)n < sizeof path ? fopen(path, "rbe") : NULL;
    if (f) {
        z = zone_read((struct bytes){ text, fread(text, 1, FILE_MOST, f) });
        fclose(f);
    }
    free(text);
    if (z)
        memcpy(z->name, name.p, name.n);
    return z;
}

/* Two threads that read the same one at once keep both: either is found. */
static void keep(struct zone *z)
{
    z->next = atomic_load(&known);
    while (!atomic_compare_exchange_weak(&known, &z->next, z))
        ;
}

bool zone_offset_known(struct bytes name, int64_t wall, int *offset)
{
    const struct zone *z = find(name);

    if (z)
        *offset = offset_at(z, wall);
    return z != NULL;
}

bool zone_offset(struct bytes name, int64_t wall, int *offset)
{
    struct zone *z;

    if (zone_offset_known(name, wall, offset))
        return true;
    if (!name_ok(name) || atomic_load(&n_known) >= ZONES_MOST)
        return false;
    z = load(name);
    if (!z)
        return false;
    *offset = offset_at(z, wall);
    atomic_fetch_add(&n_known, 1);
    keep(z);
    return true;
}
