/* service/message/send_check.c - a send judged by its form, every fault at once with its pointer (RFC 6901).
 *
 * Nothing here asks the store: whether the sender is allowed or an address exists is judged later, by the rules that
 * hold for every door. Lists that are too long are told as such and not walked. Headers that servers write, or that
 * would contradict a field of the request, cannot be set. */
#include "service/message/send_check.h"
#include "base/params.h"
#include "mail/calendar.h"
#include <json-c/linkhash.h>

/* Fields we write ourselves or that only a server may write. A final '*' stands for any rest. */
static const char *const denied[] = {
    "From",    "To",      "Cc",         "Bcc",          "Sender",      "Reply-To",
    "Date",    "Subject", "Message-ID", "In-Reply-To",  "Content-*",   "MIME-Version",
    "DKIM-*",  "ARC-*",   "Received",   "Received-SPF", "Return-Path", "Authentication-Results",
    "Resent-*"
};

static bool is_denied(struct bytes name)
{
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
        struct bytes d = bytes_of(denied[i]);
        bool prefix = bytes_ends(d, BYTES("*"));
        if (prefix ? bytes_starts_nocase(name, bytes_head(d, d.n - 1)) : bytes_equal_nocase(name, d))
            return true;
    }
    return false;
}

static const char *pointer(struct call *c, const char *list, size_t i, const char *member)
{
    return arena_printf(c->arena, "/%s/%zu%s%s", list, i, member ? "/" : "", member ? member : "");
}

static size_t place(const size_t *at, size_t i)
{
    return at ? at[i] : i;
}

static void no_line_ends(struct call *c, const char *where, struct bytes text)
{
    if (bytes_has_ctl_line(text))
        call_fault(c, where, "invalid_characters", "No CR, LF or NUL may stand here");
}

static void check_address(struct call *c, const struct send_address *s)
{
    struct bytes domain;
    struct err why = { 0 };

    if (!s->address.local.p || !s->address.domain.n)
        call_fault(c, s->pointer, "invalid_address", "An address has the form name@domain");
    else if (!domain_normalize(s->address.domain, c->arena, &domain, &why))
        call_fault(c, s->pointer, "invalid_address", "%s", why.message);
    no_line_ends(c, s->pointer, s->address.name);
    no_line_ends(c, s->pointer, s->address.email);
}

static void check_addresses(struct call *c, const struct send_address *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_address(c, &list[i]);
}

static void check_people(struct call *c, const struct message_send_in *in)
{
    size_t n = in->n_to + in->n_cc + in->n_bcc, most = (size_t)PARAM_INT(message, recipients_max);

    if (!in->from.pointer || !in->from.address.email.p)
        call_fault(c, "/from", "required", "from is required");
    else
        check_address(c, &in->from);
    if (n == 0)
        call_fault(c, "/to", "required", "At least one recipient is required, in to, cc or bcc");
    if (n > most)
        call_fault(c, "/to", "too_many", "At most %zu recipients, in to, cc and bcc together", most);
    if (in->n_reply_to > most)
        call_fault(c, "/reply_to", "too_many", "At most %zu addresses", most);
    if (c->n_faults >= FAULTS_MAX || n > most)
        return;
    check_addresses(c, in->to, in->n_to);
    check_addresses(c, in->cc, in->n_cc);
    check_addresses(c, in->bcc, in->n_bcc);
    check_addresses(c, in->reply_to, in->n_reply_to);
    if (in->envelope_from.pointer)
        check_address(c, &in->envelope_from);
}

static void no_nul(struct call *c, const char *where, struct bytes text)
{
    if (bytes_find(text, 0) < text.n)
        call_fault(c, where, "invalid_characters", "No NUL may stand here");
}

static void check_text(struct call *c, const struct message_send_in *in)
{
    no_line_ends(c, "/subject", in->subject);
    if (in->subject.n > SEND_SUBJECT_MAX)
        call_fault(c, "/subject", "too_long", "At most %d bytes", SEND_SUBJECT_MAX);
    if (!in->text.p && !in->html.p && !in->n_attachments && !in->calendar.content.p)
        call_fault(c, "/text", "required", "One of text, html, calendar and attachments is required");
    if (in->amp_html.p && !in->text.p && !in->html.p)
        call_fault(c, "/text", "required", "text or html is required beside amp_html: most programs show no AMP");
    no_nul(c, "/text", in->text);
    no_nul(c, "/html", in->html);
    no_nul(c, "/amp_html", in->amp_html);
    no_nul(c, "/calendar/content", in->calendar.content);
}

/* RFC 5546 1.4 */
static bool is_calendar_method(struct bytes method)
{
    static const char *const methods[] = { "PUBLISH", "REQUEST", "REPLY",   "ADD",
                                           "CANCEL",  "REFRESH", "COUNTER", "DECLINECOUNTER" };

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (bytes_equal(method, bytes_of(methods[i])))
            return true;
    return false;
}

static void check_calendar(struct call *c, const struct calendar *given)
{
    const char *why = given->content.p ? calendar_fault(given->content, given->method) : NULL;

    if (given->content.p && !is_calendar_method(given->method))
        call_fault(c, "/calendar/method", "invalid_choice", "A method of RFC 5546, such as REQUEST or CANCEL");
    else if (why)
        call_fault(c, "/calendar/content", "invalid_calendar", "%s", why);
}

static void check_attachment(struct call *c, const struct message_send_in *in, size_t i)
{
    const struct attachment *at = &in->attachments[i];
    struct bytes id = at->content_id;
    const char *list = i < in->n_listed ? "attachments" : "attachment";
    size_t where = i < in->n_listed ? place(in->attachment_at, i) : i - in->n_listed;

    if (id.n > 2 && id.p[0] == '<' && id.p[id.n - 1] == '>') /* as the header has it */
        id = (struct bytes){ id.p + 1, id.n - 2 };
    no_line_ends(c, pointer(c, list, where, "filename"), at->filename);
    no_line_ends(c, pointer(c, list, where, "content_id"), id);
    if (at->filename.n > 255)
        call_fault(c, pointer(c, list, where, "filename"), "too_long", "At most 255 bytes");
    if (id.p && (id.n == 0 || id.n > 255 || !bytes_is_ascii(id) || bytes_find(id, ' ') < id.n ||
                 bytes_find(id, '<') < id.n || bytes_find(id, '>') < id.n))
        call_fault(c, pointer(c, list, where, "content_id"), "invalid_content_id",
                   "1 to 255 ASCII characters without blanks and brackets");
    if (at->content_type.p && (at->content_type.n > 255 || !media_type_ok(at->content_type) ||
                               bytes_starts_nocase(at->content_type, BYTES("multipart/"))))
        call_fault(c, pointer(c, list, where, "content_type"), "invalid_content_type",
                   "A media type such as application/pdf; no multipart");
    if (at->disposition.p && !bytes_equal(at->disposition, BYTES("attachment")) &&
        !bytes_equal(at->disposition, BYTES("inline")))
        call_fault(c, pointer(c, list, where, "disposition"), "invalid_value", "attachment or inline");
}

/* RFC 6901 3: '~' and '/' of a key are written ~0 and ~1. */
static const char *key_pointer(struct call *c, const char *object, struct bytes key)
{
    struct buf out;
    const char *text;

    buf_init(&out, 2 * SEND_METADATA_MAX + 16);
    buf_addf(&out, "/%s/", object);
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] == '~' || key.p[i] == '/')
            buf_adds(&out, key.p[i] == '~' ? "~0" : "~1");
        else
            buf_addc(&out, key.p[i]);
    text = arena_text(c->arena, buf_bytes(&out));
    buf_clear(&out);
    return text;
}

static const char *header_pointer(struct call *c, const struct message_send_in *in, size_t i, const char *member)
{
    return in->header_map ? key_pointer(c, "headers", in->headers[i].name)
                          : pointer(c, "headers", place(in->header_at, i), member);
}

static bool can_be_written(const struct named_value *h)
{
    struct buf line;
    bool can = true;

    if (header_form(h->name) == HEADER_TEXT)
        return true;
    buf_init(&line, (size_t)8 * SEND_HEADER_BYTES_MAX);
    can = header_write_given(&line, h->name, h->value);
    buf_clear(&line);
    return can;
}

static void check_headers(struct call *c, const struct message_send_in *in)
{
    size_t bytes = 0;

    if (in->n_headers > SEND_HEADERS_MAX) {
        call_fault(c, "/headers", "too_many", "At most %d headers", SEND_HEADERS_MAX);
        return;
    }
    for (size_t i = 0; i < in->n_headers; i++) {
        const struct named_value *h = &in->headers[i];
        bytes += h->name.n + h->value.n + 4;
        if (!header_name_ok(h->name) || h->name.n > SEND_HEADER_NAME_MAX)
            call_fault(c, header_pointer(c, in, i, "name"), "invalid_characters",
                       "A header name has 1 to %d printable ASCII characters and no colon", SEND_HEADER_NAME_MAX);
        else if (is_denied(h->name))
            call_fault(c, header_pointer(c, in, i, "name"), "header_not_allowed",
                       "This header cannot be set here: it has a field of its own or is written by servers");
        else if (!can_be_written(h))
            call_fault(c, header_pointer(c, in, i, "value"), "cannot_be_written",
                       header_form(h->name) == HEADER_ADDRESSES
                           ? "%.*s is a list of addresses like \"Name <a@example.org>\", and more than ASCII only there"
                           : "%.*s is read by programs: ASCII only, and white space at least every 997 characters",
                       SHOW(h->name));
        no_line_ends(c, header_pointer(c, in, i, "value"), h->value);
    }
    if (bytes > SEND_HEADER_BYTES_MAX)
        call_fault(c, "/headers", "too_long", "At most %d bytes together", SEND_HEADER_BYTES_MAX);
}

static bool is_tag_text(struct bytes text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' || text.p[i] == 127)
            return false;
    return bytes_is_ascii(text) && text.n <= SEND_TAG_TEXT_MAX;
}

static void check_tags(struct call *c, const struct message_send_in *in)
{
    if (in->n_tags > SEND_TAGS_MAX) {
        call_fault(c, "/tags", "too_many", "At most %d tags", SEND_TAGS_MAX);
        return;
    }
    for (size_t i = 0; i < in->n_tags; i++) {
        struct bytes name = in->tags[i].name;
        size_t at = place(in->tag_at, i);

        if (!name.n || !is_tag_text(name) || bytes_find(name, '=') < name.n)
            call_fault(c, pointer(c, "tags", at, "name"), "invalid_characters",
                       "1 to %d printable ASCII characters other than '='", SEND_TAG_TEXT_MAX);
        if (!is_tag_text(in->tags[i].value))
            call_fault(c, pointer(c, "tags", at, "value"), "invalid_characters",
                       "At most %d printable ASCII characters", SEND_TAG_TEXT_MAX);
    }
}

static void check_metadata(struct call *c, struct bytes metadata)
{
    struct json_object *o = NULL;
    struct err why = { 0 };
    int n = 0;

    if (!metadata.p)
        return;
    if (metadata.n > SEND_METADATA_MAX)
        call_fault(c, "/metadata", "too_long", "At most %d bytes as JSON", SEND_METADATA_MAX);
    else if (!json_read(metadata, &o, &why) || !json_object_is_type(o, json_type_object))
        call_fault(c, "/metadata", "invalid_type", "An object of strings");
    if (o && json_object_is_type(o, json_type_object)) {
        json_object_object_foreach(o, key, value)
        {
            n++;
            if (!json_object_is_type(value, json_type_string))
                call_fault(c, key_pointer(c, "metadata", bytes_of(key)), "invalid_type", "A string");
        }
        if (n > SEND_METADATA_KEYS_MAX)
            call_fault(c, "/metadata", "too_many", "At most %d keys", SEND_METADATA_KEYS_MAX);
    }
    json_object_put(o);
}

void schedule_check(struct call *c, int64_t at)
{
    int64_t now = store_now(c->store), most = PARAM_INT(message, schedule_max);

    if (at && at <= now)
        call_fault(c, "/scheduled_at", "in_the_past", "It is past already: leave it out to send now");
    else if (at > now + most)
        call_fault(c, "/scheduled_at", "too_late", "At most %lld days ahead", (long long)(most / 86400000));
}

void send_check(struct call *c, const struct message_send_in *in)
{
    check_people(c, in);
    check_text(c, in);
    check_calendar(c, &in->calendar);
    if (in->n_attachments > SEND_ATTACHMENTS_MAX)
        call_fault(c, "/attachments", "too_many", "At most %d attachments", SEND_ATTACHMENTS_MAX);
    else
        for (size_t i = 0; i < in->n_attachments; i++)
            check_attachment(c, in, i);
    check_headers(c, in);
    check_tags(c, in);
    check_metadata(c, in->metadata);
    schedule_check(c, in->scheduled_at);
    if (in->expires_after && (in->expires_after < SEND_EXPIRES_MIN || in->expires_after > SEND_EXPIRES_MAX))
        call_fault(c, "/expires_after", "out_of_range", "%d to %d seconds", SEND_EXPIRES_MIN, SEND_EXPIRES_MAX);
}
