/* service/message/message_raw.c - a whole mail through the API (message/rfc822): line ends made CRLF, envelope from the
 * request or the header. Only the header is held in memory; the body goes on to the intake as it comes, in slices, so
 * that its size costs nothing here. */
#include "base/params.h"
#include "service/body/crlf.h"
#include "service/body/structure.h"
#include "service/identity/sender.h"
#include "service/identity/stream.h"
#include "service/message/message_private.h"
#include "service/message/send_check.h"
#include <assert.h>

struct raw {
    struct call *c;
    const struct message_send_in *in;
    struct crlf crlf;
    struct bytes rest; /* of the chunk read last */
    struct buf text;   /* what has come and is not handed on: first of all the header */
    bool ended;
};

/* Taken from a chunk at once, whatever its size. */
#define SLICE ((size_t)64 * 1024)

/* More of the mail at the end of r->text. */
static bool read_more(struct raw *r)
{
    struct bytes slice;

    if (!r->rest.n && !r->in->raw.read(r->in->raw.ctx, &r->rest, &r->c->err))
        return false;
    r->ended = r->rest.n == 0;
    slice = bytes_head(r->rest, SLICE);
    r->rest = bytes_from(r->rest, slice.n);
    if (!r->ended)
        crlf_add(&r->crlf, slice, &r->text);
    else
        crlf_end(&r->crlf, &r->text);
    assert(!r->text.overflowed);
    return true;
}

static bool read_header(struct raw *r)
{
    struct header_scan scan = { 0 };
    size_t end;

    while (!r->ended) {
        if (header_whole(&scan, buf_bytes(&r->text), &end))
            return true;
        if (r->text.n > (size_t)PARAM_INT(message, header_max))
            return err_set(&r->c->err, ERR_HEADERS_TOO_LARGE, "The header is larger than %lld bytes",
                           (long long)PARAM_INT(message, header_max));
        if (!read_more(r))
            return false;
    }
    return true;
}

static bool header_address(struct raw *r, struct bytes header, struct bytes *out)
{
    struct address_list list = { 0 };
    struct err why = { 0 };
    struct header field;
    struct bytes path;

    if (header_find(header, "From", 0, &field))
        address_list_parse(field.value, 2, mail_limits_now(), r->c->arena, &list);
    if (list.n != 1)
        return call_fault(r->c, "/from", "invalid_address", "The header must have one From with one address");
    if (!address_normalize(&list.list[0], false, r->c->arena, &path, &why))
        return call_fault(r->c, "/from", "invalid_address", "%s", why.message);
    *out = list.list[0].email;
    return true;
}

static bool find_sender(struct raw *r, struct bytes header, struct bytes *out)
{
    struct address address;
    struct err why = { 0 };

    if (!r->in->raw_from.p)
        return header_address(r, header, out) || call_check(r->c);
    if (!address_parse(r->in->raw_from, r->c->arena, &address, &why)) {
        call_fault(r->c, "/from", "invalid_address", "%s", why.message);
        return call_check(r->c);
    }
    *out = address.email;
    return sender_allowed(r->c, &address);
}

/* To, Cc and Bcc of the header, or what the request says. */
static void find_recipients(struct raw *r, struct bytes header, struct address **list, size_t *n)
{
    static const char *const names[] = { "To", "Cc", "Bcc" }, *const pointers[] = { "to", "cc", "bcc" };
    size_t most = (size_t)PARAM_INT(message, recipients_max) + 1;
    struct err why = { 0 };
    struct header field;

    *list = arena_array(r->c->arena, most + r->in->n_raw_to, sizeof **list);
    *n = 0;
    for (size_t i = 0; i < r->in->n_raw_to && i < most; i++)
        if (address_parse(r->in->raw_to[i], r->c->arena, &(*list)[*n], &why))
            ++*n;
        else
            call_fault(r->c, arena_printf(r->c->arena, "/to/%zu", i), "invalid_address", "%s", why.message);
    if (r->in->n_raw_to)
        return;
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; *n < most && header_find(header, names[i], j, &field); j++) {
            struct address_list found = { 0 };
            address_list_parse(field.value, most - *n, mail_limits_now(), r->c->arena, &found);
            if (found.faults)
                call_fault(r->c, arena_printf(r->c->arena, "/%s", pointers[i]), "invalid_address",
                           "The header's %s has an address that cannot be read: %.*s", names[i],
                           SHOW(bytes_head(found.fault, 200)));
            for (size_t l = 0; l < found.n && *n < most; l++)
                (*list)[(*n)++] = found.list[l];
        }
}

static bool check_recipients(struct raw *r, struct bytes header, struct intake_in *k)
{
    struct recipient *recipients;
    struct address *list;
    size_t n, most = (size_t)PARAM_INT(message, recipients_max);

    find_recipients(r, header, &list, &n);
    if (n == 0)
        call_fault(r->c, "/to", "required", "No recipient, neither in the request nor in the header");
    if (n > most || r->in->n_raw_to > most)
        call_fault(r->c, "/to", "too_many", "At most %zu recipients", most);
    if (!call_check(r->c))
        return false;
    recipients = arena_array(r->c->arena, n, sizeof *recipients);
    for (size_t i = 0; i < n; i++)
        if (!send_recipient(r->c, &list[i], arena_printf(r->c->arena, "/to/%zu", i), &recipients[i]))
            return false;
    k->recipients = recipients;
    k->n_recipients = send_unique(r->c, recipients, n);
    return true;
}

static bool pour(struct raw *r, struct intake *intake)
{
    if (!intake_append(intake, r->c, buf_bytes(&r->text)))
        return false;
    while (!r->ended) {
        buf_reset(&r->text);
        if (!read_more(r) || !intake_append(intake, r->c, buf_bytes(&r->text)))
            return false;
    }
    return true;
}

/* A raw mail says itself how to unsubscribe, or does not: a broadcast is composed here. */
static bool find_stream(struct raw *r, struct intake_in *k)
{
    struct sending s = { .in = r->in };

    if (!send_stream(r->c, &s))
        return false;
    if (stream_is_broadcast(&s.stream))
        call_fault(r->c, "/stream", "not_allowed", "A raw mail cannot be a broadcast: send JSON");
    k->stream_id = s.stream.id;
    k->stream = s.stream.slug;
    k->expires_after = s.in->expires_after;
    return true;
}

static bool send_streamed(struct raw *r, struct intake_out *out)
{
    struct intake_in k = { 0 };
    struct intake *intake = NULL;
    struct bytes header;

    schedule_check(r->c, r->in->scheduled_at);
    if (!find_stream(r, &k) || !read_header(r))
        return false;
    header = bytes_head(buf_bytes(&r->text), header_end(buf_bytes(&r->text)));
    if (!find_sender(r, header, &k.envelope_from) || !check_recipients(r, header, &k))
        return false;
    k.envelope_from = arena_copy(r->c->arena, k.envelope_from);
    k.no_store = r->in->no_store;
    k.dsn_wanted = r->in->dsn;
    k.token_path = !r->in->raw_from.p;
    k.scheduled_at = r->in->scheduled_at;
    send_received(r->c, &k);
    if (!intake_begin(r->c, &k, &intake))
        return false;
    if (pour(r, intake))
        return intake_commit(&intake, r->c, out);
    intake_drop(&intake);
    return false;
}

bool send_raw(struct call *c, const struct message_send_in *in, struct intake_out *out)
{
    struct raw r = { .c = c, .in = in };
    bool ok;

    buf_init(&r.text, (size_t)PARAM_INT(message, header_max) + 4 * SLICE);
    ok = send_streamed(&r, out);
    buf_clear(&r.text);
    return ok;
}
