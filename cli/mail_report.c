/* cli/mail_report.c - postrider mail report: what others report about mail of ours, and what they ask of TLS
 * (mail/auth/dmarc_report.h, tls_report.h, sts.h), in whatever it is packed.
 *
 * What it is, is told by how it begins, unless `kind` says it. A failure report is one mail's; its fields are shown as
 * they stand. */
#include "cli/mail.h"
#include "mail/auth/dmarc_report.h"
#include "mail/auth/report.h"
#include "mail/auth/sts.h"
#include "mail/auth/tls_report.h"
#include "service/body/structure.h"

enum { ROWS_MAX = 100000, RATIO_MAX = 100 };
#define INFLATED_MAX ((size_t)32 * 1024 * 1024)

static const struct flag report_flags[] = {
    { "kind", FLAG_TEXT, "kind", false, "dmarc, tls, failure, sts_record or sts_policy; else it is found out" },
    { "mx", FLAG_TEXT, "mx", false, "of a policy: a host, is it let through?" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

/* ---- DMARC ---- */

static void write_reasons(struct jw *w, const struct dmarc_report_row *r)
{
    jw_key(w, "reasons");
    jw_array(w);
    for (size_t i = 0; i < r->n_reasons; i++) {
        jw_object(w);
        jw_key_text(w, "type", r->reasons[i].type);
        jw_key_text(w, "comment", r->reasons[i].comment);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_auth_dkim(struct jw *w, const struct dmarc_report_row *r)
{
    jw_key(w, "auth_dkim");
    jw_array(w);
    for (size_t i = 0; i < r->n_dkim; i++) {
        jw_object(w);
        jw_key_text(w, "domain", r->auth_dkim[i].domain);
        jw_key_text(w, "selector", r->auth_dkim[i].selector);
        jw_key_text(w, "result", r->auth_dkim[i].result);
        jw_key_text(w, "human_result", r->auth_dkim[i].human_result);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_auth_spf(struct jw *w, const struct dmarc_report_row *r)
{
    jw_key(w, "auth_spf");
    jw_array(w);
    for (size_t i = 0; i < r->n_spf; i++) {
        jw_object(w);
        jw_key_text(w, "domain", r->auth_spf[i].domain);
        jw_key_text(w, "scope", r->auth_spf[i].scope);
        jw_key_text(w, "result", r->auth_spf[i].result);
        jw_key_text(w, "human_result", r->auth_spf[i].human_result);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_row(struct jw *w, const struct dmarc_report_row *r)
{
    jw_object(w);
    jw_key_text(w, "source_ip", r->source_ip);
    jw_key_int(w, "count", r->count);
    jw_key_text(w, "disposition", r->disposition);
    jw_key_text(w, "dkim", r->dkim);
    jw_key_text(w, "spf", r->spf);
    jw_key_text(w, "header_from", r->header_from);
    jw_key_text(w, "envelope_from", r->envelope_from);
    jw_key_text(w, "envelope_to", r->envelope_to);
    write_reasons(w, r);
    write_auth_dkim(w, r);
    write_auth_spf(w, r);
    jw_object_end(w);
}

static void write_policy_published(struct jw *w, const struct dmarc_report *r)
{
    jw_key(w, "policy");
    jw_object(w);
    jw_key_text(w, "domain", r->domain);
    jw_key_text(w, "p", r->p);
    jw_key_text(w, "sp", r->sp);
    jw_key_text(w, "np", r->np);
    jw_key_text(w, "adkim", r->adkim);
    jw_key_text(w, "aspf", r->aspf);
    jw_key_text(w, "pct", r->pct);
    jw_key_text(w, "fo", r->fo);
    jw_key_text(w, "testing", r->testing);
    jw_key_text(w, "discovery_method", r->discovery_method);
    jw_object_end(w);
}

static bool show_dmarc(struct mail_case *c, struct bytes text)
{
    struct dmarc_report r;
    struct jw *w = c->out;

    if (!dmarc_report_read(text, ROWS_MAX, c->a, &r, &c->err))
        return false;
    jw_key_text(w, "version", r.version);
    jw_key_text(w, "organization", r.org_name);
    jw_key_text(w, "contact", r.email);
    jw_key_text(w, "extra_contact_info", r.extra_contact_info);
    jw_key_text(w, "generator", r.generator);
    jw_key_text(w, "report_id", r.report_id);
    jw_key_time(w, "begin", r.begin);
    jw_key_time(w, "end", r.end);
    mail_write_texts(c, "errors", r.errors, r.n_errors);
    write_policy_published(w, &r);
    jw_key(w, "rows");
    jw_array(w);
    for (size_t i = 0; i < r.n; i++)
        write_row(w, &r.rows[i]);
    jw_array_end(w);
    jw_key_int(w, "rows_left_out", (int64_t)r.left_out);
    jw_key_text(w, "damaged", r.damaged);
    return true;
}

/* ---- TLS ---- */

static void write_failure(struct jw *w, const struct tls_report_failure *f)
{
    jw_object(w);
    jw_key_text(w, "result_type", f->result_type);
    jw_key_text(w, "sending_mta_ip", f->sending_mta_ip);
    jw_key_text(w, "receiving_mx_hostname", f->receiving_mx_hostname);
    jw_key_text(w, "receiving_mx_helo", f->receiving_mx_helo);
    jw_key_text(w, "receiving_ip", f->receiving_ip);
    jw_key_int(w, "failed_sessions", f->sessions);
    jw_key_text(w, "additional_information", f->additional_information);
    jw_key_text(w, "failure_reason_code", f->failure_reason_code);
    jw_object_end(w);
}

static void write_tls_policy(struct mail_case *c, const struct tls_report_policy *p)
{
    struct jw *w = c->out;

    jw_object(w);
    jw_key_text(w, "type", p->type);
    jw_key_text(w, "domain", p->domain);
    mail_write_texts(c, "policy", p->text, p->n_text);
    mail_write_texts(c, "mx_hosts", p->mx_hosts, p->n_mx_hosts);
    jw_key_int(w, "successful_sessions", p->ok);
    jw_key_int(w, "failed_sessions", p->failed);
    jw_key(w, "failures");
    jw_array(w);
    for (size_t i = 0; i < p->n_failures; i++)
        write_failure(w, &p->failures[i]);
    jw_array_end(w);
    jw_object_end(w);
}

static bool show_tls(struct mail_case *c, struct bytes text)
{
    struct tls_report r;

    if (!tls_report_read(text, c->a, &r, &c->err))
        return false;
    jw_key_text(c->out, "organization", r.organization);
    jw_key_text(c->out, "contact", r.contact);
    jw_key_text(c->out, "report_id", r.id);
    jw_key_time(c->out, "begin", r.begin);
    jw_key_time(c->out, "end", r.end);
    jw_key(c->out, "policies");
    jw_array(c->out);
    for (size_t i = 0; i < r.n; i++)
        write_tls_policy(c, &r.policies[i]);
    jw_array_end(c->out);
    return true;
}

/* ---- MTA-STS, failures ---- */

static bool show_record(struct mail_case *c, struct bytes text)
{
    struct bytes id;

    if (!sts_record_read(bytes_trim(text), &id, &c->err))
        return false;
    jw_key_text(c->out, "id", id);
    return true;
}

static bool show_policy(struct mail_case *c, struct bytes text)
{
    struct bytes host = mail_text(c, "mx");
    struct sts_policy p;

    if (!sts_policy_read(text, c->a, &p, &c->err))
        return false;
    jw_key_text(c->out, "mode", bytes_of(sts_mode_name(p.mode)));
    jw_key_int(c->out, "max_age", p.max_age);
    mail_write_texts(c, "mx", p.mx, p.n);
    if (host.p)
        jw_key_bool(c->out, "lets", sts_policy_lets(&p, host));
    return true;
}

static bool show_failure(struct mail_case *c, struct bytes text)
{
    struct mail_limits limits = mail_limits_now();
    struct bytes rest = text;
    struct header h;

    jw_key(c->out, "fields");
    jw_array(c->out);
    while (header_next(&rest, &h)) {
        jw_object(c->out);
        jw_key_text(c->out, "name", h.name);
        jw_key_text(c->out, "value", header_decode(h.value, limits, c->a));
        jw_object_end(c->out);
    }
    jw_array_end(c->out);
    return true;
}

static bool show(struct mail_case *c, const struct report_text *r)
{
    jw_key_text(c->out, "kind", bytes_of(report_kind_name(r->kind)));
    switch (r->kind) {
    case REPORT_DMARC: return show_dmarc(c, r->text);
    case REPORT_TLS: return show_tls(c, r->text);
    case REPORT_FAILURE: return show_failure(c, r->text);
    case REPORT_STS_RECORD: return show_record(c, r->text);
    case REPORT_STS_POLICY: return show_policy(c, r->text);
    default: return err_set(&c->err, ERR_INVALID, "This is no report, and no policy");
    }
}

static bool run(struct mail_case *c)
{
    struct report_limits limits = { structure_limits(), { INFLATED_MAX, RATIO_MAX } };
    struct bytes kind = mail_text(c, "kind");
    enum report_kind wanted = REPORT_NONE;
    struct report_text r;

    if (kind.p && !report_kind_of(kind, &wanted))
        return err_set(&c->err, ERR_INVALID, "\"%.*s\" is no kind of report", SHOW(kind));
    if (wanted == REPORT_STS_POLICY || wanted == REPORT_STS_RECORD)
        r.text = c->value;
    else if (!report_open(c->value, &limits, c->a, &r, &c->err))
        return false;
    if (wanted != REPORT_NONE)
        r.kind = wanted;
    return show(c, &r);
}

const struct mail_verb mail_verb_report = { .name = "report",
                                            .member = "report",
                                            .raw = true,
                                            .flags = report_flags,
                                            .run = run,
                                            .help = "a report of DMARC or TLS (also packed, or as a mail), or what "
                                                    "MTA-STS publishes" };
