/* cli/mail_verify.c - postrider mail verify, arc and dmarc: the origin of a whole mail, its chain alone, or DMARC for
 * identities that are given (mail/auth/).
 *
 * The questions of SPF, of signatures and of DMARC are of three rounds: DMARC waits for what passed. One book holds
 * them all. */
#include "cli/mail.h"
#include "mail/auth/results.h"
#include <json-c/json.h>

enum { SIGNATURES_MAX = 100, IDENTITIES_MAX = 100 };
#define SKEW ((int64_t)300 * 1000)

static const struct flag verify_flags[] = {
    { "ip", FLAG_TEXT, "ip", false, "address of the host that sent it; without it SPF is not looked at" },
    { "helo", FLAG_TEXT, "helo", false, "the name it gave" },
    { "mail-from", FLAG_TEXT, "mail_from", false, "the sender of the envelope; empty: of HELO" },
    { "host", FLAG_TEXT, "host", false, "who verifies: the id in Authentication-Results (localhost)" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

static const struct flag dmarc_flags[] = {
    { "spf", FLAG_TEXT, "spf", false, "domain that passed SPF" },
    { "dkim", FLAG_TEXTS, "dkim", false, "domain that passed DKIM, may be repeated" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

/* ---- what is written ---- */

static void write_number(struct jw *w, const char *name, bool there, int64_t n)
{
    jw_key(w, name);
    if (there)
        jw_int(w, n);
    else
        jw_null(w);
}

static void write_dkim(struct jw *w, const struct dkim_seen *s)
{
    jw_object(w);
    jw_key_text(w, "result", auth_result_text(s->result));
    jw_key_text(w, "domain", s->domain);
    jw_key_text(w, "selector", s->selector);
    jw_key_text(w, "identity", s->agent);
    jw_key_text(w, "algorithm", s->algorithm);
    jw_key_text(w, "header_canonicalization", s->header_form);
    jw_key_text(w, "body_canonicalization", s->body_form);
    jw_key_text(w, "signed_fields", s->names);
    jw_key_time(w, "signed_at", s->signed_at);
    jw_key_time(w, "expires_at", s->expires_at);
    write_number(w, "body_length", s->length >= 0, s->length);
    write_number(w, "key_bits", s->bits > 0, s->bits);
    jw_key_bool(w, "testing", s->testing);
    jw_key_bool(w, "verified", s->verified);
    jw_key_text(w, "problem", s->why);
    jw_object_end(w);
}

static void write_signatures(struct jw *w, const struct verified *v)
{
    jw_key(w, "dkim");
    jw_array(w);
    for (size_t i = 0; i < v->n_dkim; i++)
        write_dkim(w, &v->dkim[i]);
    jw_array_end(w);
    jw_key_int(w, "signatures_passed_over", (int64_t)v->passed_over);
}

static void write_arc(struct jw *w, const struct arc_seen *a)
{
    jw_key_text(w, "result", auth_result_text(a->result));
    jw_key_int(w, "instances", a->instances);
    jw_key_text(w, "domain", a->domain);
    jw_key_text(w, "results", a->results);
    jw_key_text(w, "problem", a->why);
}

static void write_policy(struct jw *w, const char *name, enum dmarc_policy p)
{
    jw_key_text(w, name, dmarc_policy_text(p));
}

static void write_list(struct jw *w, const char *name, const struct bytes *list, size_t n)
{
    jw_key(w, name);
    jw_array(w);
    for (size_t i = 0; i < n; i++)
        jw_text(w, list[i]);
    jw_array_end(w);
}

static void write_record(struct jw *w, const struct dmarc_record *r)
{
    char psd[2] = { r->psd, 0 };

    jw_object(w);
    jw_key_text(w, "text", r->text);
    write_policy(w, "p", r->p);
    write_policy(w, "sp", r->sp);
    write_policy(w, "np", r->np);
    jw_key_text(w, "adkim", r->strict_dkim ? BYTES("s") : BYTES("r"));
    jw_key_text(w, "aspf", r->strict_spf ? BYTES("s") : BYTES("r"));
    jw_key_text(w, "psd", bytes_of(psd));
    jw_key_bool(w, "testing", r->testing);
    jw_key_int(w, "pct", r->pct);
    jw_key_text(w, "fo", r->fo);
    write_list(w, "rua", r->rua, r->n_rua);
    write_list(w, "ruf", r->ruf, r->n_ruf);
    jw_object_end(w);
}

static void write_dmarc(struct jw *w, const struct dmarc_verdict *d)
{
    jw_key_text(w, "result", auth_result_text(d->result));
    jw_key_text(w, "from", d->from);
    write_policy(w, "policy", d->policy);
    jw_key_text(w, "policy_tag", d->record ? bytes_of(d->tag) : NO_BYTES);
    write_policy(w, "disposition", d->disposition);
    jw_key_text(w, "policy_domain", d->policy_domain);
    jw_key_text(w, "organizational_domain", d->organization);
    jw_key_text(w, "dkim_aligned", d->dkim);
    jw_key_text(w, "spf_aligned", d->spf);
    jw_key(w, "record");
    if (d->record)
        write_record(w, d->record);
    else
        jw_null(w);
    jw_key_text(w, "problem", d->why);
}

/* ---- what is asked ---- */

struct verifying {
    struct mail_case *c;
    struct lookups book;
    struct spf_asked spf;
    struct spf_verdict spf_verdict;
    bool has_spf, spf_done;
    struct verifier *verifier;
    struct verified verified;
    bool signatures_done;
    struct dmarc_asked dmarc;
    struct dmarc_verdict dmarc_verdict;
    enum auth_result author; /* AUTH_PASS: DMARC is looked at */
    struct bytes author_why;
};

static void ask_dmarc(struct verifying *v)
{
    struct dmarc_identity *ids = arena_array(v->c->a, v->verified.n_dkim + 1, sizeof *ids);

    for (size_t i = 0; i < v->verified.n_dkim; i++)
        ids[i] = (struct dmarc_identity){ v->verified.dkim[i].domain, v->verified.dkim[i].result };
    v->dmarc.dkim = ids;
    v->dmarc.n_dkim = v->verified.n_dkim;
    if (v->has_spf)
        v->dmarc.spf = (struct dmarc_identity){ v->spf.domain, v->spf_verdict.result };
    dmarc_check(&v->dmarc, &v->book, &v->dmarc_verdict);
}

static void judge(void *arg)
{
    struct verifying *v = arg;

    v->spf_done = !v->has_spf || spf_check(&v->spf, &v->book, &v->spf_verdict);
    v->signatures_done = verify_judge(v->verifier, &v->book, &v->verified);
    if (v->spf_done && v->signatures_done && v->author == AUTH_PASS)
        ask_dmarc(v);
}

static struct bytes body_of(struct bytes message, size_t end)
{
    struct bytes body = bytes_from(message, end);

    return bytes_starts(body, BYTES("\r\n")) ? bytes_from(body, 2) : body;
}

static bool verify(struct verifying *v)
{
    struct verify_how how = { .now = v->c->now, .skew = SKEW, .signatures = SIGNATURES_MAX };
    struct bytes message = v->c->value;
    size_t end = header_end(message);
    bool ok;

    v->verifier = verify_begin(&how, bytes_head(message, end), v->c->a);
    v->author = dmarc_author(bytes_head(message, end), v->c->a, &v->dmarc.from, &v->author_why);
    v->dmarc_verdict = (struct dmarc_verdict){ .result = v->author, .why = v->author_why, .policy = DMARC_UNSAID };
    verify_feed(v->verifier, body_of(message, end));
    verify_body_end(v->verifier);
    lookups_init(&v->book, v->c->a);
    verify_ask(v->verifier, &v->book);
    ok = mail_ask(v->c, &v->book, judge, v);
    verify_end(&v->verifier);
    return ok;
}

static bool begin_spf(struct verifying *v)
{
    struct bytes ip = mail_text(v->c, "ip"), helo = mail_text(v->c, "helo"), from = mail_text(v->c, "mail_from");

    v->has_spf = ip.p != NULL;
    v->spf = (struct spf_asked){ .host = mail_text(v->c, "host"), .now = v->c->now };
    if (!ip.p)
        return true;
    if (!network_parse_address(ip, &v->spf.ip))
        return err_set(&v->c->err, ERR_INVALID, "The ip is no IPv4 or IPv6 address");
    spf_of_mail_from(&v->spf, v->c->a, helo.p ? helo : BYTES(""), from.p ? from : BYTES(""));
    return true;
}

static void write_spf(struct jw *w, const struct verifying *v)
{
    jw_key(w, "spf");
    if (!v->has_spf) {
        jw_null(w);
        return;
    }
    jw_object(w);
    jw_key_text(w, "result", auth_result_text(v->spf_verdict.result));
    jw_key_text(w, "domain", v->spf.domain);
    jw_key_text(w, "mechanism", v->spf_verdict.mechanism);
    jw_key_text(w, "explanation", v->spf_verdict.explanation);
    jw_key_text(w, "problem", v->spf_verdict.why);
    jw_object_end(w);
}

static void write_field(struct mail_case *c, const struct verifying *v)
{
    struct bytes host = mail_text(c, "host"), from = mail_text(c, "mail_from");
    struct auth_results r = { .host = host.n ? host : BYTES("localhost"),
                              .spf = v->has_spf ? &v->spf_verdict : NULL,
                              .spf_value = from.n ? from : mail_text(c, "helo"),
                              .spf_helo = !from.n,
                              .signatures = &v->verified,
                              .dmarc = &v->dmarc_verdict };
    struct buf field;

    buf_init(&field, 1 << 20);
    auth_results_write(&r, &field);
    jw_key_text(c->out, "authentication_results", bytes_trim(buf_bytes(&field)));
    buf_clear(&field);
}

static bool run_verify(struct mail_case *c)
{
    struct verifying v = { .c = c };

    if (!begin_spf(&v) || !verify(&v))
        return false;
    write_spf(c->out, &v);
    write_signatures(c->out, &v.verified);
    jw_key(c->out, "arc");
    jw_object(c->out);
    write_arc(c->out, &v.verified.arc);
    jw_object_end(c->out);
    jw_key(c->out, "dmarc");
    jw_object(c->out);
    write_dmarc(c->out, &v.dmarc_verdict);
    jw_object_end(c->out);
    write_field(c, &v);
    return true;
}

static bool run_arc(struct mail_case *c)
{
    struct verifying v = { .c = c };

    if (!verify(&v))
        return false;
    write_arc(c->out, &v.verified.arc);
    return true;
}

/* ---- dmarc ---- */

/* A domain that passed, or {domain, result}. */
static bool read_identity(struct mail_case *c, struct json_object *o, struct dmarc_identity *out)
{
    struct bytes result;

    out->result = AUTH_PASS;
    if (json_object_is_type(o, json_type_string)) {
        out->domain = bytes_of(json_object_get_string(o));
        return true;
    }
    if (!json_object_is_type(o, json_type_object))
        return err_set(&c->err, ERR_INVALID, "spf and dkim are domains, or {domain, result}");
    out->domain = json_text(o, "domain");
    result = json_text(o, "result");
    return !result.p || auth_result_of(result, &out->result) ||
           err_set(&c->err, ERR_INVALID, "\"%.*s\" is no result", SHOW(result));
}

static bool read_identities(struct mail_case *c, struct dmarc_asked *q)
{
    struct json_object *spf = json_member(c->in, "spf"), *dkim = json_member(c->in, "dkim");
    size_t n = json_object_is_type(dkim, json_type_array) ? json_object_array_length(dkim) : dkim != NULL;
    struct dmarc_identity *ids;

    if (n > IDENTITIES_MAX)
        return err_set(&c->err, ERR_INVALID, "More than %d identities", IDENTITIES_MAX);
    ids = arena_array(c->a, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        if (!read_identity(c, json_object_is_type(dkim, json_type_array) ? json_object_array_get_idx(dkim, i) : dkim,
                           &ids[i]))
            return false;
    q->dkim = ids;
    q->n_dkim = n;
    return !spf || read_identity(c, spf, &q->spf);
}

static void judge_dmarc(void *arg)
{
    struct verifying *v = arg;

    dmarc_check(&v->dmarc, &v->book, &v->dmarc_verdict);
}

/* The author's domain: a domain, an address, or the value of a From field. */
static void read_author(struct verifying *v)
{
    struct bytes header;

    v->author = AUTH_PASS;
    v->dmarc.from = v->c->value;
    if (bytes_find(v->c->value, '@') >= v->c->value.n)
        return;
    header = arena_bytesf(v->c->a, "From: %.*s\r\n", SHOW(v->c->value));
    v->author = dmarc_author(header, v->c->a, &v->dmarc.from, &v->author_why);
}

static bool run_dmarc(struct mail_case *c)
{
    struct verifying v = { .c = c };

    if (!read_identities(c, &v.dmarc))
        return false;
    read_author(&v);
    v.dmarc_verdict = (struct dmarc_verdict){ .result = v.author, .why = v.author_why, .policy = DMARC_UNSAID };
    lookups_init(&v.book, c->a);
    if (v.author == AUTH_PASS && !mail_ask(c, &v.book, judge_dmarc, &v))
        return false;
    write_dmarc(c->out, &v.dmarc_verdict);
    return true;
}

const struct mail_verb mail_verb_verify = { .name = "verify",
                                            .member = "message",
                                            .message = true,
                                            .flags = verify_flags,
                                            .run = run_verify,
                                            .help = "a message: SPF, DKIM, ARC and DMARC, and Authentication-Results" },
                       mail_verb_arc = { .name = "arc",
                                         .member = "message",
                                         .message = true,
                                         .run = run_arc,
                                         .help = "a message: its chain of ARC seals" },
                       mail_verb_dmarc = {
                           .name = "dmarc",
                           .member = "from",
                           .members = true,
                           .flags = dmarc_flags,
                           .run = run_dmarc,
                           .help = "an author's address or domain: whose policy holds, and do those who passed count?"
                       };
