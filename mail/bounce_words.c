/* mail/bounce_words.c - reports that are only text: qmail, exim, sendmail, Exchange, Domino and their kin.
 *
 * They have no form in common but this: an address of somebody who did not get the mail stands at the start of a line
 * (or behind "To:" and the like), and the reason stands behind it, before the next such address. So no server is known
 * by name here; what the words mean is the classifier's business. */
#include "mail/bounce_read.h"
#include "mail/chars.h"
#include <string.h>

enum { LABEL_MAX = 60 };

/* What such a text says somewhere. */
static const char *const says[] = {
    "deliver",         "did not reach",      "could not be sent", "could not send", "fatal error",
    "permanent error", "returned to sender", "was rejected",      "was not sent",   "user unknown",
    "unknown user",    "not accepted by",    "unable to send",    "bounced",        NULL
};
/* Late, not lost. */
static const char *const delays[] = { "delivery status notification (delay)",
                                      "delayed",
                                      "has not been delivered yet",
                                      "not yet been delivered",
                                      "will be retried",
                                      "still trying",
                                      "warning message only",
                                      "you do not need to resend",
                                      "could not send message for past",
                                      "delivery attempts will continue",
                                      "will continue to try",
                                      NULL };

/* Of a report's own address lines: who runs the server, who wrote the original. */
static bool is_office(struct bytes address)
{
    static const char *const offices[] = { "postmaster@", "mailer-daemon@", "abuse@",   "support@", "helpdesk@",
                                           "hostmaster@", "webmaster@",     "postfix@", NULL };

    for (const char *const *o = offices; *o; o++)
        if (bytes_starts_nocase(address, bytes_of(*o)))
            return true;
    return false;
}

/* Between the start of its line and an address: nothing but quotes, brackets and a code, or a label. */
static bool leads(struct bytes before)
{
    static const char *const not_these[] = { "from",       "sender", "reply-to",    "subject", "contact",
                                             "message-id", "by ",    "return-path", "mailto",  "x-",
                                             "host ",      "cc",     NULL };
    struct bytes text = bytes_trim(before);
    bool only_signs = true;
    struct buf low;
    bool other = false;

    for (size_t i = 0; i < text.n; i++)
        only_signs &= !char_is_letter(text.p[i]) && !char_is_8bit(text.p[i]);
    if (only_signs)
        return bytes_find(text, '>') == text.n; /* a quotation */
    while (text.n && char_in(text.p[text.n - 1], BYTES("<\"'( \t")))
        text.n--;
    if (text.n == 0 || text.n > LABEL_MAX || (text.p[text.n - 1] != ':' && text.p[text.n - 1] != ';'))
        return false;
    buf_init(&low, LABEL_MAX);
    buf_add_lower(&low, text);
    other = bounce_holds(buf_bytes(&low), not_these);
    buf_clear(&low);
    return !other;
}

static bool is_new(const struct bounce *out, struct bytes address)
{
    for (size_t i = 0; i < out->n; i++)
        if (bytes_equal_nocase(out->recipients[i].final, address))
            return false;
    return true;
}

/* Whoever the report was sent to wrote the original. */
static bool is_ours(struct bounce_reader *b, struct bytes address)
{
    struct header h;
    struct bytes one;

    if (!header_find(b->header, "To", 0, &h))
        return false;
    for (struct bytes rest = h.value; bounce_next_address(&rest, &one);)
        if (bytes_equal_nocase(one, address))
            return true;
    return false;
}

/* Addresses that lead their line; `any`: all others too. Reasons are cut at the next one. */
static void find_recipients(struct bounce_reader *b, bool any)
{
    struct bytes rest = b->words, line, address;
    struct bounce_recipient *last = NULL;

    while (rest.n) {
        const char *at = rest.p;
        struct bytes in;

        bytes_cut(rest, '\n', &line, &rest);
        in = line;
        if (!bounce_next_address(&in, &address) || is_office(address) || is_ours(b, address) ||
            !(any || leads(bytes_head(line, (size_t)(address.p - line.p)))) || !is_new(b->out, address))
            continue;
        if (last)
            last->reply = bytes_trim((struct bytes){ last->reply.p, (size_t)(at - last->reply.p) });
        last = bounce_recipient(b);
        if (!last)
            return;
        last->final = address;
        last->reply = bytes_trim(bytes_from(b->words, (size_t)(at - b->words.p)));
    }
}

static void named_by_field(struct bounce_reader *b)
{
    struct header h;
    struct bytes address;

    for (size_t i = 0; header_find(b->header, "X-Failed-Recipients", i, &h) && i < b->how->recipients_max; i++)
        for (struct bytes rest = h.value; bounce_next_address(&rest, &address);) {
            struct bounce_recipient *t = is_new(b->out, address) ? bounce_recipient(b) : NULL;
            const char *at = t && b->words.n ? memmem(b->words.p, b->words.n, address.p, address.n) : NULL;

            if (t)
                t->final = address;
            if (at)
                t->reply = bytes_trim(bytes_from(b->words, (size_t)(at - b->words.p) + address.n));
        }
}

/* The text names nobody: the original's only recipient, then. */
static void named_by_original(struct bounce_reader *b)
{
    struct header h;
    struct bytes address, other;

    if (!header_find(b->out->original_header, "To", 0, &h))
        return;
    for (struct bytes rest = h.value; bounce_next_address(&rest, &address) && !bounce_next_address(&rest, &other);) {
        struct bounce_recipient *t = bounce_recipient(b);

        if (t) {
            t->final = address;
            t->reply = bytes_trim(b->words);
        }
    }
}

bool bounce_words(struct bounce_reader *b, bool reports)
{
    struct bytes low = arena_lower(b->a, b->words);
    bool late = bounce_holds(low, delays) || bounce_holds(b->subject, delays);

    if (!reports && !bounce_holds(low, says))
        return false;
    named_by_field(b);
    if (b->out->n == 0)
        find_recipients(b, false);
    if (b->out->n == 0)
        find_recipients(b, true);
    if (b->out->n == 0)
        named_by_original(b);
    for (size_t i = 0; i < b->out->n; i++) {
        b->out->recipients[i].action = late ? DSN_DELAYED : DSN_FAILED;
        bounce_judge(b, &b->out->recipients[i], b->words);
    }
    return b->out->n > 0;
}
