/* service/core/lookup.c: see lookup.h */
#include "service/core/lookup.h"
#include "base/network.h"

enum dns_type lookup_dns_type(enum lookup_type type)
{
    static const enum dns_type types[] = { [LOOKUP_A] = DNS_A,     [LOOKUP_AAAA] = DNS_AAAA,   [LOOKUP_MX] = DNS_MX,
                                           [LOOKUP_TXT] = DNS_TXT, [LOOKUP_CNAME] = DNS_CNAME, [LOOKUP_PTR] = DNS_PTR };

    return types[type];
}

static struct bytes show_value(struct arena *a, enum lookup_type type, const struct dns_record *record)
{
    struct network address;
    char text[NETWORK_TEXT];

    if (type == LOOKUP_MX)
        return arena_bytesf(a, "%u %.*s", record->preference, SHOW(record->data));
    if ((type == LOOKUP_A || type == LOOKUP_AAAA) && network_from_raw(record->data, &address))
        return arena_copy(a, network_show(&address, text));
    return record->data;
}

void lookup_note(struct arena *a, const struct dns_answer *answer, struct lookup *q)
{
    bool none = answer->result == DNS_NO_DATA || answer->result == DNS_NO_NAME;

    q->result = answer->result == DNS_FOUND ? LOOKUP_FOUND : none ? LOOKUP_NONE : LOOKUP_FAILED;
    q->no_name = answer->result == DNS_NO_NAME;
    q->why = answer->why.p ? answer->why : BYTES("no answer");
    if (answer->canonical.n && !bytes_equal_nocase(answer->canonical, q->name))
        q->target = answer->canonical;
    q->values = arena_array(a, LOOKUP_VALUES, sizeof *q->values);
    for (size_t i = 0, size = 0; i < answer->n && q->n < LOOKUP_VALUES && size < LOOKUP_ANSWER_MAX; i++) {
        struct bytes value = bytes_head(show_value(a, q->type, &answer->records[i]), LOOKUP_VALUE_MAX);

        q->values[q->n++] = value;
        size += value.n;
    }
}

void lookup_ask(struct arena *a, int64_t deadline, struct lookup *q)
{
    struct dns_answer answer;

    dns_ask(a, q->name, lookup_dns_type(q->type), deadline, &answer);
    lookup_note(a, &answer, q);
}
