/* base/clock.c - the two clocks, and dates by arithmetic.
 *
 * gmtime and strptime are not used: they know locales and time zones, and take more than RFC 3339 allows. Years are
 * 0000 to 9999, as that has them; a time outside is shown as the nearest one inside, so a row with a wild number can be
 * shown too. */
#include "base/clock.h"
#include "base/err.h"
#include <errno.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
#define FIRST_WALL INT64_C(-62167219200000) /* 0000-01-01T00:00:00Z */
#define LAST_WALL  INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static int64_t read_clock(clockid_t which)
{
    struct timespec t;

    if (clock_gettime(which, &t) != 0)
        die("clock_gettime failed");
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000000;
}

#ifdef POSTRIDER_FAULTS
/* Threads may all come here first: they read the same environment and store the same number. */
static int64_t shift(void)
{
    static _Atomic int64_t cached = INT64_MIN;
    int64_t seconds = cached;

    if (seconds == INT64_MIN) {
        if (!bytes_to_int(bytes_of(getenv("POSTRIDER_CLOCK_SHIFT")), &seconds))
            seconds = 0;
        cached = seconds;
    }
    return seconds * SECOND;
}
#else
static int64_t shift(void)
{
    return 0;
}
#endif

int64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME) + shift();
}

int64_t clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

void clock_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(c, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool clock_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t until)
{
    struct timespec t = { .tv_sec = until / SECOND, .tv_nsec = until % SECOND * 1000000 };

    return pthread_cond_timedwait(c, m, &t) != ETIMEDOUT;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar. Counted in years that start in March, so that the leap day
 * is the last of its year; an era is 400 years, 146097 days. */
int64_t clock_days(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, struct civil *c)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day = shifted - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * of_year + 2) / 153);

    c->day = (int)(of_year - (153 * month + 2) / 5) + 1;
    c->month = month < 10 ? month + 3 : month - 9;
    c->year = year + era * 400 + (c->month <= 2);
}

struct civil clock_civil(int64_t wall)
{
    struct civil c;
    int64_t days = 0, rest = 0;

    if (wall < FIRST_WALL)
        wall = FIRST_WALL;
    if (wall > LAST_WALL)
        wall = LAST_WALL;
    days = wall / DAY;
    rest = wall % DAY;
    if (rest < 0) {
        rest += DAY;
        days--;
    }
    date_of(days, &c);
    c.weekday = (int)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    c.hour = (int)(rest / HOUR);
    c.minute = (int)(rest / MINUTE % 60);
    c.second = (int)(rest / SECOND % 60);
    c.ms = (int)(rest % SECOND);
    return c;
}

struct bytes clock_rfc3339(int64_t wall, char out[CLOCK_TEXT])
{
    struct civil c = clock_civil(wall);
    int n = snprintf(out, CLOCK_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)c.year, c.month, c.day, c.hour,
                     c.minute, c.second, c.ms);

    return (struct bytes){ out, (size_t)n };
}

struct bytes clock_rfc5322(int64_t wall, char out[CLOCK_TEXT + 8])
{
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct civil c = clock_civil(wall);
    int n = snprintf(out, CLOCK_TEXT + 8, "%s, %02d %s %04d %02d:%02d:%02d +0000", days[c.weekday], c.day,
                     months[c.month - 1], (int)c.year, c.hour, c.minute, c.second);

    return (struct bytes){ out, (size_t)n };
}

/* Takes exactly `digits` digits and, where `end` is not 0, that character behind them (letters in either case). */
static bool take_number(struct bytes *text, size_t digits, char end, int *out)
{
    int n = 0;

    if (text->n < digits + (end ? 1 : 0))
        return false;
    for (size_t i = 0; i < digits; i++) {
        int digit = text->p[i] - '0';

        if (digit < 0 || digit > 9)
            return false;
        n = n * 10 + digit;
    }
    if (end && !bytes_equal_nocase((struct bytes){ text->p + digits, 1 }, (struct bytes){ &end, 1 }))
        return false;
    *text = bytes_from(*text, digits + (end ? 1 : 0));
    *out = n;
    return true;
}

/* ".123456": milliseconds, what is finer is cut off. Absent is 0, a dot without digits is an error. */
static bool take_fraction(struct bytes *text, int *ms)
{
    size_t digits = 0;
    int unit = 100;

    *ms = 0;
    if (!bytes_starts(*text, BYTES(".")))
        return true;
    *text = bytes_from(*text, 1);
    for (; digits < text->n && text->p[digits] >= '0' && text->p[digits] <= '9'; digits++) {
        *ms += (text->p[digits] - '0') * unit;
        unit /= 10;
    }
    *text = bytes_from(*text, digits);
    return digits > 0;
}

/* "Z" or "+01:30", and nothing behind. */
static bool take_offset(struct bytes text, int64_t *offset)
{
    int hours = 0, minutes = 0;
    bool west = bytes_starts(text, BYTES("-"));

    *offset = 0;
    if (bytes_equal_nocase(text, BYTES("Z")))
        return true;
    if (!west && !bytes_starts(text, BYTES("+")))
        return false;
    text = bytes_from(text, 1);
    if (!take_number(&text, 2, ':', &hours) || !take_number(&text, 2, 0, &minutes) || text.n || hours > 23 ||
        minutes > 59)
        return false;
    *offset = (int64_t)hours * HOUR + (int64_t)minutes * MINUTE;
    if (west)
        *offset = -*offset;
    return true;
}

static int days_in(int64_t year, int month)
{
    static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

static bool civil_is_valid(const struct civil *c)
{
    return c->month >= 1 && c->month <= 12 && c->day >= 1 && c->day <= days_in(c->year, c->month) && c->hour <= 23 &&
           c->minute <= 59 && c->second <= 60;
}

bool clock_parse_rfc3339(struct bytes text, int64_t *wall)
{
    struct civil c = { 0 };
    int64_t offset = 0, at = 0;
    int year = 0;
    bool leap = false;

    if (!take_number(&text, 4, '-', &year) || !take_number(&text, 2, '-', &c.month) ||
        !take_number(&text, 2, 'T', &c.day) || !take_number(&text, 2, ':', &c.hour) ||
        !take_number(&text, 2, ':', &c.minute) || !take_number(&text, 2, 0, &c.second) ||
        !take_fraction(&text, &c.ms) || !take_offset(text, &offset))
        return false;
    c.year = year;
    if (!civil_is_valid(&c))
        return false;
    leap = c.second == 60;
    if (leap) {
        c.second = 59;
        c.ms = 999;
    }
    at = clock_days(c.year, c.month, c.day) * DAY + (int64_t)c.hour * HOUR + (int64_t)c.minute * MINUTE +
         (int64_t)c.second * SECOND + c.ms - offset;
    /* A leap second ends a day of UTC and stands nowhere else (RFC 3339, section 5.7). */
    if (leap && ((at + 1) % DAY != 0))
        return false;
    *wall = at;
    return true;
}
