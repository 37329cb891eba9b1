/* mail/dsn.c - a report in one run, from its header to the original.
 *
 * Three readers: people read the text, programs message/delivery-status, and both may want to know which mail it was.
 * So the text names address, reason, the other server's own words and the mail, before it explains; the fields hold
 * only what RFC 3464 has a place for. Parts that are not ASCII get an encoding, never 8-bit. */
#include "mail/dsn.h"
#include "base/clock.h"
#include "mail/build_body.h"
#include "mail/chars.h"
#include "mail/header.h"
#include "mail/html_safe.h"
#include <string.h>

enum { FIELD_MAX = 2000, WORD_MAX = 200, SUBJECT_MAX = 200, BOUNDARY_MAX = 40, REPORT_MAX = 1 << 20 };

struct report {
    const struct dsn *d;
    struct arena *a;
    struct buf *out;
    bool global; /* an address is beyond ASCII */
    enum dsn_action worst;
    char boundary[BOUNDARY_MAX];
};

static const struct action_text {
    const char *name, *subject, *says;
} actions[] = {
    [DSN_FAILED] = { "failed", "Not delivered", "Your mail could not be delivered to:" },
    [DSN_DELAYED] = { "delayed", "Delayed",
                      "Your mail has not been delivered yet to the following, and is tried again. You need not send it "
                      "again:" },
    [DSN_DELIVERED] = { "delivered", "Delivered", "Your mail was delivered to:" },
    [DSN_RELAYED] = { "relayed", "Relayed",
                      "Your mail was handed to a server that does not tell more about its delivery, for:" },
    [DSN_EXPANDED] = { "expanded", "Delivered", "Your mail was delivered to an address that sends it on to others:" },
};

/* One sentence for people; what is not here is said by the reply alone. */
static const char *const explained[WHYS] = {
    [WHY_UNKNOWN_USER] = "There is no such address at this domain. Check the spelling.",
    [WHY_INACTIVE_USER] = "The mailbox exists but is switched off at present.",
    [WHY_MAILBOX_FULL] = "The recipient's mailbox is full. They have to make room before they can get mail.",
    [WHY_UNKNOWN_DOMAIN] = "The domain behind the @ takes no mail or does not exist. Check the spelling.",
    [WHY_BAD_DESTINATION] = "The domain names a mail server that cannot be one.",
    [WHY_NETWORK] = "The recipient's mail server could not be reached.",
    [WHY_DNS] = "The domain's mail server could not be looked up.",
    [WHY_TLS] = "No secure connection to the recipient's mail server was possible.",
    [WHY_AUTH] = "The recipient's mail server could not see that the mail is from who it says.",
    [WHY_POLICY] = "The recipient's mail server has a rule against this mail.",
    [WHY_SPAM_CONTENT] = "The recipient's mail server takes this mail for spam.",
    [WHY_VIRUS] = "The recipient's mail server has found something dangerous in this mail.",
    [WHY_REPUTATION] = "The recipient's mail server does not trust the sending server.",
    [WHY_RATE] = "The recipient's mail server takes no more mail from here at present.",
    [WHY_GREYLIST] = "The recipient's mail server lets new senders wait.",
    [WHY_TOO_LARGE] = "The mail is larger than the recipient's mail server allows.",
    [WHY_SENDER_REJECTED] = "The recipient's mail server does not take mail from this sender.",
    [WHY_RELAY_DENIED] = "The mail server of the domain says that it is not responsible for this address.",
    [WHY_LOOP] = "The mail went round in a circle.",
    [WHY_EXPIRED] = "It was tried until its time was over.",
};

/* For a field or a line: no control characters, a blank in what would be too long a word. NO_BYTES stays so. */
static struct bytes clean(struct report *r, struct bytes text, bool ascii)
{
    struct buf out;
    struct bytes done;
    size_t word = 0;

    text = bytes_trim(bytes_head(text, FIELD_MAX));
    if (text.n == 0)
        return NO_BYTES;
    buf_init(&out, (size_t)2 * FIELD_MAX);
    while (text.n) {
        size_t n = bytes_utf8_length(text);
        bool blank = char_is_control(text.p[0]) || text.p[0] == ' ';

        if (blank && out.n && out.p[out.n - 1] != ' ')
            buf_addc(&out, ' ');
        else if (!blank && (n == 0 || (ascii && n > 1)))
            buf_addc(&out, '?');
        else if (!blank)
            buf_add(&out, bytes_head(text, n));
        word = blank ? 0 : word + 1;
        if (word == WORD_MAX) {
            buf_addc(&out, ' ');
            word = 0;
        }
        text = bytes_from(text, n ? n : 1);
    }
    done = arena_copy(r->a, bytes_trim(buf_bytes(&out)));
    buf_clear(&out);
    return done;
}

static struct bytes shown_date(struct report *r, int64_t wall)
{
    char text[CLOCK_TEXT + 8];

    return arena_copy(r->a, clock_rfc5322(wall, text));
}

static struct bytes original_field(struct report *r, const char *name)
{
    struct header h;

    if (!header_find(r->d->header, name, 0, &h))
        return NO_BYTES;
    return clean(
        r, bytes_head(header_decode(h.value, (struct mail_limits){ .header_value = FIELD_MAX }, r->a), SUBJECT_MAX),
        false);
}

/* ---- what people read ---- */

static void say(struct report *r, struct buf *text, const struct dsn_recipient *t)
{
    struct bytes mta = clean(r, t->remote_mta, false), reply = clean(r, t->reply, false),
                 reason = clean(r, t->reason, false);

    buf_addf(text, "\n  <%.*s>\n", SHOW(clean(r, t->address, false)));
    if (explained[t->why] && (t->action == DSN_FAILED || t->action == DSN_DELAYED))
        buf_addf(text, "    %s\n", explained[t->why]);
    if (reason.n)
        buf_addf(text, "    %.*s\n", SHOW(reason));
    if (reply.n && mta.n)
        buf_addf(text, "    %.*s said: %.*s\n", SHOW(mta), SHOW(reply));
    else if (reply.n)
        buf_addf(text, "    The other server said: %.*s\n", SHOW(reply));
    if (t->action == DSN_DELAYED && t->retry_until)
        buf_addf(text, "    It is tried until %.*s.\n", SHOW(shown_date(r, t->retry_until)));
}

static void name_original(struct report *r, struct buf *text)
{
    struct bytes subject = original_field(r, "Subject"), date = original_field(r, "Date"),
                 id = original_field(r, "Message-ID");

    buf_adds(text, "\nThe mail is this one:\n\n");
    if (subject.n)
        buf_addf(text, "  Subject: %.*s\n", SHOW(subject));
    if (date.n)
        buf_addf(text, "  Date: %.*s\n", SHOW(date));
    if (id.n)
        buf_addf(text, "  Message-ID: %.*s\n", SHOW(id));
}

static void write_words(struct report *r, struct buf *text)
{
    const struct dsn *d = r->d;

    buf_addf(text, "This is the mail system of %.*s.\n", SHOW(d->host));
    for (int action = 0; action < DSN_ACTIONS; action++) {
        bool begun = false;

        for (size_t i = 0; i < d->n; i++) {
            if (d->recipients[i].action != (enum dsn_action)action)
                continue;
            if (!begun)
                buf_addf(text, "\n%s\n", actions[action].says);
            begun = true;
            say(r, text, &d->recipients[i]);
        }
    }
    name_original(r, text);
}

/* The same words: a paragraph for what stands at the margin, a line of its own for what is indented. */
static void write_html(struct bytes text, struct buf *out)
{
    struct bytes line;
    bool open = false;

    buf_adds(out, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Mail delivery</title></head>\n"
                  "<body style=\"font-family:sans-serif\">\n");
    while (text.n) {
        size_t indent = 0;

        bytes_cut(text, '\n', &line, &text);
        while (indent < line.n && line.p[indent] == ' ')
            indent++;
        if (line.n == 0 && open) {
            buf_adds(out, "</p>\n");
            open = false;
        }
        if (line.n == 0)
            continue;
        buf_adds(out, open ? "<br>\n" : indent ? "<p style=\"margin-left:2em\">" : "<p>");
        open = true;
        buf_adds(out, indent == 2 ? "<b>" : "");
        html_escape(bytes_from(line, indent), out);
        buf_adds(out, indent == 2 ? "</b>" : "");
    }
    buf_adds(out, open ? "</p>\n</body></html>\n" : "</body></html>\n");
}

static void write_part(struct report *r, const char *boundary_tail, const char *type, struct bytes content)
{
    enum body_encoding encoding = body_encoding_for(content);

    buf_addf(r->out, "--%s%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", r->boundary, boundary_tail,
             type, body_encoding_name(encoding));
    body_write_text(content, encoding, r->out);
}

static void write_readable(struct report *r)
{
    struct buf text, html;

    buf_init(&text, REPORT_MAX);
    buf_init(&html, REPORT_MAX);
    write_words(r, &text);
    write_html(buf_bytes(&text), &html);
    buf_addf(r->out, "--%s\r\nContent-Type: multipart/alternative;\r\n boundary=\"%s_a\"\r\n\r\n", r->boundary,
             r->boundary);
    write_part(r, "_a", "text/plain; charset=utf-8", buf_bytes(&text));
    write_part(r, "_a", "text/html; charset=utf-8", buf_bytes(&html));
    buf_addf(r->out, "--%s_a--\r\n", r->boundary);
    r->out->overflowed |= text.overflowed || html.overflowed;
    buf_clear(&text);
    buf_clear(&html);
}

/* ---- what programs read ---- */

static void field(struct buf *out, const char *name, const char *type, struct bytes value)
{
    struct buf whole;

    if (value.n == 0)
        return;
    buf_init(&whole, (size_t)4 * FIELD_MAX);
    buf_addf(&whole, "%s%s%.*s", type, *type ? "; " : "", SHOW(value));
    header_write_raw(out, bytes_of(name), buf_bytes(&whole));
    buf_clear(&whole);
}

static void date_field(struct report *r, struct buf *out, const char *name, int64_t wall)
{
    if (wall)
        field(out, name, "", shown_date(r, wall));
}

static const char *address_type(struct bytes email)
{
    return bytes_is_ascii(email) ? "rfc822" : "utf-8";
}

/* ORCPT has its type with it (RFC 3461 4.2). */
static void original_recipient(struct report *r, struct buf *out, struct bytes given)
{
    struct bytes type, address;

    if (bytes_cut(clean(r, given, !r->global), ';', &type, &address) && type.n && bytes_trim(address).n)
        field(out, "Original-Recipient", arena_text(r->a, type), bytes_trim(address));
}

static void write_recipient(struct report *r, struct buf *out, const struct dsn_recipient *t)
{
    struct bytes final = clean(r, address_to_ascii(t->address, r->a), false);

    buf_adds(out, "\r\n");
    original_recipient(r, out, t->original);
    field(out, "Final-Recipient", address_type(final), final);
    field(out, "Action", "", bytes_of(actions[t->action].name));
    field(out, "Status", "", clean(r, t->status, true));
    field(out, "Remote-MTA", "dns", clean(r, t->remote_mta, true));
    field(out, "Diagnostic-Code", "smtp", clean(r, t->reply, !r->global));
    date_field(r, out, "Last-Attempt-Date", t->last_attempt);
    if (t->action == DSN_DELAYED)
        date_field(r, out, "Will-Retry-Until", t->retry_until);
}

static void write_status(struct report *r)
{
    struct buf status;

    buf_init(&status, REPORT_MAX);
    field(&status, "Reporting-MTA", "dns", r->d->host);
    field(&status, "Original-Envelope-Id", "", clean(r, r->d->envelope_id, true));
    date_field(r, &status, "Arrival-Date", r->d->arrived);
    for (size_t i = 0; i < r->d->n; i++)
        write_recipient(r, &status, &r->d->recipients[i]);
    write_part(r, "", r->global ? "message/global-delivery-status" : "message/delivery-status", buf_bytes(&status));
    r->out->overflowed |= status.overflowed;
    buf_clear(&status);
}

/* RFC 2046 lets message/rfc822 have no encoding; message/global may have one (RFC 6532 3.7). */
static void write_original(struct report *r)
{
    const struct dsn *d = r->d;
    bool whole = d->whole.n && d->whole.n <= DSN_WHOLE_MAX;

    if (!whole) {
        write_part(r, "", bytes_is_ascii(d->header) ? "text/rfc822-headers" : "message/global-headers", d->header);
    } else if (body_is_7bit(d->whole)) {
        buf_addf(r->out, "--%s\r\nContent-Type: message/rfc822\r\n\r\n", r->boundary);
        buf_add(r->out, d->whole);
        buf_adds(r->out, "\r\n"); /* the boundary's, not the mail's (RFC 2046 5.1.1) */
    } else {
        buf_addf(r->out, "--%s\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                 r->boundary);
        body_write_base64(d->whole, r->out);
    }
}

/* ---- the report itself ---- */

/* Only an original that goes in as it is could hold the boundary. */
static void choose_boundary(struct report *r)
{
    uint64_t h = (uint64_t)r->d->date;

    for (size_t i = 0; i < r->d->message_id.n; i++)
        h = (h ^ (unsigned char)r->d->message_id.p[i]) * 0x100000001B3u; /* FNV-1a */
    do {
        h = h * 6364136223846793005u + 1;
        snprintf(r->boundary, sizeof r->boundary, "=_dsn_%016llx", (unsigned long long)h);
    } while ((r->d->whole.n && memmem(r->d->whole.p, r->d->whole.n, r->boundary, strlen(r->boundary))) ||
             (r->d->header.n && memmem(r->d->header.p, r->d->header.n, r->boundary, strlen(r->boundary))));
}

static bool write_header(struct report *r, struct err *e)
{
    const struct dsn *d = r->d;
    struct bytes subject = original_field(r, "Subject"), id = NO_BYTES;
    struct header h;

    if (d->host.n == 0 || d->to.n == 0 || bytes_has_ctl_line(d->host) ||
        !header_write_raw(r->out, BYTES("From"),
                          arena_bytesf(r->a, "Mail Delivery System <MAILER-DAEMON@%.*s>", SHOW(d->host))) ||
        !header_write_raw(r->out, BYTES("To"), address_to_ascii(d->to, r->a)))
        return err_set(e, ERR_INVALID, "A report cannot be written to <%.*s>", SHOW(d->to));
    header_write(
        r->out, BYTES("Subject"),
        arena_bytesf(r->a, "%s: %.*s", actions[r->worst].subject, SHOW(subject.n ? subject : BYTES("your mail"))));
    field(r->out, "Date", "", shown_date(r, d->date));
    if (!header_write_raw(r->out, BYTES("Message-ID"), d->message_id))
        return err_set(e, ERR_INVALID, "A report needs a Message-ID");
    if (header_find(d->header, "Message-ID", 0, &h))
        id = clean(r, h.value, true);
    if (id.n && id.p[0] == '<' && bytes_find(id, ' ') == id.n) {
        field(r->out, "In-Reply-To", "", id);
        field(r->out, "References", "", id);
    }
    buf_addf(r->out,
             "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
             "Content-Type: multipart/report; report-type=%sdelivery-status;\r\n boundary=\"%s\"\r\n\r\n",
             r->global ? "global-" : "", r->boundary);
    return true;
}

static void look_at(struct report *r)
{
    r->worst = DSN_EXPANDED;
    for (size_t i = 0; i < r->d->n; i++) {
        const struct dsn_recipient *t = &r->d->recipients[i];

        if (t->action < r->worst)
            r->worst = t->action;
        r->global |= !bytes_is_ascii(address_to_ascii(t->address, r->a)) || !bytes_is_ascii(t->original);
    }
}

bool dsn_write(const struct dsn *d, struct arena *a, struct buf *out, struct err *e)
{
    struct report r = { .d = d, .a = a, .out = out };

    look_at(&r);
    choose_boundary(&r);
    if (!write_header(&r, e))
        return false;
    write_readable(&r);
    write_status(&r);
    write_original(&r);
    buf_addf(out, "--%s--\r\n", r.boundary);
    if (out->overflowed)
        return err_set(e, ERR_TOO_LARGE, "The report is over %zu bytes", out->max);
    return arena_check(a, e);
}
