/* cli/domain.c - the records of a domain for people, and as lines of a zone file (RFC 1035 5.1).
 *
 * What is to be published goes into a zone file, whether it is there already or not: so the lines can be compared with
 * the zone as it is. A record of which the server cannot say the value yet is a comment there. */
#include "cli/domain.h"
#include "base/json.h"
#include "mail/dkim_key.h"
#include <json-c/json.h>

enum { ZONE_TTL = 3600, LINE_MAX_BYTES = 16384 };

static const char *text_of(struct json_object *object, const char *name)
{
    struct json_object *v = json_member(object, name);

    return v ? json_object_get_string(v) : "";
}

static bool is_ok(struct json_object *record)
{
    return strcmp(text_of(record, "status"), "ok") == 0;
}

static void print_clean(struct buf *line)
{
    for (size_t i = 0; i < line->n; i++)
        if ((unsigned char)line->p[i] < 32 || line->p[i] == 127)
            line->p[i] = ' ';
    printf("%.*s\n", SHOW(buf_bytes(line)));
    buf_reset(line);
}

static void zone_line(struct json_object *record, struct buf *line)
{
    struct bytes value = json_text(record, "value");
    const char *type = text_of(record, "type");

    if (!value.p) {
        buf_addf(line, "; %s %s: %s", text_of(record, "name"), type, text_of(record, "fix"));
    } else {
        buf_addf(line, "%s.\t%d\tIN\t%s\t", text_of(record, "name"), ZONE_TTL, type);
        if (strcmp(type, "TXT") == 0)
            dkim_record_zone(value, line);
        else if (strcmp(type, "MX") == 0)
            buf_addf(line, "%s %.*s.", text_of(record, "priority"), SHOW(value));
        else
            buf_addf(line, "%.*s.", SHOW(value));
    }
    print_clean(line);
}

static void plain_line(struct json_object *record, struct buf *line)
{
    struct json_object *found = json_member(record, "found");
    const char *fix = text_of(record, "fix");

    buf_addf(line, "%-15s %-11s %-5s %s", text_of(record, "status"), text_of(record, "purpose"),
             text_of(record, "type"), text_of(record, "name"));
    print_clean(line);
    buf_addf(line, "%15s value: %s %s", "", text_of(record, "priority"), text_of(record, "value"));
    print_clean(line);
    for (size_t i = 0; !is_ok(record) && found && i < json_object_array_length(found); i++) {
        buf_addf(line, "%15s found: %s", "", json_object_get_string(json_object_array_get_idx(found, i)));
        print_clean(line);
    }
    if (*fix) {
        buf_addf(line, "%15s -> %s", "", fix);
        print_clean(line);
    }
}

static void print_records(struct json_object *records, void (*print)(struct json_object *, struct buf *))
{
    struct buf line;

    buf_init(&line, LINE_MAX_BYTES);
    for (size_t i = 0; records && i < json_object_array_length(records); i++)
        print(json_object_array_get_idx(records, i), &line);
    buf_clear(&line);
}

static int show_records(const struct command_line *l, struct json_object *domain)
{
    struct json_object *records = json_member(domain, "records");

    if (command_switch(l, "zone"))
        print_records(records, zone_line);
    else if (output_json(l))
        puts(json_object_to_json_string_ext(records, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    else
        print_records(records, plain_line);
    return EXIT_FINE;
}

/* Done only when nothing is left to be mended. */
static int show_check(const struct command_line *l, struct json_object *domain)
{
    struct json_object *records = json_member(domain, "records");
    const char *status = text_of(domain, "status"), *until = text_of(domain, "sends_until");
    size_t wrong = 0;

    for (size_t i = 0; records && i < json_object_array_length(records); i++)
        wrong += !is_ok(json_object_array_get_idx(records, i));
    if (output_json(l)) {
        output_answer(l, domain, NULL);
    } else {
        print_records(records, plain_line);
        printf("\n%s is %s%s%s\n", text_of(domain, "name"), status, *until ? ", and mail leaves for it until " : "",
               until);
    }
    if (strcmp(status, "verified") != 0)
        return EXIT_FAILED;
    return wrong ? EXIT_PARTIAL : EXIT_FINE;
}

bool domain_answer(const struct verb *v, const struct command_line *l, struct json_object *domain, int *result)
{
    bool check = strcmp(v->verb, "check") == 0;

    if (strcmp(v->noun, "domain") != 0 || !(check || strcmp(v->verb, "records") == 0 || strcmp(v->verb, "rotate") == 0))
        return false;
    *result = check ? show_check(l, domain) : show_records(l, domain);
    return true;
}
