/* service/message/preview_warnings.c - what of a mail is no fault and should be looked at before it is sent: its
 * domain, its links, its attachments. Each kind is told once. */
#include "service/identity/directory.h"
#include "service/identity/dkim.h"
#include "service/identity/domain_records.h"
#include "service/message/preview.h"
#include "service/template/link_warnings.h"
#include <assert.h>

#define CLIPPED_AT ((size_t)102 * 1024) /* Gmail shows no more of a mail's HTML */

static void warn(struct preview_out *out, const char *code, struct bytes message)
{
    for (size_t i = 0; i < out->n_warnings; i++)
        if (strcmp(out->warnings[i].code, code) == 0)
            return;
    assert(out->n_warnings < PREVIEW_WARNINGS);
    out->warnings[out->n_warnings++] = (struct preview_warning){ code, message };
}

/* ---- the domain ---- */

/* The status of the first record for that purpose. */
static struct bytes status_of(struct json_object *records, const char *purpose)
{
    size_t n = json_object_array_length(records);

    for (size_t i = 0; i < n; i++) {
        struct json_object *record = json_object_array_get_idx(records, i);

        if (bytes_equal(json_text(record, "purpose"), bytes_of(purpose)))
            return json_text(record, "status");
    }
    return NO_BYTES;
}

static void warn_record(struct call *c, struct json_object *records, const char *purpose, const char *code,
                        struct bytes domain, struct preview_out *out)
{
    struct bytes status = status_of(records, purpose);

    if (bytes_equal(status, BYTES("missing")) || bytes_equal(status, BYTES("wrong")))
        warn(out, code,
             arena_bytesf(c->arena, "The %s record of %.*s is %.*s: postrider domain records %.*s", purpose,
                          SHOW(domain), SHOW(status), SHOW(domain)));
}

/* By what its DNS was heard to say last. */
static bool warn_records(struct call *c, struct bytes name, struct preview_out *out)
{
    struct json_object *records = NULL;
    struct domain_view v = { 0 };

    if (!domain_of_account(c, name, &v.row))
        return call_was_missing(c);
    if (!v.row.checked_at)
        return true;
    if (!dkim_list(c, &v.row.id, 1, &v.dkim, &v.n_dkim) || !domain_records(c, &v) ||
        !json_read(v.records, &records, &c->err))
        return false;
    warn_record(c, records, "spf", "spf_missing", v.row.name, out);
    warn_record(c, records, "dmarc", "dmarc_missing", v.row.name, out);
    json_object_put(records);
    return true;
}

static bool warn_domain(struct call *c, const struct message_send_in *in, struct preview_out *out)
{
    struct directory_domain domain;

    if (!in->from.address.domain.p)
        return true;
    if (!directory_domain(c, in->from.address.domain, &domain))
        return call_was_missing(c);
    if (!id_equal(domain.account_id, c->account))
        return true;
    if (!domain.verified)
        warn(out, "domain_unverified",
             arena_bytesf(c->arena, "%.*s is not verified: in live mode its mail does not leave this server",
                          SHOW(domain.name)));
    return warn_records(c, domain.name, out);
}

/* ---- the text ---- */

static void warn_links(struct call *c, struct bytes html, struct preview_out *out)
{
    struct rendering_warning links[LINK_WARNINGS];
    size_t n = link_warnings(html, c->arena, links);

    for (size_t i = 0; i < n; i++)
        warn(out, links[i].code, links[i].message);
}

static void warn_html(struct call *c, const struct message_send_in *in, struct preview_out *out)
{
    if (!in->html.p)
        return;
    if (!in->text.p)
        warn(out, "no_text", BYTES("There is no text: one is made from the HTML"));
    if (in->html.n > CLIPPED_AT)
        warn(out, "html_clipped",
             arena_bytesf(c->arena, "The HTML has %zu bytes: of more than %zu Gmail hides the rest", in->html.n,
                          CLIPPED_AT));
    warn_links(c, in->html, out);
}

/* ---- attachments ---- */

static bool is_risky(struct bytes filename)
{
    static const char *const types[] = { ".exe", ".com", ".scr", ".bat", ".cmd",  ".pif",  ".msi", ".js",  ".jse",
                                         ".vbs", ".vbe", ".wsf", ".hta", ".jar",  ".ps1",  ".lnk", ".cpl", ".iso",
                                         ".img", ".reg", ".dll", ".chm", ".docm", ".xlsm", ".pptm" };
    struct bytes type = bytes_from(filename, bytes_find_last(filename, '.'));

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bytes_equal_nocase(type, bytes_of(types[i])))
            return true;
    return false;
}

static void warn_attachments(struct call *c, const struct message_send_in *in, struct preview_out *out)
{
    for (size_t i = 0; i < in->n_attachments; i++)
        if (is_risky(in->attachments[i].filename))
            warn(out, "attachment_risky",
                 arena_bytesf(c->arena, "Many servers refuse files like %.*s", SHOW(in->attachments[i].filename)));
}

void preview_warn_rendering(const struct rendering *r, struct preview_out *out)
{
    for (size_t i = 0; r && i < r->n_warnings; i++)
        if (strncmp(r->warnings[i].code, "va", 2) == 0) /* of variables and values; the rest is seen in the mail */
            warn(out, r->warnings[i].code, r->warnings[i].message);
}

bool preview_warn(struct call *c, const struct message_send_in *in, struct preview_out *out)
{
    warn_html(c, in, out);
    warn_attachments(c, in, out);
    return warn_domain(c, in, out);
}
