/* mail/header_form.c - fields that somebody else gives us to write, each by its grammar.
 *
 * Encoded words stand in free text and in display names, nowhere else (RFC 2047 5). So a field is one of three: a list
 * of addresses is read and written again, where it has more than ASCII; what other programs read stays in clear or is
 * refused; all others, among them every X- field that is not named here, are text. */
#include "mail/address.h"
#include "mail/chars.h"
#include "mail/header.h"

enum { VALUE_MAX = 256 * 1024, LIST_MEMORY = 4 * 1024 * 1024 };

/* The registry of message headers (RFC 3864) and what mail programs have beside. The first row that fits counts; a
 * final '*' stands for any rest. */
static const struct {
    const char *name;
    enum header_form form;
} forms[] = {
    /* RFC 5322 3.6, 8098, 9057, 9228, 5536, and draft-ietf-drums-mail-followup-to */
    { "Return-Receipt-To", HEADER_ADDRESSES },
    { "Disposition-Notification-To", HEADER_ADDRESSES },
    { "Errors-To", HEADER_ADDRESSES },
    { "Apparently-To", HEADER_ADDRESSES },
    { "Mail-Followup-To", HEADER_ADDRESSES },
    { "Mail-Reply-To", HEADER_ADDRESSES },
    { "Mail-Copies-To", HEADER_ADDRESSES },
    { "Delivered-To", HEADER_ADDRESSES },
    { "Envelope-To", HEADER_ADDRESSES },
    { "Author", HEADER_ADDRESSES },
    { "Approved", HEADER_ADDRESSES },
    { "Original-From", HEADER_ADDRESSES },
    { "Original-Sender", HEADER_ADDRESSES },
    { "Original-To", HEADER_ADDRESSES },
    { "Original-Cc", HEADER_ADDRESSES },
    { "From", HEADER_ADDRESSES },
    { "Sender", HEADER_ADDRESSES },
    { "Reply-To", HEADER_ADDRESSES },
    { "To", HEADER_ADDRESSES },
    { "Cc", HEADER_ADDRESSES },
    { "X-Original-To", HEADER_ADDRESSES },
    { "X-Original-From", HEADER_ADDRESSES },
    { "X-Delivered-To", HEADER_ADDRESSES },
    { "X-Envelope-To", HEADER_ADDRESSES },
    { "X-Envelope-From", HEADER_ADDRESSES },
    { "X-Forwarded-To", HEADER_ADDRESSES },
    { "X-Forwarded-For", HEADER_ADDRESSES },
    { "X-Confirm-Reading-To", HEADER_ADDRESSES },
    { "X-RCPT-To", HEADER_ADDRESSES },
    { "Original-Subject", HEADER_TEXT },
    { "Content-Description", HEADER_TEXT },
    /* RFC 2369, 2919, 3834, 8058, 5322, 2156 (X.400), 8098, 6477 (MMHS), 5536 (news) and others */
    { "List-*", HEADER_CLEAR },
    { "Auto-Submitted", HEADER_CLEAR },
    { "References", HEADER_CLEAR },
    { "In-Reply-To", HEADER_CLEAR },
    { "Message-ID", HEADER_CLEAR },
    { "Date", HEADER_CLEAR },
    { "Received*", HEADER_CLEAR },
    { "Return-Path", HEADER_CLEAR },
    { "MIME-Version", HEADER_CLEAR },
    { "Content-*", HEADER_CLEAR },
    { "Authentication-Results", HEADER_CLEAR },
    { "DKIM-*", HEADER_CLEAR },
    { "ARC-*", HEADER_CLEAR },
    { "Precedence", HEADER_CLEAR },
    { "Importance", HEADER_CLEAR },
    { "Priority", HEADER_CLEAR },
    { "X-Priority", HEADER_CLEAR },
    { "X-MSMail-Priority", HEADER_CLEAR },
    { "Sensitivity", HEADER_CLEAR },
    { "Disposition-Notification-*", HEADER_CLEAR },
    { "X-Auto-Response-Suppress", HEADER_CLEAR },
    { "Feedback-ID", HEADER_CLEAR },
    { "Require-Recipient-Valid-Since", HEADER_CLEAR },
    { "TLS-*", HEADER_CLEAR },
    { "MT-Priority", HEADER_CLEAR },
    { "Autocrypt*", HEADER_CLEAR },
    { "BIMI-*", HEADER_CLEAR },
    { "CFBL-*", HEADER_CLEAR },
    { "VBR-Info", HEADER_CLEAR },
    { "Solicitation", HEADER_CLEAR },
    { "Original-*", HEADER_CLEAR },
    { "Originator-*", HEADER_CLEAR },
    { "Message-Context", HEADER_CLEAR },
    { "Message-Type", HEADER_CLEAR },
    { "Archived-At", HEADER_CLEAR },
    { "X-Archived-At", HEADER_CLEAR },
    { "Accept-Language", HEADER_CLEAR },
    { "Language", HEADER_CLEAR },
    { "Encrypted", HEADER_CLEAR },
    { "Encoding", HEADER_CLEAR },
    { "PICS-Label", HEADER_CLEAR },
    { "Jabber-ID", HEADER_CLEAR },
    { "EDIINT-Features", HEADER_CLEAR },
    { "SIO-Label*", HEADER_CLEAR },
    { "HP-Outer", HEADER_CLEAR },
    { "Reply-By", HEADER_CLEAR },
    { "Expir*", HEADER_CLEAR }, /* Expires, Expiry-Date */
    { "Supersedes", HEADER_CLEAR },
    { "Obsoletes", HEADER_CLEAR },
    { "Alternate-Recipient", HEADER_CLEAR },
    { "Conversion*", HEADER_CLEAR },
    { "Deferred-Delivery", HEADER_CLEAR },
    { "Delivery-Date", HEADER_CLEAR },
    { "Latest-Delivery-Time", HEADER_CLEAR },
    { "Disclose-Recipients", HEADER_CLEAR },
    { "Discarded-X400-*", HEADER_CLEAR },
    { "X400-*", HEADER_CLEAR },
    { "DL-Expansion-History", HEADER_CLEAR },
    { "Generate-Delivery-Report", HEADER_CLEAR },
    { "Prevent-NonDelivery-Report", HEADER_CLEAR },
    { "Incomplete-Copy", HEADER_CLEAR },
    { "MMHS-*", HEADER_CLEAR },
    { "Newsgroups", HEADER_CLEAR },
    { "Followup-To", HEADER_CLEAR },
    { "Distribution", HEADER_CLEAR },
    { "Control", HEADER_CLEAR },
    { "Also-Control", HEADER_CLEAR },
    { "Cancel-*", HEADER_CLEAR },
    { "Injection-*", HEADER_CLEAR },
    { "NNTP-*", HEADER_CLEAR },
    { "Path", HEADER_CLEAR },
    { "Xref", HEADER_CLEAR },
    { "Lines", HEADER_CLEAR },
    { "Archive", HEADER_CLEAR },
    { "Posted-And-Mailed", HEADER_CLEAR },
    { "See-Also", HEADER_CLEAR },
    { "User-Agent", HEADER_CLEAR },
};

enum header_form header_form(struct bytes name)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct bytes s = bytes_of(forms[i].name);
        bool prefix = bytes_ends(s, BYTES("*"));

        if (prefix ? bytes_starts_nocase(name, bytes_head(s, s.n - 1)) : bytes_equal_nocase(name, s))
            return forms[i].form;
    }
    return HEADER_TEXT;
}

static bool list_write(const struct address_list *list, struct buf *value)
{
    for (size_t i = 0; i < list->n; i++) {
        buf_adds(value, i ? ", " : "");
        address_write(value, &list->list[i]);
    }
    return list->n && !list->faults && !list->groups && !value->overflowed;
}

static bool write_addresses(struct buf *out, struct bytes name, struct bytes given)
{
    struct arena *a = arena_new(LIST_MEMORY);
    struct address_list list;
    struct buf value;
    bool ok;

    buf_init(&value, VALUE_MAX);
    address_list_parse(given, SIZE_MAX, (struct mail_limits){ .header_value = given.n }, a, &list);
    ok = list_write(&list, &value) && !arena_full(a) && header_write_raw(out, name, buf_bytes(&value));
    buf_clear(&value);
    arena_free(&a);
    return ok;
}

bool header_write_given(struct buf *out, struct bytes name, struct bytes value)
{
    enum header_form form = header_form(name);

    if (form == HEADER_TEXT)
        return header_write(out, name, value);
    if (header_fits_clear(value))
        return header_write_raw(out, name, value);
    return form == HEADER_ADDRESSES && !bytes_has_ctl_line(value) && write_addresses(out, name, value);
}
