/* mail/bounce.c - what a mail about our mail is, and which part of it says what.
 *
 * Parts decide before words: a delivery-status or feedback-report part is a report whoever sent it. Without one, the
 * sender must be a mail system or nobody, the mail must say that something was not delivered, and a recipient must be
 * found; else it is a mail by a person or an answering machine. */
#include "mail/bounce.h"
#include "mail/bounce_read.h"
#include "mail/build.h"
#include "mail/chars.h"
#include <string.h>

enum { QUOTED_MAX = 65536 };

struct bounce_recipient *bounce_recipient(struct bounce_reader *b)
{
    struct bounce *out = b->out;

    return out->n < b->how->recipients_max ? &out->recipients[out->n++] : NULL;
}

bool bounce_holds(struct bytes text, const char *const *words)
{
    for (; *words; words++)
        if (text.n && memmem(text.p, text.n, *words, strlen(*words)))
            return true;
    return false;
}

static struct bytes lower_field(struct bounce_reader *b, const char *name)
{
    struct header h;

    return header_find(b->header, name, 0, &h) ? arena_lower(b->a, header_decode(h.value, b->how->limits->fields, b->a))
                                               : NO_BYTES;
}

/* ---- parts ---- */

static struct bytes raw_part(const struct mime_part *p, struct bytes message)
{
    return bytes_head(bytes_from(message, p->body_at), p->end_at - p->body_at);
}

static struct bytes decoded_part(struct bounce_reader *b, const struct mime_part *p, struct bytes message)
{
    struct mime_decoder d;
    struct buf out;
    struct bytes done;

    if (p->encoding == MIME_IDENTITY)
        return bytes_head(raw_part(p, message), b->how->text_max);
    buf_init(&out, b->how->text_max);
    mime_decode_begin(&d, p->encoding);
    mime_decode(&d, raw_part(p, message), &out);
    mime_decode_end(&d, &out);
    done = arena_copy(b->a, buf_bytes(&out));
    buf_clear(&out);
    return done;
}

static struct bytes text_part(struct bounce_reader *b, const struct mime_part *p, struct bytes message)
{
    struct bytes raw = decoded_part(b, p, message), done;
    struct buf out, plain;

    buf_init(&out, b->how->text_max);
    buf_init(&plain, b->how->text_max);
    mime_text(p, raw, true, &out);
    if (bytes_equal(p->type, BYTES("text/html")))
        html_to_text(buf_bytes(&out), b->how->limits->fields, &plain);
    done = arena_copy(b->a, buf_bytes(plain.n ? &plain : &out));
    buf_clear(&out);
    buf_clear(&plain);
    return done.p ? done : BYTES("");
}

static bool is_status(const struct mime_part *p)
{
    return bytes_equal(p->type, BYTES("message/delivery-status")) ||
           bytes_equal(p->type, BYTES("message/global-delivery-status")) ||
           bytes_equal(p->type, BYTES("text/delivery-status"));
}

static bool is_original(const struct mime_part *p)
{
    return bytes_equal(p->type, BYTES("message/rfc822")) || bytes_equal(p->type, BYTES("message/global")) ||
           bytes_equal(p->type, BYTES("text/rfc822-headers")) || bytes_equal(p->type, BYTES("text/rfc822")) ||
           bytes_equal(p->type, BYTES("message/rfc822-headers")) ||
           bytes_equal(p->type, BYTES("message/global-headers")) || bytes_equal(p->type, BYTES("message/partial"));
}

/* ---- where the original begins in a text that quotes it ---- */

static const char *const quotes[] = { "this is a copy of the message",
                                      "this is a copy of your message",
                                      "below this line is a copy",
                                      "original message",
                                      "unsent message",
                                      "undelivered message",
                                      "message header",
                                      "message headers",
                                      "header of the original",
                                      "headers of the original",
                                      "original headers",
                                      "original mail",
                                      "returned message",
                                      "returned mail follows",
                                      "text of your message",
                                      "copy of the original",
                                      "copy of your message",
                                      "start of the original",
                                      "begin of the original",
                                      "your message follows",
                                      "your mail follows",
                                      "message follows",
                                      "included message",
                                      "content of the message",
                                      NULL };
static const char *const fields[] = { "received:",      "return-path:",    "message-id:",
                                      "x-mailer:",      "mime-version:",   "delivered-to:",
                                      "x-original-to:", "dkim-signature:", NULL };

static bool starts_quote(struct bounce_reader *b, struct bytes line)
{
    struct bytes text = bytes_trim(line);
    struct bytes low;

    if (text.n < 6 || text.n > 200)
        return false;
    low = arena_lower(b->a, text);
    for (const char *const *f = fields; *f; f++)
        if (bytes_starts(low, bytes_of(*f)))
            return true;
    return (low.p[0] == '-' || low.p[0] == '=' || low.p[0] == '*' || low.p[low.n - 1] == ':' ||
            low.p[low.n - 1] == '-') &&
           bounce_holds(low, quotes);
}

static void cut_quote(struct bounce_reader *b, struct bytes text)
{
    struct bytes rest = text, line;

    b->words = text;
    while (rest.n) {
        struct arena_mark m = arena_mark(b->a);
        const char *at = rest.p;
        bool quote = false;

        bytes_cut(rest, '\n', &line, &rest);
        quote = starts_quote(b, line);
        arena_rewind(b->a, m);
        if (!quote)
            continue;
        b->words = (struct bytes){ text.p, (size_t)(at - text.p) };
        b->quoted = bytes_from(text, b->words.n);
        return;
    }
}

/* ---- the original ---- */

static void original_fields(struct bounce_reader *b, struct bytes header)
{
    struct header h;

    b->out->original_header = header;
    if (header_find(header, "Message-ID", 0, &h))
        b->out->original_id = h.value;
    if (!b->out->original_mail_from.n && header_find(header, "Return-Path", 0, &h))
        b->out->original_mail_from = bounce_address(h.value);
}

/* A quoted original: from the first line that is a field. */
static void original_in_quote(struct bounce_reader *b)
{
    struct bytes rest = bytes_head(b->quoted, QUOTED_MAX), line;

    while (rest.n) {
        struct bytes here = rest;

        bytes_cut(rest, '\n', &line, &rest);
        if (header_line_of(line, false) == HEADER_FIELD) {
            original_fields(b, bytes_head(here, header_end(here)));
            return;
        }
    }
}

/* ---- kinds ---- */

/* As bounces begin, also among people: only with a sender that is a mail system. */
static const char *const subjects[] = { "undeliver",
                                        "non-deliver",
                                        "nondeliver",
                                        "not delivered",
                                        "delivery fail",
                                        "delivery status",
                                        "delivery notification",
                                        "delivery report",
                                        "delivery problem",
                                        "delivery error",
                                        "delivery has been",
                                        "delivery delay",
                                        "mail delivery",
                                        "mail failure",
                                        "mail system error",
                                        "mail could not",
                                        "message could not",
                                        "message delivery",
                                        "returned mail",
                                        "returned to sender",
                                        "failure notice",
                                        "failure delivery",
                                        "failed mail",
                                        "failed delivery",
                                        "could not send",
                                        "could not be delivered",
                                        "could not deliver",
                                        "unable to deliver",
                                        "warning: ",
                                        "delayed mail",
                                        "error sending",
                                        "bounce",
                                        "rejected",
                                        "unzustellbar",
                                        "non remis",
                                        "no entregado",
                                        "mancata consegna",
                                        "メールエラー",
                                        "エラー通知",
                                        "配信不能",
                                        "配信エラー",
                                        "退信",
                                        NULL };
static const char *const systems[] = { "mailer-daemon",
                                       "mailer_daemon",
                                       "interscan",
                                       "mailmarshal",
                                       "mail gateway",
                                       "maildaemon",
                                       "mail-daemon",
                                       "mdaemon@",
                                       "postmaster",
                                       "mail delivery",
                                       "mail administrator",
                                       "mailadmin",
                                       "mail system",
                                       "mailsystem",
                                       "mail-system",
                                       "bounce@",
                                       "bounces@",
                                       "system administrator",
                                       "daemon@",
                                       NULL };
static const char *const replies[] = { "out of office",
                                       "out of the office",
                                       "auto-reply",
                                       "autoreply",
                                       "auto reply",
                                       "auto:",
                                       "automatic reply",
                                       "vacation",
                                       "abwesen",
                                       "automatische antwort",
                                       "away from",
                                       "auto response",
                                       "autorespon",
                                       "on holiday",
                                       "réponse automatique",
                                       "respuesta automática",
                                       NULL };
static const char *const reply_fields[] = {
    "X-Autoreply", "X-Autorespond", "X-Auto-Reply", "X-Autoresponder", "X-Auto-Responder", "X-Vacation", NULL
};

static bool from_a_system(struct bounce_reader *b)
{
    return bounce_holds(lower_field(b, "Return-Path"), systems) || bounce_holds(lower_field(b, "From"), systems) ||
           header_count(b->header, "X-Failed-Recipients");
}

static bool from_nobody(struct bounce_reader *b)
{
    return bytes_equal(bytes_trim(lower_field(b, "Return-Path")), BYTES("<>")) ||
           bytes_ends(bytes_trim(lower_field(b, "From")), BYTES("<>"));
}

static bool is_auto_reply(struct bounce_reader *b)
{
    struct bytes submitted = lower_field(b, "Auto-Submitted"), precedence = lower_field(b, "Precedence");

    if (bytes_starts(submitted, BYTES("auto-")) || bytes_starts(precedence, BYTES("auto_reply")) ||
        bytes_starts(precedence, BYTES("auto-reply")) || bounce_holds(b->subject, replies))
        return true;
    for (const char *const *f = reply_fields; *f; f++)
        if (header_count(b->header, *f))
            return true;
    return false;
}

/* The complaints of Outlook.com came without a report part: the mail itself, and who it is from (2008 to 2024). */
static bool is_old_complaint(struct bounce_reader *b)
{
    return bytes_starts(b->subject, BYTES("complaint about message from ")) &&
           bounce_holds(lower_field(b, "From"), (const char *const[]){ "staff@hotmail.com", NULL });
}

static bool from_amazon(struct bounce_reader *b)
{
    return bounce_holds(lower_field(b, "From"), (const char *const[]){ "@sns.amazonaws.com", NULL });
}

static bool complains(struct bytes type)
{
    return bytes_equal(type, BYTES("abuse")) || bytes_equal(type, BYTES("fraud")) ||
           bytes_equal(type, BYTES("virus")) || bytes_equal(type, BYTES("other")) ||
           bytes_equal(type, BYTES("miscategorized")) || type.n == 0;
}

static void finish_complaint(struct bounce_reader *b)
{
    struct bounce *out = b->out;
    struct header h;

    out->kind = BOUNCE_COMPLAINT;
    out->complains = complains(out->feedback_type);
    if (out->n == 0 && header_find(out->original_header, "To", 0, &h)) {
        struct bytes rest = header_decode(h.value, b->how->limits->fields, b->a), address;

        while (bounce_next_address(&rest, &address)) {
            struct bounce_recipient *t = bounce_recipient(b);

            if (t)
                t->final = address;
        }
    }
}

/* What the readable part says of one of several recipients: from its address to the next one. */
static struct bytes words_about(struct bounce_reader *b, size_t i)
{
    struct bytes rest = b->words, address, about = NO_BYTES;

    while (bounce_next_address(&rest, &address)) {
        bool same = bytes_equal_nocase(address, b->out->recipients[i].final);

        if (about.n && !same)
            for (size_t k = 0; k < b->out->n; k++)
                if (bytes_equal_nocase(address, b->out->recipients[k].final))
                    return (struct bytes){ about.p, (size_t)(address.p - about.p) };
        if (!about.n && same)
            about = rest;
    }
    return about;
}

static void judge_report(struct bounce_reader *b)
{
    b->out->kind = BOUNCE_REPORT;
    for (size_t i = 0; i < b->out->n; i++)
        if (b->out->recipients[i].action == DSN_FAILED || b->out->recipients[i].action == DSN_DELAYED)
            bounce_judge(b, &b->out->recipients[i], b->out->n == 1 ? b->words : words_about(b, i));
}

/* Fields of a report that stand in no part of their own: the boundary was lost, or never there. */
static struct bytes loose_status(struct bounce_reader *b, struct bytes message)
{
    struct bytes rest = bytes_head(bytes_from(message, b->header.n), b->how->text_max), line;
    const char *block = rest.p;

    while (rest.n) {
        const char *at = rest.p;

        bytes_cut(rest, '\n', &line, &rest);
        if (bytes_trim(line).n == 0)
            block = at;
        else if (bytes_starts_nocase(line, BYTES("Final-Recipient:")))
            return bytes_from(
                (struct bytes){ block, (size_t)(rest.p ? rest.p + rest.n - block : line.p + line.n - block) },
                at == block ? 0 : bytes_find((struct bytes){ block, (size_t)(at - block) }, '\n') + 1);
    }
    return NO_BYTES;
}

/* "no-reply" may be anybody's, but not with the mail that was sent. */
static bool brings_it_back(struct bounce_reader *b)
{
    static const char *const mute[] = { "no-reply@", "noreply@", "donotreply@", NULL };

    return b->out->original_header.n && bounce_holds(lower_field(b, "From"), mute);
}

/* Answering machines send from nobody too, but do not say that something was not delivered. */
static void read_words(struct bounce_reader *b)
{
    static const char *const plainly[] = { "could not be delivered", "was not delivered", "undeliverable",
                                           "unable to deliver",      "delivery failed",   NULL };
    bool reports = bounce_holds(b->subject, subjects), nobody = from_nobody(b);
    bool system = from_a_system(b) || (reports && brings_it_back(b));

    if (!(reports && (system || nobody)) && is_auto_reply(b))
        b->out->kind = BOUNCE_AUTO_REPLY;
    else if ((system || (nobody && (reports || bounce_holds(arena_lower(b->a, b->words), plainly)))) &&
             bounce_words(b, reports))
        b->out->kind = BOUNCE_REPORT;
    else
        b->out->n = 0;
}

struct parts {
    const struct mime_part *plain, *html, *status, *feedback, *original;
};

static void first(const struct mime_part **kept, const struct mime_part *p)
{
    if (!*kept)
        *kept = p;
}

static void find_parts(const struct mime_index *x, struct parts *out)
{
    for (size_t i = 0; i < x->n; i++) {
        const struct mime_part *p = &x->parts[i];

        if (is_status(p))
            first(&out->status, p);
        else if (bytes_equal(p->type, BYTES("message/feedback-report")))
            first(&out->feedback, p);
        else if (is_original(p))
            first(&out->original, p);
        else if (bytes_equal(p->type, BYTES("text/plain")) && !out->original)
            first(&out->plain, p);
        else if (bytes_equal(p->type, BYTES("text/html")))
            first(&out->html, p);
    }
}

/* The words of the report itself, and the header of the original wherever it is. */
static void read_texts(struct bounce_reader *b, const struct mime_index *x, const struct parts *p, struct bytes message)
{
    const struct mime_part *words = p->plain ? p->plain : p->html;
    struct bytes text;

    if (words)
        cut_quote(b, text_part(b, words, message));
    else /* parts that were announced and never came */
        cut_quote(b, bytes_head(bytes_from(message, x->parts[0].body_at), b->how->text_max));
    if (!p->original) {
        original_in_quote(b);
        return;
    }
    text = decoded_part(b, p->original, message);
    original_fields(b, bytes_head(text, header_end(text)));
}

static bool read_status(struct bounce_reader *b, const struct parts *p, struct bytes message)
{
    if (p->status && bounce_status(b, decoded_part(b, p->status, message)))
        return true;
    return !p->original && (from_a_system(b) || from_nobody(b)) && bounce_status(b, loose_status(b, message));
}

static void read_parts(struct bounce_reader *b, const struct mime_index *x, struct bytes message)
{
    struct parts p = { 0 };

    find_parts(x, &p);
    read_texts(b, x, &p, message);
    if (p.feedback)
        bounce_feedback(b, decoded_part(b, p.feedback, message));
    if (p.feedback || is_old_complaint(b))
        finish_complaint(b);
    else if (read_status(b, &p, message))
        judge_report(b);
    else if (from_amazon(b) && bounce_notice(b))
        b->out->complains = b->out->kind == BOUNCE_COMPLAINT && complains(b->out->feedback_type);
    else
        read_words(b);
}

void bounce_read(const struct bounce_reading *r, struct bytes message, struct arena *a, struct bounce *out)
{
    struct bounce_reader b = { .how = r, .a = a, .out = out };
    struct mime *m = mime_begin(r->limits, a);
    const struct mime_index *x = NULL;

    memset(out, 0, sizeof *out);
    mime_feed(m, message);
    x = mime_end(m);
    out->recipients = arena_array(a, r->recipients_max, sizeof *out->recipients);
    b.header = x->header;
    b.subject = lower_field(&b, "Subject");
    read_parts(&b, x, message);
    if (arena_full(a))
        out->kind = BOUNCE_NONE;
}
