/* cli/mail_spf.c - postrider mail spf: check_host() of RFC 7208 for one host and one sender (mail/auth/spf_check.h). */
#include "cli/mail.h"
#include "mail/auth/spf_check.h"

static const struct flag spf_flags[] = {
    { "ip", FLAG_TEXT, "ip", false, "address of the host that sends" },
    { "helo", FLAG_TEXT, "helo", false, "its name, as it says" },
    { "host", FLAG_TEXT, "host", false, "name of the server that asks, for %{r} and Received-SPF" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

struct spf_job {
    const struct spf_asked *q;
    struct lookups book;
    struct spf_verdict v;
};

static void judge(void *arg)
{
    struct spf_job *job = arg;

    spf_check(job->q, &job->book, &job->v);
}

static void write_verdict(struct mail_case *c, const struct spf_job *job, const char *identity)
{
    struct buf field;

    buf_init(&field, 1 << 20);
    jw_key_text(c->out, "result", auth_result_text(job->v.result));
    jw_key_text(c->out, "identity", bytes_of(identity));
    jw_key_text(c->out, "domain", job->q->domain);
    jw_key_text(c->out, "mechanism", job->v.mechanism);
    jw_key_text(c->out, "explanation", job->v.explanation);
    jw_key_text(c->out, "problem", job->v.why);
    jw_key_int(c->out, "lookups", job->v.terms);
    jw_key_int(c->out, "void_lookups", job->v.voids);
    spf_received(job->q, &job->v, identity, &field);
    jw_key_text(c->out, "received_spf", bytes_trim(buf_bytes(&field)));
    buf_clear(&field);
}

static bool run(struct mail_case *c)
{
    struct bytes helo = mail_text(c, "helo");
    struct spf_asked q = { .host = mail_text(c, "host"), .now = c->now };
    struct spf_job job = { .q = &q };
    bool of_helo = c->value.n == 0;

    if (!network_parse_address(mail_text(c, "ip"), &q.ip))
        return err_set(&c->err, ERR_INVALID, "The ip of the host is wanted, an IPv4 or IPv6 address");
    spf_of_mail_from(&q, c->a, helo.p ? helo : BYTES(""), c->value);
    lookups_init(&job.book, c->a);
    if (!mail_ask(c, &job.book, judge, &job))
        return false;
    write_verdict(c, &job, of_helo ? "helo" : "mailfrom");
    return true;
}

const struct mail_verb mail_verb_spf = { .name = "spf",
                                         .member = "mail_from",
                                         .members = true,
                                         .flags = spf_flags,
                                         .run = run,
                                         .help = "a sender's address (empty: of HELO): may that host send for it?" };
