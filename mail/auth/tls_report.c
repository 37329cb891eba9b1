/* mail/auth/tls_report.c - a report of RFC 8460 as values: what is missing is NO_BYTES or 0, since reporters differ in
 * what they leave out; without an id and policies it is none. Everything is copied, so that the tree may go. */
#include "mail/auth/tls_report.h"
#include "base/clock.h"
#include "base/json.h"
#include <json-c/json.h>

static struct bytes text_of(struct arena *a, struct json_object *o, const char *name)
{
    return json_object_is_type(o, json_type_object) ? arena_copy(a, json_text(o, name)) : NO_BYTES;
}

static struct json_object *part_of(struct json_object *o, const char *name)
{
    return json_object_is_type(o, json_type_object) ? json_member(o, name) : NULL;
}

static int64_t count_of(struct json_object *o, const char *name)
{
    struct json_object *n = part_of(o, name);
    int64_t value = json_object_is_type(n, json_type_int) ? json_object_get_int64(n) : 0;

    return value > 0 ? value : 0;
}

static int64_t time_of(struct json_object *o, const char *name)
{
    int64_t wall = 0;

    return clock_parse_rfc3339(json_object_is_type(o, json_type_object) ? json_text(o, name) : NO_BYTES, &wall) ? wall
                                                                                                                : 0;
}

static size_t length_of(struct json_object *list)
{
    return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

/* A list of texts, or one text. */
static struct bytes *texts_of(struct arena *a, struct json_object *o, const char *name, size_t *n)
{
    struct json_object *list = part_of(o, name);
    struct bytes *one;

    if (!json_object_is_type(list, json_type_string))
        return json_texts(a, json_object_is_type(list, json_type_array) ? list : NULL, n);
    one = arena_alloc(a, sizeof *one);
    *one = text_of(a, o, name);
    *n = 1;
    return one;
}

static void read_failure(struct arena *a, struct json_object *o, struct tls_report_failure *f)
{
    f->result_type = text_of(a, o, "result-type");
    f->sending_mta_ip = text_of(a, o, "sending-mta-ip");
    f->receiving_mx_hostname = text_of(a, o, "receiving-mx-hostname");
    f->receiving_mx_helo = text_of(a, o, "receiving-mx-helo");
    f->receiving_ip = text_of(a, o, "receiving-ip");
    f->additional_information = text_of(a, o, "additional-information");
    f->failure_reason_code = text_of(a, o, "failure-reason-code");
    f->sessions = count_of(o, "failed-session-count");
}

static void read_policy(struct arena *a, struct json_object *o, struct tls_report_policy *p)
{
    struct json_object *policy = part_of(o, "policy"), *summary = part_of(o, "summary"),
                       *failures = part_of(o, "failure-details");

    p->type = text_of(a, policy, "policy-type");
    p->domain = text_of(a, policy, "policy-domain");
    p->text = texts_of(a, policy, "policy-string", &p->n_text);
    p->mx_hosts = texts_of(a, policy, "mx-host", &p->n_mx_hosts);
    p->ok = count_of(summary, "total-successful-session-count");
    p->failed = count_of(summary, "total-failure-session-count");
    p->n_failures = length_of(failures);
    p->failures = arena_array(a, p->n_failures, sizeof *p->failures);
    for (size_t i = 0; i < p->n_failures; i++)
        read_failure(a, json_object_array_get_idx(failures, i), &p->failures[i]);
}

bool tls_report_read(struct bytes json, struct arena *a, struct tls_report *out, struct err *e)
{
    struct json_object *o = NULL, *policies;
    bool ok;

    *out = (struct tls_report){ .n = 0 };
    if (!json_read_most(json, TLS_REPORT_VALUES, &o, e))
        return false;
    policies = part_of(o, "policies");
    ok = json_object_is_type(policies, json_type_array) && text_of(a, o, "report-id").p;
    if (ok) {
        out->organization = text_of(a, o, "organization-name");
        out->contact = text_of(a, o, "contact-info");
        out->id = text_of(a, o, "report-id");
        out->begin = time_of(part_of(o, "date-range"), "start-datetime");
        out->end = time_of(part_of(o, "date-range"), "end-datetime");
        out->n = length_of(policies);
        out->policies = arena_array(a, out->n, sizeof *out->policies);
        for (size_t i = 0; i < out->n; i++)
            read_policy(a, json_object_array_get_idx(policies, i), &out->policies[i]);
    }
    json_object_put(o);
    return ok || err_set(e, ERR_INVALID, "This is no report about TLS: it has no report-id, or no policies");
}
