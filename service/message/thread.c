/* service/message/thread.c - what a mail answers: the fields of RFC 5322 3.6.4 from its parent.
 *
 * The parent is one of ours, by its id, or any mail, by its Message-ID. Its header is read as far as it goes, and only
 * if whoever asks may read it; otherwise it is answered by its id alone. What is no well-formed id is left out: these
 * fields come from strangers and go into our header. */
#include "mail/header.h"
#include "service/body/content.h"
#include "service/body/seal.h"
#include "service/body/structure.h"
#include "service/box/entry_private.h"
#include "service/message/message_private.h"
#include "service/message/send_check.h"

/* Longer lists of ancestors lose the oldest ones. */
#define REFERENCES_MAX 4000

static bool fits(struct bytes id)
{
    return id.n >= 3 && id.n <= SEND_SUBJECT_MAX && id.p[0] == '<' && id.p[id.n - 1] == '>' && bytes_is_ascii(id) &&
           !bytes_has_ctl_line(id) && bytes_find(id, ' ') == id.n && bytes_find(id, '\t') == id.n;
}

/* The ids in a field; what is none falls away. */
static void add_ids(struct buf *out, struct bytes field)
{
    struct bytes word;

    while (field.n) {
        bytes_cut(field, ' ', &word, &field);
        if (fits(word))
            buf_addf(out, "%.*s ", SHOW(word));
    }
}

/* The newest ids that fit, and the parent. */
static struct bytes line_of(struct call *c, struct bytes ancestors, struct bytes parent)
{
    while (ancestors.n > REFERENCES_MAX) {
        size_t space = bytes_find(ancestors, ' ');

        ancestors = bytes_from(ancestors, space < ancestors.n ? space + 1 : space);
    }
    return arena_bytesf(c->arena, "%.*s%.*s", SHOW(ancestors), SHOW(parent));
}

/* From the parent's header: its References, else a single In-Reply-To. */
static struct bytes references_of(struct call *c, struct bytes header, struct bytes parent)
{
    struct header field;
    struct buf ids;
    struct bytes line;

    buf_init(&ids, 64 * 1024);
    if (header_find(header, "References", 0, &field))
        add_ids(&ids, header_decode(field.value, mail_limits_now(), c->arena));
    else if (header_find(header, "In-Reply-To", 0, &field) && fits(bytes_trim(field.value)))
        add_ids(&ids, bytes_trim(field.value));
    line = line_of(c, ids.overflowed ? NO_BYTES : buf_bytes(&ids), parent);
    buf_clear(&ids);
    return line;
}

/* Is the parent only not to be read any more, or not by us? Then it is answered by its id alone. */
static bool is_unreadable(struct call *c)
{
    if (c->err.code != ERR_GONE && c->err.code != ERR_SEALED && c->err.code != ERR_SCOPE)
        return call_was_missing(c);
    c->err = (struct err){ 0 };
    return true;
}

/* False with the error of the read that failed. */
static bool read_references(struct call *c, struct content *content, struct bytes parent, struct bytes *line)
{
    struct buf head;
    struct bytes piece = NO_BYTES;
    bool ok;

    buf_init(&head, 256 * 1024);
    do {
        ok = content_next(content, &piece, &c->err);
        if (ok)
            buf_add(&head, piece);
    } while (ok && piece.n && !head.overflowed && header_end(buf_bytes(&head)) == head.n);
    if (ok)
        *line = references_of(c, bytes_head(buf_bytes(&head), header_end(buf_bytes(&head))), parent);
    buf_clear(&head);
    return ok;
}

/* A parent's id as a field of ours may name it; NO_BYTES when it has none. Older rows keep it without brackets. */
static struct bytes usable(struct call *c, struct bytes id)
{
    if (id.n && id.p[0] != '<')
        id = arena_bytesf(c->arena, "<%.*s>", SHOW(id));
    return fits(id) ? id : NO_BYTES;
}

static bool of_message(struct call *c, struct bytes given, struct thread *out)
{
    struct content_out content = { 0 };
    struct message_row row;
    struct crypt_key key;
    bool ok;

    if (!message_find(c, given, &row))
        return call_was_missing(c);
    out->found = true;
    out->in_reply_to = out->references = usable(c, row.header_message_id);
    if (!out->in_reply_to.p)
        return true;
    if (!row.wrapped_key.p || !seal_open_server(c->svc, row.id, row.wrapped_key, row.wrap, &key, &c->err))
        return is_unreadable(c);
    ok = content_open(c, row.body_id, &key, NO_BYTES, &content) &&
         read_references(c, content.content, out->in_reply_to, &out->references);
    content_close(&content.content);
    crypt_wipe(&key, sizeof key);
    return ok || is_unreadable(c);
}

static bool of_entry(struct call *c, struct bytes given, struct thread *out)
{
    const struct entry_raw_in in = { .id = given };
    struct content_out content = { 0 };
    struct entry_view entry;
    bool ok;

    if (!entry_summary(c, given, &entry))
        return is_unreadable(c);
    out->found = true;
    out->in_reply_to = out->references = usable(c, entry.header_message_id);
    if (!out->in_reply_to.p)
        return true;
    ok = entry_raw(c, &in, &content) && read_references(c, content.content, out->in_reply_to, &out->references);
    content_close(&content.content);
    return ok || is_unreadable(c);
}

bool thread_find(struct call *c, struct bytes given, struct thread *out)
{
    struct id id;
    bool ok = true;

    *out = (struct thread){ 0 };
    if (id_parse(message_kind.prefix, given, &id))
        ok = of_message(c, given, out);
    else if (id_parse(entry_kind.prefix, given, &id))
        ok = of_entry(c, given, out);
    else if (fits(given))
        *out = (struct thread){ .found = true, .in_reply_to = given, .references = given };
    if (ok && !out->found)
        call_fault(c, "/in_reply_to", "not_found", "Neither a message of ours nor a Message-ID in angle brackets");
    return ok;
}
