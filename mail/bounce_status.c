/* mail/bounce_status.c - the fields of reports that have any (RFC 3464, RFC 5965), and what codes they hold. Written by
 * many hands: types are missing or wrong, blank lines too many, addresses in brackets. */
#include "mail/bounce_read.h"
#include "mail/chars.h"
#include <string.h>

static bool is_address_char(char c)
{
    return char_is_atext(c) || c == '.';
}

/* A host name behind the @, or nothing. */
static size_t domain_length(struct bytes text)
{
    size_t n = 0;
    bool dot = false;

    while (n < text.n && (char_is_alnum(text.p[n]) || char_is_8bit(text.p[n]) || char_in(text.p[n], BYTES(".-_"))))
        n++;
    while (n && (text.p[n - 1] == '.' || text.p[n - 1] == '-'))
        n--;
    for (size_t i = 0; i < n; i++)
        dot |= text.p[i] == '.';
    return dot ? n : 0;
}

bool bounce_next_address(struct bytes *rest, struct bytes *address)
{
    size_t at = bytes_find(*rest, '@'), from = at, n = 0;

    for (; at < rest->n; at = from + bytes_find(bytes_from(*rest, from), '@')) {
        size_t start = at;

        while (start > 0 && is_address_char(rest->p[start - 1]) && at - start < ADDRESS_MAX)
            start--;
        while (start < at && (rest->p[start] == '.' || rest->p[start] == '\'' || rest->p[start] == '='))
            start++;
        n = domain_length(bytes_from(*rest, at + 1));
        from = at + 1;
        if (start < at && n && at + 1 + n - start <= ADDRESS_MAX) {
            *address = (struct bytes){ rest->p + start, at + 1 + n - start };
            *rest = bytes_from(*rest, at + 1 + n);
            return true;
        }
    }
    *rest = NO_BYTES;
    return false;
}

struct bytes bounce_address(struct bytes text)
{
    struct bytes address = NO_BYTES, type, rest;

    if (bytes_cut(text, ';', &type, &rest))
        text = rest;
    return bounce_next_address(&text, &address) ? address : NO_BYTES;
}

/* ---- codes in a text ---- */

static bool edge(struct bytes text, size_t i) /* nothing of a number or name before i */
{
    return i == 0 || !(char_is_alnum(text.p[i - 1]) || char_in(text.p[i - 1], BYTES(".-_@=/:")));
}

/* "550 ", "550-", "(550)": three digits that are a reply's. */
static int code_at(struct bytes text, size_t i)
{
    const char *p = text.p + i;

    if (text.n - i < 3 || (p[0] != '4' && p[0] != '5') || p[1] < '0' || p[1] > '9' || !char_is_digit(p[2]) ||
        !edge(text, i))
        return 0;
    if (text.n - i > 3 && !char_in(p[3], BYTES(" -\t\r\n:#,;)'\"]<")))
        return 0;
    if (p[1] > '7')
        return 0;
    return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
}

static size_t digits(struct bytes text, size_t i)
{
    size_t n = 0;

    while (i + n < text.n && n < 4 && char_is_digit(text.p[i + n]))
        n++;
    return n <= 3 ? n : 0;
}

/* "5.1.1" and not part of an address like 5.1.1.9. */
static struct bytes enhanced_at(struct bytes text, size_t i)
{
    size_t subject = 0, detail = 0, end = 0;

    if (text.n - i < 5 || !char_in(text.p[i], BYTES("245")) || text.p[i + 1] != '.' ||
        (i && (char_is_alnum(text.p[i - 1]) || text.p[i - 1] == '.')))
        return NO_BYTES;
    subject = digits(text, i + 2);
    if (subject == 0 || i + 2 + subject >= text.n || text.p[i + 2 + subject] != '.')
        return NO_BYTES;
    detail = digits(text, i + 3 + subject);
    end = i + 3 + subject + detail;
    if (detail == 0 || (end + 1 < text.n && text.p[end] == '.' && char_is_digit(text.p[end + 1])))
        return NO_BYTES;
    return (struct bytes){ text.p + i, end - i };
}

struct codes {
    int code;
    struct bytes enhanced;
};

/* The first of each; an enhanced code that says something goes before x.0.0. */
static struct codes codes_in(struct bytes text)
{
    struct codes c = { 0, NO_BYTES };

    for (size_t i = 0; i < text.n; i++) {
        struct bytes enhanced = char_is_digit(text.p[i]) ? enhanced_at(text, i) : NO_BYTES;

        if (enhanced.n &&
            (!c.enhanced.n || (bytes_ends(c.enhanced, BYTES(".0.0")) && !bytes_ends(enhanced, BYTES(".0.0")))))
            c.enhanced = enhanced;
        if (!c.code && char_is_digit(text.p[i]))
            c.code = code_at(text, i);
        i += enhanced.n ? enhanced.n - 1 : 0;
    }
    return c;
}

/* The one that says more than x.0.0. */
static struct bytes telling(struct bytes first, struct bytes second)
{
    return (first.n && !bytes_ends(first, BYTES(".0.0"))) || second.n == 0 ? first : second;
}

/* Which command was answered, where a text says so: the same words mean something else after the text of a mail, or
 * before any recipient. */
static enum refused_at phase_of(struct bytes reply, struct bytes words)
{
    static const struct phase {
        enum refused_at at;
        const char *said[6];
    } phases[] = {
        { REFUSED_DATA, { "end of data", "end of DATA", "SMTP command\nDATA", "after DATA", NULL } },
        { REFUSED_MAIL, { "after MAIL FROM", "reply to MAIL FROM", "after pipelined MAIL", NULL } },
        { REFUSED_RCPT, { "RCPT TO", "RCPT To", "RCPT_TO", "RCPT command", "rcpt to", NULL } },
        { REFUSED_HELLO,
          { "after EHLO", "after HELO", "reply to EHLO", "reply to HELO", "my name was rejected", NULL } },
        { REFUSED_CONNECT, { "after initial connection", "refused to talk to me", NULL } },
    };

    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        if (bounce_holds(reply, phases[i].said) || bounce_holds(words, phases[i].said))
            return phases[i].at;
    return REFUSED_ANYWHERE;
}

/* The reply's own code tells more than a Status that the reporting server made up of it (often 5.0.0). Where it did not
 * say enough, the report's words may, and then its subject. */
void bounce_judge(struct bounce_reader *b, struct bounce_recipient *t, struct bytes words)
{
    struct codes own = codes_in(t->reply), said = codes_in(words);
    bool told = own.code || own.enhanced.n || t->status.n || said.code || said.enhanced.n;
    struct refusal r = { .at = phase_of(t->reply, words), .code = own.code, .text = t->reply };
    struct meaning m;

    r.enhanced = telling(own.enhanced, t->status);
    if (!t->reply.n) {
        r.code = said.code;
        r.enhanced = telling(t->status, said.enhanced);
        r.text = words;
    }
    if (!told) /* all we know is that it failed */
        r.enhanced = t->action == DSN_DELAYED ? BYTES("4.0.0") : BYTES("5.0.0");
    m = classify(b->how->classifier, &r);
    if (m.why == WHY_UNDETERMINED && t->reply.n) {
        r.code = r.code ? r.code : said.code;
        r.enhanced = telling(r.enhanced, said.enhanced);
        r.text = words;
        m = classify(b->how->classifier, &r);
    }
    if (m.why == WHY_UNDETERMINED) { /* "Returned mail: User unknown" may be all that is said */
        r.text = b->subject;
        m = classify(b->how->classifier, &r);
    }
    if (m.why == WHY_UNDETERMINED && !told)
        m.permanence = PERMANENCE_UNDETERMINED;
    t->code = r.code;
    t->status = t->status.n || !told ? t->status : r.enhanced;
    t->meaning = m;
}

/* ---- message/delivery-status ---- */

static const struct bytes action_names[DSN_ACTIONS] = { BYTES_ROW("failed"), BYTES_ROW("delayed"),
                                                        BYTES_ROW("delivered"), BYTES_ROW("relayed"),
                                                        BYTES_ROW("expanded") };

static enum dsn_action action_of(struct bytes text)
{
    for (int i = 0; i < DSN_ACTIONS; i++)
        if (bytes_starts_nocase(text, action_names[i]))
            return (enum dsn_action)i;
    return bytes_starts_nocase(text, BYTES("deliverable")) ? DSN_DELIVERED : DSN_FAILED;
}

static struct bytes behind_type(struct bytes value)
{
    struct bytes type, rest;

    return bytes_trim(bytes_cut(value, ';', &type, &rest) && type.n < 40 && bytes_find(type, '"') == type.n ? rest
                                                                                                            : value);
}

static struct bytes first_code(struct bytes text)
{
    struct codes c = codes_in(text);

    return c.enhanced;
}

static bool field_is(const struct header *h, const char *name)
{
    return bytes_equal_nocase(h->name, bytes_of(name));
}

static void recipient_field(struct bounce_reader *b, struct bounce_recipient *t, const struct header *h)
{
    struct bytes value = header_decode(h->value, b->how->limits->fields, b->a);

    if (field_is(h, "Final-Recipient") || (field_is(h, "X-Actual-Recipient") && !t->final.n))
        t->final = bounce_address(value).n ? bounce_address(value) : t->final;
    else if (field_is(h, "Original-Recipient"))
        t->original = bounce_address(value);
    else if (field_is(h, "Action"))
        t->action = action_of(value);
    else if (field_is(h, "Status"))
        t->status = first_code(value);
    else if (field_is(h, "Remote-MTA"))
        t->remote_mta = behind_type(value);
    else if (field_is(h, "Diagnostic-Code") && (t->reply.n == 0 || codes_in(value).code))
        t->reply = behind_type(value);
}

static bool names_recipient(struct bytes block)
{
    struct header h;

    while (header_next(&block, &h))
        if (field_is(&h, "Final-Recipient") || field_is(&h, "Original-Recipient"))
            return true;
    return false;
}

static void message_field(struct bounce_reader *b, const struct header *h)
{
    if (field_is(h, "Reporting-MTA"))
        b->out->reporting_mta = behind_type(header_decode(h->value, b->how->limits->fields, b->a));
    else if (field_is(h, "Original-Envelope-Id"))
        b->out->envelope_id = header_decode(h->value, b->how->limits->fields, b->a);
}

static void read_block(struct bounce_reader *b, struct bytes block)
{
    struct bounce_recipient *t = names_recipient(block) ? bounce_recipient(b) : NULL;
    struct header h;

    while (header_next(&block, &h)) {
        if (t && field_is(&h, "Final-Recipient") && t->final.n) /* no empty line before the next one */
            t = bounce_recipient(b);
        message_field(b, &h);
        if (t)
            recipient_field(b, t, &h);
    }
}

bool bounce_status(struct bounce_reader *b, struct bytes text)
{
    size_t before = b->out->n;

    while (text.n && b->out->n < b->how->recipients_max) {
        struct bytes block = bytes_head(text, header_end(text));

        read_block(b, block);
        text = bytes_from(text, block.n ? block.n : bytes_find(text, '\n') + 1);
    }
    while (b->out->n > before && !b->out->recipients[b->out->n - 1].final.n &&
           !b->out->recipients[b->out->n - 1].original.n)
        b->out->n--;
    return b->out->n > before;
}

/* ---- message/feedback-report ---- */

void bounce_feedback(struct bounce_reader *b, struct bytes text)
{
    struct bounce *out = b->out;
    struct header h;

    while (header_next(&text, &h)) {
        struct bytes value = header_decode(h.value, b->how->limits->fields, b->a);

        if (field_is(&h, "Feedback-Type") && !out->feedback_type.n) {
            out->feedback_type = arena_lower(b->a, bytes_trim(value));
        } else if (field_is(&h, "Original-Mail-From")) {
            out->original_mail_from = bounce_address(value);
        } else if (field_is(&h, "Original-Envelope-Id")) {
            out->envelope_id = value;
        } else if (field_is(&h, "Source-IP")) {
            out->source_ip = bytes_head(bytes_trim(value), bytes_find(bytes_trim(value), ' '));
        } else if (field_is(&h, "Reporting-MTA")) {
            out->reporting_mta = behind_type(value);
        } else if (field_is(&h, "Original-Rcpt-To") || field_is(&h, "Removal-Recipient") ||
                   field_is(&h, "Redacted-Address")) {
            struct bytes address = bounce_address(value);
            struct bounce_recipient *t = address.n ? bounce_recipient(b) : NULL;

            if (t)
                t->final = address;
        }
    }
}
